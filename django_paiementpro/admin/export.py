"""
Rows as a CSV file that Excel opens right, streamed: a million of them take no more memory than a page of them.

What payers and the gateway have written is never a formula there, and Excel makes no other number and no date of it.
"""

import codecs
import csv
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from itertools import islice
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q, QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone, translation
from django.utils.http import content_disposition_header
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from django_paiementpro.admin import wording
from django_paiementpro.enums import Channel, SettledBy, Status
from django_paiementpro.models import Finding, Payment

#: So many payments are read with one statement.
PAGE_ROWS = 2_000

#: So many rows are sent at once.
CHUNK_ROWS = 500

# What Excel passes over before a formula, and what begins one, in other widths too.
_FORMULA = (
    "[\\s\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\"']*"
    "[=+@\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b-]"
)
_BEGINS_FORMULA = re.compile(f"{_FORMULA}|[\t\r\n]")
# Where cells begin within a text, for an Excel that expects another separator than ours.
_FORMULA_WITHIN = re.compile(f"(?<=[,;])(?={_FORMULA})")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

_MONTH = "(?:jan|feb|f[ée]v|mar|apr|avr|ma[iy]|ju[iln]|aug|ao[ûu]|sep|oct|nov|d[ée]c)[a-zéû]*"
# Figures that are no plain number of at most eleven digits (of more, Excel shows 9.2E+12); 12e45; dates in words.
_CHANGED = re.compile(
    r"(?!(?:0|[1-9]\d{0,10})\Z)[\s/.:,%()-]*\d[\d\s/.:,%()-]*"
    r"|(?:\d+(?:[.,]\d*)?|[.,]\d+)\s*e\s*[+-]?\s*\d+"
    rf"|(?=\D*\d)[\d\s/.,-]*{_MONTH}[\d\s/.,-]*",
    re.IGNORECASE,
)


