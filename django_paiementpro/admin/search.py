"""
Finding a payment by what a person has in hand: a reference, a receipt, a telephone number, a name.

What was typed decides what is compared, so that each comparison has an index (``indexes``) and the time does not grow
with the table. Only names and references may be typed in part: by how they begin.
"""

import re

from django.db.models import Q, QuerySet

from django_paiementpro.indexes import PHONE_DIGITS, begins, ends_phone
from django_paiementpro.models import Payment

MAX_LENGTH = 254
MAX_WORDS = 6

#: From how many letters on the beginning of a reference is looked for.
MIN_PREFIX = 4

_BETWEEN_DIGITS = re.compile(r"[\s\u00a0\u202f\u200e\u200f\u2010-\u2015+().\-/]")


def search(payments: QuerySet[Payment], text: str) -> QuerySet[Payment]:
    """
    Return those of the payments that fit what was typed.

    That is a reference or how it begins, the reference of any attempt, the gateway's id, an e-mail address or how it
    begins, a telephone number in any spelling, an order's id, or the beginnings of names.
    """
    text = " ".join(text.split())
    if not text:
        return payments
    if len(text) > MAX_LENGTH or "\x00" in text:
        return payments.none()
    return payments.filter(_condition(text))


def _condition(text: str) -> Q:
    if "@" in text:
        return begins("customer_email", text)
    condition = Q()
    digits = _BETWEEN_DIGITS.sub("", text)
    if re.fullmatch(f"[0-9]{{{PHONE_DIGITS},15}}", digits):
        condition |= ends_phone("customer_phone", digits)
    words = text.split(" ")
    if len(words) == 1:
        condition |= _key(text)
    if not digits.isdecimal() and len(words) <= MAX_WORDS:
        condition |= _name(words)
    return condition or Q(pk__in=[])


def _key(text: str) -> Q:
    """Compare with what the payment is known by, here, at the gateway and in the shop."""
    text = text.lstrip("#")
    if not text:
        return Q()
    # The case of a reference that the host has given is the host's; ours are in lower case.
    spellings = {text, text.lower(), text.upper()}
    stems = {spelling.rpartition("-")[0] for spelling in spellings if re.search("-[0-9]+$", spelling)}
    condition = Q(reference__in=spellings | stems) | Q(gateway_id=text) | Q(object_id=text)
    if len(text) >= MIN_PREFIX:
        for spelling in spellings:
            condition |= Q(reference__startswith=spelling)
    return condition


def _name(words: list[str]) -> Q:
    condition = Q()
    for word in words:
        condition &= begins("customer_last_name", word) | begins("customer_first_name", word)
    return condition
