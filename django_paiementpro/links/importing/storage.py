"""Make the links of an import: all of them, and each once, however often the same file is imported."""

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import islice
from typing import Any

from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from django_paiementpro.admin.sharing import known_phone
from django_paiementpro.db.connections import database, in_transaction
from django_paiementpro.links.importing.rows import Row
from django_paiementpro.links.models import PaymentLink
from django_paiementpro.services.transactions import Fit, commit

#: How many rows are read or written with one statement: SQLite takes few parameters.
PAGE_ROWS = 500

#: How often others may make the same links at the same moment before that is an error.
TRIES = 5

#: The digits of an import's key, with which the keys of its links begin, and of a link's whole key.
BATCH_DIGITS, KEY_DIGITS = 16, 64


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import has made, and what was there already."""

    batch: str
    made: int
    existing: int


def batch_key(title: str) -> str:
    """Return the key of an import: links imported with the same common title belong together."""
    return _digest(_normalized(title))[:BATCH_DIGITS]


def links_of_batch(batch: str) -> QuerySet[PaymentLink]:
    """Return the links of an import. The range uses the index on every database."""
    rest = KEY_DIGITS - BATCH_DIGITS
    return PaymentLink.objects.filter(import_key__gte=batch + "0" * rest, import_key__lte=batch + "f" * rest)


def import_keys(rows: Sequence[Row], title: str) -> list[str]:
    """
    Return the key of each row: a digest of what it says, of how often it has been said before, and of the title.

    A file may list the same customer and amount twice, for two children. Where the row stands makes no difference, so
    that the same list in another order, or with more rows, makes only the links that are missing.
    """
    batch, seen = batch_key(title), Counter[str]()
    keys = []
    for row in rows:
        content = json.dumps([_normalized(str(value)) for value in _content(row)])
        seen[content] += 1
        keys.append(batch + _digest(f"{seen[content]} {content}")[: KEY_DIGITS - BATCH_DIGITS])
    return keys


def count_existing(keys: Sequence[str]) -> int:
    """Return how many of the rows have become links before."""
    return len(_stored(keys))


def import_links(rows: Sequence[Row], title: str, channel: str, user: AbstractBaseUser) -> Imported:
    """
    Make the links of the rows in one transaction, and record them in the admin's log. Those that exist are left alone.

    Another import of the same file may run at the same moment: each link is made by one of them.
    """
    keys = import_keys(rows, title)
    for tries in range(1, TRIES + 1):
        try:
            made = commit(lambda fit: _insert(rows, keys, title, channel, user, fit))
        except IntegrityError:
            if in_transaction() or tries == TRIES:
                raise
        else:
            return Imported(batch_key(title), made, len(rows) - made)
    raise AssertionError  # pragma: no cover  the last try returns or raises


def _insert(
    rows: Sequence[Row], keys: Sequence[str], title: str, channel: str, user: AbstractBaseUser, fit: Fit
) -> int:
    stored = _stored(keys)
    links = []
    for key, row in zip(keys, rows, strict=True):
        if key in stored:
            continue
        link = row.link(title, channel)
        link.import_key, link.created_by_id = key, user.pk
        link.title, link.customer_name = fit(link.title), fit(link.customer_name)
        links.append(link)
    PaymentLink.objects.using(database()).bulk_create(links, batch_size=PAGE_ROWS)
    for page in _pages([link.import_key for link in links]):
        made = PaymentLink.objects.using(database()).filter(import_key__in=page)
        LogEntry.objects.log_actions(user.pk, made, ADDITION, _("Imported."))
    return len(links)


def _stored(keys: Sequence[str]) -> set[str | None]:
    links = PaymentLink.objects.using(database())
    return {
        key for page in _pages(keys) for key in links.filter(import_key__in=page).values_list("import_key", flat=True)
    }


def _content(row: Row) -> tuple[Any, ...]:
    """Return what a row says, whatever its place and the spelling of its phone number."""
    _line, name, phone, *others = astuple(row)
    return (name, known_phone(phone) or phone, *others)


def _normalized(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _pages(keys: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(keys)
    while page := list(islice(iterator, PAGE_ROWS)):
        yield page
