"""
Finding a payment by what a person has in hand: a reference, a receipt, a phone number, a name.

What was typed decides what is compared, so that each comparison has an index and the time does not grow with the
table. Names, addresses and references may be typed in part: their beginning is enough.
"""

import re

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from django.db.models import Exists, OuterRef, Q, QuerySet

from django_paiementpro.models import Payment, SearchKey
from django_paiementpro.normalization import MAX_WORDS, email_key, fold, name_words, transaction_key
from django_paiementpro.phones import search_phones

MAX_LENGTH = 254

#: The shortest beginning of a reference that is looked for.
MIN_PREFIX = 4


def search(payments: QuerySet[Payment], text: str) -> QuerySet[Payment]:
    """
    Return the payments that match what was typed.

    That is a reference or its beginning, the reference of any attempt, the gateway's transaction id, an e-mail address
    or its beginning, a phone number in any spelling, an order's key or the order as the list shows it ("Order 13"), or
    a name: some of its words in a row, or else every word typed, whatever the accents and the case. The beginning of a
    word is enough.
    """
    text = " ".join(text.split())
    if not text:
        return payments
    if len(text) > MAX_LENGTH or "\x00" in text:
        return payments.none()
    using = payments.db
    known_as, keys = _known_as(text), _keys(text, using)
    if not keys:
        return payments.filter(known_as)
    with_keys = Q(*(Q(Exists(SearchKey.objects.filter(key, payment=OuterRef("pk")))) for key in keys))
    rows = Payment.objects.using(using).order_by()
    if not rows.filter(known_as).exists():
        return payments.filter(with_keys)
    # Databases use no index for one condition or the other, where they are of two tables.
    return payments.filter(pk__in=rows.filter(known_as).values("pk").union(rows.filter(with_keys).values("pk")))


def is_common(text: str, using: str, count: int) -> bool:
    """Return whether a search finds more than ``count`` keys: then nobody waits until all its payments are counted."""
    keys = _keys(" ".join(text.split()), using)
    if len(keys) != 1:
        return False
    found = SearchKey.objects.using(using).filter(keys[0]).order_by().values("pk")
    return found[: count + 1].count() > count


def _keys(text: str, using: str) -> list[Q]:
    """Return conditions of search keys: a payment has to have one for each."""
    if "@" in text:
        return [_begins(email_key(text), using)]
    if phones := search_phones(text):
        return [Q(text__in=phones)]
    words = name_words(text)[:MAX_WORDS]
    if not words:
        return []
    in_a_row = _begins(" ".join(words), using)
    if len(words) == 1 or SearchKey.objects.using(using).filter(in_a_row).exists():
        return [in_a_row]
    return [_begins(word, using) for word in words]


def _begins(key: str, using: str) -> Q:
    """Return the condition that a key begins so, in the form for which the database uses its index."""
    # Django compares MySQL's texts as bytes for startswith, and their index is not in that order.
    lookup = "istartswith" if connections[using].vendor == "mysql" else "startswith"
    return Q((f"text__{lookup}", key))


def _known_as(text: str) -> Q:
    """Compare with what the payment is known as here, at the gateway and in the shop."""
    condition = _order(text)
    if key := transaction_key(text):
        condition |= Q(gateway_key=key)
    text = text.lstrip("#")
    if not text or " " in text:
        return condition
    # A reference that the host has given may have capitals; ours are in lower case.
    spellings = {text, text.lower(), text.upper()}
    stems = {spelling.rpartition("-")[0] for spelling in spellings if re.search("-[0-9]+$", spelling)}
    condition |= Q(reference__in=spellings | stems)
    if len(text) >= MIN_PREFIX:
        for spelling in spellings:
            condition |= Q(reference__startswith=spelling)
    return condition


def _order(text: str) -> Q:
    """Compare with the keys of orders, and with orders as the list shows them: their kind, then the key."""
    condition = Q(object_id=text) | Q(object_id=text.lstrip("#"))
    folded = fold(text)
    if " " in text:
        for model in apps.get_models():
            kind = fold(str(model._meta.verbose_name))
            if folded.startswith(f"{kind} "):
                # Folding may change the number of letters, but not that of words.
                key = text.split(" ", kind.count(" ") + 1)[-1]
                condition |= Q(object_id=key, content_type=ContentType.objects.get_for_model(model))
    return condition
