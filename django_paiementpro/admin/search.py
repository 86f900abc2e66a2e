"""
Search payments by anything that identifies them: a reference, a transaction, a phone number, a name.

The form of the text decides what is compared, so that each comparison uses an index and the time does not grow with the
table. The beginning of a name, an e-mail address or a reference is enough.
"""

import re

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from django_paiementpro.models import Payment, SearchKey
from django_paiementpro.normalization import MAX_WORDS, email_key, fold, name_words, transaction_key
from django_paiementpro.phones import search_phones

MAX_LENGTH = 254

# A reference as payers read it aloud: Payment.short_reference.
_SHORT_REFERENCE = re.compile("[0-9a-f]{4} [0-9a-f]{4}", re.IGNORECASE)

#: The shortest prefix of a reference that is searched for.
MIN_PREFIX = 4


def search(payments: QuerySet[Payment], text: str) -> QuerySet[Payment]:
    """
    Return the payments that match the text.

    It may be a reference or its beginning, also in the form shown to customers ("1a2b 3c4d"), the reference of any
    attempt, the gateway's transaction id, an e-mail address or its beginning, a phone number in any format, the key of
    an order, an order as the list shows it ("Order 13"), or a name: consecutive words of it or, if nothing matches, its
    words in any order. Accents and case do not matter, and the beginning of a word is enough.
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
    # Databases use no index for an OR of conditions on two tables.
    return payments.filter(pk__in=rows.filter(known_as).values("pk").union(rows.filter(with_keys).values("pk")))


def describe(text: str) -> str:
    """Return what a search compared, for staff whose search found nothing; empty if nothing was searched for."""
    text = " ".join(text.split())
    values = {"text": text}
    if not text:
        return ""
    if "@" in text:
        return _("Searched for: an e-mail address that begins with “%(text)s”.") % values
    if phones := search_phones(text):
        values["phones"] = ", ".join(sorted(phones))
        return _("Searched for: the phone number %(phones)s; the reference, transaction or order “%(text)s”.") % values
    if name_words(text):
        return (
            _("Searched for: a customer’s name with “%(text)s”; the reference, transaction or order “%(text)s”.")
            % values
        )
    return _("Searched for: the reference, transaction or order “%(text)s”.") % values


def _keys(text: str, using: str) -> list[Q]:
    """Return conditions on search keys: a payment must have a key for each of them."""
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
    """Return the condition that a search key starts with ``key``, in a form for which the database uses its index."""
    # On MySQL, Django's startswith compares bytes, and the index is not in that order.
    lookup = "istartswith" if connections[using].vendor == "mysql" else "startswith"
    return Q((f"text__{lookup}", key))


def _known_as(text: str) -> Q:
    """Compare with references, transaction ids and orders."""
    condition = _order(text)
    if key := transaction_key(text):
        condition |= Q(gateway_key=key)
    text = text.lstrip("#")
    if _SHORT_REFERENCE.fullmatch(text):
        text = text.replace(" ", "")
    if not text or " " in text:
        return condition
    # References given by the host may have capitals; ours are in lower case.
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
                # Folding may change the number of letters, but not the number of words.
                key = text.split(" ", kind.count(" ") + 1)[-1]
                condition |= Q(object_id=key, content_type=ContentType.objects.get_for_model(model))
    return condition
