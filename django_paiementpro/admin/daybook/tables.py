"""The figures of the charts as tables, for the page and as CSV."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.http import StreamingHttpResponse
from django.utils.functional import cached_property
from django.utils.html import escape, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from django_paiementpro.admin.daybook.data import Shown
from django_paiementpro.admin.daybook.formats import (
    count_text,
    failures_title,
    operator_texts,
    percentage,
    rate_text,
    steps_of,
    takings_title,
)
from django_paiementpro.admin.export import csv_response
from django_paiementpro.admin.daybook.statistics import Figures, ratio


@dataclass(frozen=True)
class Table:
    """
    Figures as they are; the page and the CSV write them each in its manner.

    A kind is ``text``, ``count``, ``money``, ``rate`` or, first in its row, ``period``: a line with its name.
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
    """The tables of a day book."""

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        self.choice = shown.choice
        self._written: dict[tuple[str, Any], str] = {}
        self.book = shown.book
        self.total = shown.book.total

    @cached_property
    def tables(self) -> list[Table]:
        tables = [
            self._takings_table(),
            self._operators_table(),
            self._merchants_table(),
            self._steps_table(),
            self._success_table(),
            self._failures_table(),
        ]
        return [table for table in tables if table.rows]

    def _takings_table(self) -> Table:
        return Table(
            key="takings",
            title=takings_title(self.choice.unit),
            note=_("A payment counts on the day it was paid, a refund on the day the money was returned."),
            kinds=("period", "count", "money", "count", "money", "money"),
            headings=(
                str(self.choice.unit.label),
                _("Payments"),
                _("Taken"),
                _("Refunds"),
                _("Refunded"),
                _("Net"),
            ),
            rows=[((name, line), *self._takings(line.figures)) for name, line in self.shown.lines.items()],
            total=(_("Total"), *self._takings(self.total)),
        )

    def _operators_table(self) -> Table:
        return Table(
            key="operators",
            title=_("Taken by operator"),
            kinds=("text", "count", "money", "count", "money", "money"),
            headings=(_("Operator"), _("Payments"), _("Taken"), _("Refunds"), _("Refunded"), _("Net")),
            rows=[
                (self.shown.operators[code], *self._takings(figures))
                for code, figures in self.book.operators.items()
                if figures.payments or figures.refunds
            ],
        )

    @staticmethod
    def _takings(figures: Figures) -> Sequence[int]:
        return figures.payments, figures.taken, figures.refunds, figures.refunded, figures.net

    def _merchants_table(self) -> Table:
        rows: list[tuple[str, int, int]] = [
            (name, figures.payments, figures.taken) for name, figures in self.book.merchants.items()
        ]
        others = self.book.other_merchants
        if others.payments:
            rows.append((_("The others"), others.payments, others.taken))
        return Table(
            key="merchants",
            title=_("Taken by merchant"),
            kinds=("text", "count", "money"),
            headings=(_("Merchant"), _("Payments"), _("Taken")),
            rows=rows,
        )

    def _steps_table(self) -> Table:
        return Table(
            key="steps",
            title=_("From created to paid"),
            note=_("A payment counts on the day it was created, here and below."),
            kinds=("text", "count", "rate", "rate"),
            headings=(_("Step"), _("Payments"), _("Of the step before"), _("Of those created")),
            rows=[
                (label, count, ratio(count, before), ratio(count, self.total.created))
                for label, count, before in steps_of(self.total)
                if self.total.created
            ],
        )

    def _success_table(self) -> Table:
        return Table(
            key="success",
            title=_("Success by operator"),
            note=_("The rate is that of the pages opened, without those the shop has cancelled."),
            kinds=("text", "count", "count", "count", "count", "count", "count", "rate"),
            headings=(
                _("Operator"),
                _("Pages opened"),
                pgettext("number of payments", "Paid"),
                pgettext("number of payments", "Not paid"),
                pgettext("number of payments", "Expired"),
                pgettext("number of payments", "Cancelled"),
                pgettext("number of payments", "Waiting"),
                _("Success rate"),
            ),
            rows=[
                (self.shown.operators[code], *self._success(each))
                for code, each in self.book.operators.items()
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
            title=failures_title(self.choice.unit),
            kinds=("period", "text", "count", "count", "count", "rate"),
            headings=(
                str(self.choice.unit.label),
                _("Operator"),
                _("Pages opened"),
                pgettext("number of payments", "Not paid"),
                pgettext("number of payments", "Expired"),
                _("Failure rate"),
            ),
            rows=[
                ((name, line), self.shown.operators[code], each.opened, each.failed, each.expired, each.failure_rate)
                for name, line in self.shown.lines.items()
                for code, each in sorted(line.operators.items())
                if each.unpaid
            ],
        )

    @property
    def rendered(self) -> Iterator[tuple[Table, SafeString, SafeString, SafeString]]:
        """Return each table with its head, body and foot as HTML."""
        for table in self.tables:
            headings = zip(table.kinds, table.headings, strict=True)
            head = format_html_join("", '<th scope="col" class="daybook-{}">{}</th>', headings)
            yield table, head, self._html(table, table.rows), self._html(table, [table.total] if table.total else [])

    def _html(self, table: Table, rows: Iterable[Sequence[Any]]) -> SafeString:
        written = "\n".join(self._row(table.kinds, row) for row in rows)
        return SafeString(written)  # each cell is escaped  # nosec B703

    def _row(self, kinds: Sequence[str], row: Sequence[Any]) -> str:
        """Write a row: there are hundreds, so that each kind of cell takes care of what is to be escaped in it."""
        first = row[0][0] if isinstance(row[0], tuple) else row[0]
        cells = "".join(self._cell(kind, value) for kind, value in zip(kinds[1:], row[1:], strict=True))
        return f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>'

    def _cell(self, kind: str, value: Any) -> str:
        if (kind, value) not in self._written:
            write: Any = {"text": str, "money": self.shown.money, "count": count_text, "rate": rate_text}[kind]
            self._written[kind, value] = f'<td class="daybook-{kind}">{escape(write(value))}</td>'
        return self._written[kind, value]

    def csv(self, key: str) -> StreamingHttpResponse:
        """Hand out all tables, or the one of that key."""
        tables = [table for table in self.tables if table.key == key]
        rows = self._csv_table(tables[0]) if tables else self._csv_tables()
        name = f"-{tables[0].key}" if tables else ""
        return csv_response(rows, f"day-book{name}-{self.choice.start}-{self.choice.end}.csv")

    def _csv_tables(self) -> Iterator[Sequence[object]]:
        yield _("Day book"), self.choice.start, self.choice.end, self.choice.currency
        if self.choice.operator:
            yield _("Operator"), operator_texts([self.choice.operator])[self.choice.operator]
        if self.choice.merchant:
            yield _("Merchant"), self.choice.merchant
        total, median = self.total, self.book.median
        yield ()
        for label, amount in ((_("Taken"), total.taken), (_("Refunded"), total.refunded), (_("Net"), total.net)):
            yield f"{label} ({self.choice.currency})", amount
        yield _("Payments paid"), total.payments
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
                unit = {"money": f" ({self.choice.currency})", "rate": " (%)"}.get(kind, "")
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
