"""
CSV and XLSX files, so that a million rows take no more memory than a page of them.

CSV is streamed, with the separator and the decimal mark that Excel expects in the user's language. No text runs as a
formula.
"""

import codecs
import csv
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from importlib.util import find_spec
from itertools import chain, islice
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone, translation
from django.utils.http import content_disposition_header
from django.utils.module_loading import import_string
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from django_paiementpro.admin import wording
from django_paiementpro.db.keyset import in_pages
from django_paiementpro.enums import Channel, SettledBy, Status
from django_paiementpro.models import Finding, Payment

#: How many payments are read with one query.
PAGE_ROWS = 2_000

#: How many rows are sent at once.
CHUNK_ROWS = 500

#: Imported when it is called, since XlsxWriter may not be installed.
WRITE_XLSX = "django_paiementpro.admin.workbooks.xlsx_response"

# What a spreadsheet runs when it opens a CSV file, by OWASP's list: a cell that begins with =, +, - or @, in Asian
# widths too, behind whitespace or control characters. A number, a phone number or a percentage with a sign is no
# formula, whatever the spreadsheet makes of it, and stays as it is. A spreadsheet that expects another separator than
# ours starts a cell after a separator, tab or line break inside a text too, with or without quotation marks.
_SIGN = "[=+@\uff1d\uff0b\uff0d\uff20-]"
_BLANK = "\x00-\x08\x0b\x0c\x0e-\x20\x85\xa0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
_NUMBER = rf"[{_BLANK}]*[+-][\d\s().:/%-]*(?:[,;\t\r\n]|\Z)"
_FORMULA = re.compile(
    rf'(?:\A(?=[{_BLANK}]*{_SIGN})|(?<=[,;\t\r\n])(?=[{_BLANK}"]*{_SIGN}))(?!{_NUMBER})',
)


class _CsvResponse(StreamingHttpResponse):
    """Streams under ASGI too, where Django would first consume the whole of a synchronous iterator."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = iter(self)
        while (chunk := await sync_to_async(lambda: next(chunks, None))()) is not None:
            yield chunk


def csv_response(rows: Iterable[Sequence[object]], filename: str) -> StreamingHttpResponse:
    """
    Return the rows as a CSV file to download, in the current language and time zone.

    ``rows`` may be a generator, which is consumed while the file is sent.
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
    """A file object for ``csv`` that stores nothing, so that ``writerow()`` returns the line."""

    def write(self, line: str) -> str:
        return line


def _chunks(rows: Iterator[Sequence[object]], language: str | None, zone: tzinfo) -> Iterator[bytes]:
    is_french = (language or "").startswith("fr")
    writer = csv.writer(_Echo(), delimiter=";" if is_french else ",", lineterminator="\r\n")
    yield codecs.BOM_UTF8
    while True:
        # Not across a yield, where the language of other requests may be active.
        with translation.override(language), timezone.override(zone):
            cells = _Cells(zone, decimal_mark="," if is_french else ".", words={True: _("yes"), False: _("no")})
            lines = [writer.writerow(map(cells.write, row)) for row in islice(rows, CHUNK_ROWS)]
        if not lines:
            return
        yield "".join(lines).encode("utf-8", "replace")


@dataclass(frozen=True)
class _Cells:
    """Formats the values."""

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
                return value.astimezone(self.zone).isoformat(" ", "seconds")[:19]
            case date():
                return value.isoformat()
            case _:
                return _text(str(value))


def _text(text: str) -> str:
    """Return the text, with an apostrophe before each formula that a spreadsheet would run in it."""
    # A NUL has no meaning in a table, and Python 3.10 does not write it.
    return _FORMULA.sub("'", text).replace("\x00", "")


def can_write_xlsx() -> bool:
    """Return whether XLSX files can be written, which takes XlsxWriter."""
    return find_spec("xlsxwriter") is not None


def table_response(rows: Iterable[Sequence[object]], name: str, extension: str = "csv") -> HttpResponseBase:
    """Return the rows as a file to download: XLSX if ``extension`` says so and it can be written, else CSV."""
    if extension == "xlsx" and can_write_xlsx():
        response: HttpResponseBase = import_string(WRITE_XLSX)(rows, f"{name}.xlsx")
        return response
    return csv_response(rows, f"{name}.csv")


def export_payments(queryset: QuerySet[Payment], extension: str = "csv") -> HttpResponseBase:
    """Return the payments as a file to download, the newest first."""
    name = f"{_('payments')}-{timezone.localdate().isoformat()}"
    return table_response(_payment_rows(queryset), name, extension)


_FIELDS = (
    *("pk", "created_at", "reference", "status", "amount", "currency", "refunded_amount"),
    *("gateway_channel", "channel", "merchant_id", "gateway_id", "content_type_id", "object_id", "description"),
    *("customer_first_name", "customer_last_name", "customer_email", "customer_phone"),
    *("initialized_at", "settled_at", "settled_by", "attempt", "needs_review"),
)


def _payment_rows(queryset: QuerySet[Payment]) -> Iterator[Sequence[object]]:
    statuses, evidence, channels = (
        {str(value): str(label) for value, label in choices.choices} for choices in (Status, SettledBy, Channel)
    )
    kinds: dict[int | None, str] = {}
    yield _headers()
    # In the order of the indexes that the filters of the list use.
    pages = in_pages(queryset.values(*_FIELDS), "-created_at", "-pk", size=PAGE_ROWS)
    for row in chain.from_iterable(_with_findings(page, queryset.db) for page in pages):
        channel = row["gateway_channel"] or row["channel"]
        kind = row["content_type_id"]
        if kind not in kinds:
            kinds[kind] = _kind(kind)
        yield (
            row["reference"],
            statuses.get(row["status"], row["status"]),
            row["amount"],
            row["currency"],
            row["refunded_amount"],
            channels.get(channel, channel),
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
        _("payment method"),
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
    """Return the name of a kind of order; empty if there is none, or if its app has been removed."""
    if content_type_id is None:
        return ""
    model = ContentType.objects.get_for_id(content_type_id).model_class()
    return capfirst(str(model._meta.verbose_name)) if model else ""


def _with_findings(page: list[dict[str, Any]], using: str) -> list[dict[str, Any]]:
    """Add the open findings of each payment, in words."""
    pks = [row["pk"] for row in page if row["needs_review"]]
    texts: dict[int, list[str]] = {}
    for finding in Finding.objects.using(using).filter(reviewed_at=None, payment__in=pks) if pks else ():
        texts.setdefault(finding.payment_id, []).append(wording.findings_in_words(str(finding)))
    for row in page:
        row["findings"] = "; ".join(texts.get(row["pk"], ()))
    return page