class _CsvResponse(StreamingHttpResponse):
    """Stays a stream under ASGI, where Django would collect the whole of a synchronous iterator first."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = iter(self)
        while (chunk := await sync_to_async(lambda: next(chunks, None))()) is not None:
            yield chunk


def csv_response(rows: Iterable[Sequence[object]], filename: str) -> StreamingHttpResponse:
    """
    Return rows as a file to save, in the language and the time zone that are active now.

    ``rows`` may be a generator: it runs as the file is sent, in that language and zone, a chunk at a time.
    """
    return _CsvResponse(
        _chunks(iter(rows), translation.get_language(), timezone.get_current_timezone()),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": content_disposition_header(True, filename) or "attachment",
            "Cache-Control": "no-store",
        },
    )


class _Echo:
    """A file for ``csv`` that keeps nothing: a writer then returns each line."""

    def write(self, line: str) -> str:
        return line


def _chunks(rows: Iterator[Sequence[object]], language: str | None, zone: tzinfo) -> Iterator[bytes]:
    is_french = (language or "").startswith("fr")
    writer = csv.writer(_Echo(), delimiter=";" if is_french else ",", lineterminator="\r\n")
    yield codecs.BOM_UTF8
    while True:
        # Not across a yield: whoever sends the chunks has a language of their own.
        with translation.override(language), timezone.override(zone):
            cells = _Cells(zone, decimal_mark="," if is_french else ".", words={True: _("yes"), False: _("no")})
            lines = [writer.writerow(map(cells.write, row)) for row in islice(rows, CHUNK_ROWS)]
        if not lines:
            return
        yield "".join(lines).encode("utf-8", "replace")


@dataclass(frozen=True)
class _Cells:
    """How values are written."""

    zone: tzinfo
    decimal_mark: str
    words: Mapping[bool, str]

    def write(self, value: object) -> int | str:
        match value:
            case str():
                return _text(value)
            case None:
                return ""
            case bool():
                return self.words[value]
            case int():
                return int(value)
            case float() | Decimal():
                return str(value).replace(".", self.decimal_mark)
            case datetime():
                local = value.astimezone(self.zone) if value.tzinfo else value
                return local.isoformat(" ", "seconds")[:19]
            case date():
                return value.isoformat()
            case _:
                return _text(str(value))


def _text(text: str) -> str:
    """Return a text on one line that stays what it is: an apostrophe keeps Excel from reading anything into it."""
    is_inert = not _BEGINS_FORMULA.match(text)
    if "," in text or ";" in text:
        text = _FORMULA_WITHIN.sub("'", text)
    if not text.isprintable():
        text = _CONTROLS.sub(" ", text)
    return text if is_inert and not _CHANGED.fullmatch(text) else f"'{text}"


def export_payments(queryset: QuerySet[Payment]) -> StreamingHttpResponse:
    """Return payments as a file to save, the newest first, whatever the order of the queryset."""
    today = datetime.now(tz=timezone.get_current_timezone()).date()
    return csv_response(_payment_rows(queryset), f"{_('payments')}-{today.isoformat()}.csv")


_FIELDS = (
    *("pk", "created_at", "reference", "status", "amount", "currency", "refunded_amount"),
    *("gateway_channel", "channel", "merchant_id", "gateway_id", "content_type_id", "object_id", "description"),
    *("customer_first_name", "customer_last_name", "customer_email", "customer_phone"),
    *("initialized_at", "settled_at", "settled_by", "attempt", "needs_review"),
)


def _payment_rows(queryset: QuerySet[Payment]) -> Iterator[Sequence[object]]:
    statuses, evidence, operators = (
        {str(value): str(label) for value, label in choices.choices} for choices in (Status, SettledBy, Channel)
    )
    kinds: dict[int | None, str] = {}
    yield _headers()
    for row in _newest_first(queryset):
        operator = row["gateway_channel"] or row["channel"]
        kind = row["content_type_id"]
        if kind not in kinds:
            kinds[kind] = _kind(kind)
        yield (
            row["reference"],
            statuses.get(row["status"], row["status"]),
            row["amount"],
            row["currency"],
            row["refunded_amount"],
            operators.get(operator, operator),
            row["merchant_id"],
            row["gateway_id"],
            f"{kinds[kind]} {row['object_id'] or ''}".strip(),
            row["description"],
            row["customer_first_name"],
            row["customer_last_name"],
            row["customer_email"],
            row["customer_phone"],
            row["created_at"],
            row["initialized_at"],
            row["settled_at"],
            evidence.get(row["settled_by"], row["settled_by"]),
            row["attempt"],
            row["needs_review"],
            row["findings"],
        )


def _headers() -> list[str]:
    names = {field.attname: str(field.verbose_name) for field in Payment._meta.concrete_fields}

    headers = [
        *map(names.__getitem__, ("reference", "status", "amount", "currency", "refunded_amount")),
        _("operator"),
        *map(names.__getitem__, ("merchant_id", "gateway_id")),
        pgettext("paid for", "order"),
        *map(
            names.__getitem__,
            ("description", "customer_first_name", "customer_last_name", "customer_email", "customer_phone"),
        ),
        *map(names.__getitem__, ("created_at", "initialized_at", "settled_at", "settled_by", "attempt")),
        names["needs_review"],
        str(Finding._meta.verbose_name_plural),
    ]
    return [capfirst(header) for header in headers]


def _kind(content_type_id: int | None) -> str:
    """Name a kind of order; not at all where there is none, or the app that had it has gone."""
    if content_type_id is None:
        return ""
    model = ContentType.objects.get_for_id(content_type_id).model_class()
    return capfirst(str(model._meta.verbose_name)) if model else ""


def _add_findings(page: list[dict[str, Any]], using: str) -> None:
    """Add the open findings of each payment, in words."""
    pks = [row["pk"] for row in page if row["needs_review"]]
    texts: dict[int, list[str]] = {}
    for finding in Finding.objects.using(using).filter(reviewed_at=None, payment__in=pks) if pks else ():
        texts.setdefault(finding.payment_id, []).append(wording.findings_in_words(str(finding)))
    for row in page:
        row["findings"] = "; ".join(texts.get(row["pk"], ()))


def _newest_first(queryset: QuerySet[Payment]) -> Iterator[dict[str, Any]]:
    """
    Walk through payments in pages, with what was read last for a bookmark.

    No cursor is kept open: MySQL's would load all rows, PostgreSQL's store them. In the order of the indexes that the
    filters of the list have, so that a page takes the same time at the end as at the beginning.
    """
    rows = queryset.order_by("-created_at", "-pk").values(*_FIELDS)
    page = list(rows[:PAGE_ROWS])
    while page:
        _add_findings(page, queryset.db)
        yield from page
        if len(page) < PAGE_ROWS:
            return
        last = page[-1]
        behind = Q(created_at__lt=last["created_at"]) | Q(pk__lt=last["pk"])
        page = list(rows.filter(behind, created_at__lte=last["created_at"])[:PAGE_ROWS])
