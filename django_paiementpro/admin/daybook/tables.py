from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.http.response import HttpResponseBase
from django.utils.functional import cached_property
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from django_paiementpro.admin.daybook.data import ReportData
from django_paiementpro.admin.daybook.formats import (
    channel_texts,
    count_text,
    failures_title,
    percentage,
    rate_text,
    steps_of,
    takings_title,
)
from django_paiementpro.admin.daybook.statistics import Figures, ratio
from django_paiementpro.admin.export import table_response

#: The name of a row, and the texts of its other cells.
TextRow = tuple[str, list[str]]


@dataclass(frozen=True)
class Table:
    """
    Figures, which the page and the CSV format in different ways.

    A kind is ``text``, ``count``, ``money``, ``rate`` or, in the first column, ``period``: a name and its line.
    """

    key: str
    title: str
    kinds: Sequence[str]
    headings: Sequence[str]
    rows: Sequence[Sequence[Any]]
    total: Sequence[Any] = ()
    note: str = ""


def csv_rate(rate: float | None) -> Decimal | None:
    return None if rate is None else percentage(rate)


class Tables:
    """The tables of a report."""

    def __init__(self, data: ReportData) -> None:
        self.data = data
        self.criteria = data.criteria
        self.book = data.book
        self.total = data.book.total

    @cached_property
    def tables(self) -> list[Table]:
        tables = [
            self._takings_table(),
            self._channels_table(),
            self._merchants_table(),
            self._steps_table(),
            self._success_table(),
            self._failures_table(),
        ]
        return [table for table in tables if table.rows]

    def _takings_table(self) -> Table:
        return Table(
            key="periods",
            title=takings_title(self.criteria.unit),
            note=_("A payment counts on the day it was paid, a refund on the day the money was returned."),
            kinds=("period", "count", "money", "count", "money", "money"),
            headings=(str(self.criteria.unit.label), *self._takings_headings()),
            rows=[((name, line), *self._takings(line.figures)) for name, line in self.data.lines.items()],
            total=(_("Total"), *self._takings(self.total)),
        )

    def _channels_table(self) -> Table:
        return Table(
            key="channels",
            title=_("Takings per payment method"),
            kinds=("text", "count", "money", "count", "money", "money"),
            headings=(_("Payment method"), *self._takings_headings()),
            rows=[
                (self.data.channels[code], *self._takings(figures))
                for code, figures in self.book.channels.items()
                if figures.payments or figures.refunds
            ],
        )

    @staticmethod
    def _takings_headings() -> Sequence[str]:
        return _("Payments"), _("Gross takings"), _("Refunds"), _("Refunded"), _("Net")

    @staticmethod
    def _takings(figures: Figures) -> Sequence[int]:
        return figures.payments, figures.taken, figures.refunds, figures.refunded, figures.net

    def _merchants_table(self) -> Table:
        rows: list[tuple[str, int, int]] = [
            (name, figures.payments, figures.taken) for name, figures in self.book.merchants.items()
        ]
        others = self.book.other_merchants
        if others.payments:
            rows.append((_("Others"), others.payments, others.taken))
        return Table(
            key="merchants",
            title=_("Takings per merchant"),
            kinds=("text", "count", "money"),
            headings=(_("Merchant"), _("Payments"), _("Gross takings")),
            rows=rows,
        )

    def _steps_table(self) -> Table:
        return Table(
            key="steps",
            title=_("From created to paid"),
            note=_("Here and below, a payment counts on the day it was created."),
            kinds=("text", "count", "rate", "rate"),
            headings=(_("Step"), _("Payments"), _("Of the previous step"), _("Of all created")),
            rows=[
                (label, count, ratio(count, before), ratio(count, self.total.created))
                for label, count, before in steps_of(self.total)
                if self.total.created
            ],
        )

    def _success_table(self) -> Table:
        return Table(
            key="success",
            title=_("Success rate per payment method"),
            note=_("The share of opened payment pages that were paid, not counting payments that the shop cancelled."),
            kinds=("text", "count", "count", "count", "count", "count", "count", "rate"),
            headings=(
                _("Payment method"),
                _("Pages opened"),
                pgettext("number of payments", "Paid"),
                pgettext("number of payments", "Not paid"),
                pgettext("number of payments", "Expired"),
                pgettext("number of payments", "Cancelled"),
                pgettext("number of payments", "Waiting"),
                _("Success rate"),
            ),
            rows=[
                (self.data.channels[code], *self._success(each))
                for code, each in self.book.channels.items()
                if each.opened
            ],
            total=(_("Total"), *self._success(self.total)),
        )

    @staticmethod
    def _success(each: Figures) -> Sequence[Any]:
        return each.opened, each.paid, each.failed, each.expired, each.cancelled, each.waiting, each.success_rate

    def _failures_table(self) -> Table:
        return Table(
            key="failures",
            title=failures_title(self.criteria.unit),
            kinds=("period", "text", "count", "count", "count", "rate"),
            headings=(
                str(self.criteria.unit.label),
                _("Payment method"),
                _("Pages opened"),
                pgettext("number of payments", "Not paid"),
                pgettext("number of payments", "Expired"),
                _("Failure rate"),
            ),
            rows=[
                ((name, line), self.data.channels[code], each.opened, each.failed, each.expired, each.failure_rate)
                for name, line in self.data.lines.items()
                for code, each in sorted(line.channels.items())
                if each.unpaid
            ],
        )

    @property
    def as_text(self) -> Iterator[tuple[Table, Iterator[TextRow], Iterator[TextRow]]]:
        """Return each table with its rows and its total as the page shows them."""
        for table in self.tables:
            yield (
                table,
                self._text_rows(table, table.rows),
                self._text_rows(table, [table.total] if table.total else []),
            )

    def _text_rows(self, table: Table, rows: Sequence[Sequence[Any]]) -> Iterator[TextRow]:
        formats: dict[str, Any] = {"text": str, "money": self.data.money, "count": count_text, "rate": rate_text}
        for first, *others in rows:
            name = first[0] if isinstance(first, tuple) else first
            yield name, [formats[kind](value) for kind, value in zip(table.kinds[1:], others, strict=True)]

    def file(self, key: str, extension: str) -> HttpResponseBase:
        """Return the table with that key as CSV or XLSX, or all tables if there is none."""
        tables = [table for table in self.tables if table.key == key]
        rows = self._csv_table(tables[0]) if tables else self._csv_tables()
        parts = [_("takings"), *(table.key for table in tables), self.criteria.start, self.criteria.end]
        return table_response(rows, "-".join(map(str, parts)), extension)

    def _csv_tables(self) -> Iterator[Sequence[object]]:
        yield _("Takings"), self.criteria.start, self.criteria.end, self.criteria.currency
        if self.criteria.channel:
            yield _("Payment method"), channel_texts([self.criteria.channel])[self.criteria.channel]
        if self.criteria.merchant:
            yield _("Merchant"), self.criteria.merchant
        total, median = self.total, self.book.median
        yield ()
        sums = [(_("Gross takings"), total.taken), (_("Refunded"), total.refunded), (_("Net"), total.net)]
        for label, amount in sums:
            yield f"{label} ({self.criteria.currency})", amount
        if self.book.fees.payments:
            yield f"{_('Fees of the gateway')} ({self.criteria.currency})", self.book.fees.amount
            yield f"{_('Net after fees')} ({self.criteria.currency})", total.net - self.book.fees.amount
        yield _("Paid payments"), total.payments
        yield _("Success rate") + " (%)", csv_rate(total.success_rate)
        yield _("Median time to pay") + " (s)", None if median is None else round(median.total_seconds())
        for table in self.tables:
            yield ()
            yield (table.title,)
            yield from self._csv_table(table)

    def _csv_table(self, table: Table) -> Iterator[Sequence[object]]:
        headings: list[str] = []
        for kind, heading in zip(table.kinds, table.headings, strict=True):
            if kind == "period":
                headings += [capfirst(_("from")), capfirst(_("to"))]
            else:
                unit = {"money": f" ({self.criteria.currency})", "rate": " (%)"}.get(kind, "")
                headings.append(heading + unit)
        yield headings
        for row in table.rows:
            cells: list[object] = []
            for kind, value in zip(table.kinds, row, strict=True):
                if kind == "period":
                    _name, line = value
                    cells += [line.start, line.end]
                else:
                    cells.append(csv_rate(value) if kind == "rate" else value)
            yield cells
