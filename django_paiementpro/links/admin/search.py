"""The search of the list of links."""

import re
from functools import reduce
from operator import and_
from typing import Any

from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Replace

from django_paiementpro.phones import search_phones

#: A token, wherever the text has it: people paste the whole address.
_TOKEN = re.compile(r"[0-9a-f]{24}")

#: What people write between the digits of a number.
_SEPARATORS = (" ", "\u00a0", "\u202f", ".", "-", "/", "(", ")")

#: How many digits at the end of a number are compared: they are the same with a country code and without.
_DIGITS = 8

_MAX_LENGTH = 500


def search(links: QuerySet[Any], text: str) -> QuerySet[Any]:
    """Return the links with this text in their title, customer, phone number in any spelling, or address."""
    text = " ".join(text.split())
    if not text:
        return links
    if len(text) > _MAX_LENGTH:
        return links.none()
    condition = reduce(and_, (Q(title__icontains=word) | Q(customer_name__icontains=word) for word in text.split()))
    if token := _TOKEN.search(text.lower()):
        condition |= Q(token=token[0])
    if phones := search_phones(text):
        digits: Any = F("customer_phone")
        for mark in _SEPARATORS:
            digits = Replace(digits, Value(mark), Value(""))
        links = links.alias(phone_digits=digits)
        for ending in {phone[-_DIGITS:] for phone in phones}:
            condition |= Q(phone_digits__contains=ending)
    return links.filter(condition)
