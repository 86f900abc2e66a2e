"""
Charts as SVG, drawn on the server, with percentages for sizes: the texts beside them stay readable on a phone.

No style and no script stands inline, as hosts have content security policies.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_paiementpro.admin.daybook.data import Shown
from django_paiementpro.admin.daybook.formats import (
    count_text,
    failures_text,
    failures_title,
    payments_text,
    rate_text,
    short_amount,
    steps_of,
    takings_title,
    tick_text,
)
from django_paiementpro.admin.wording import labelled
from django_paiementpro.admin.daybook.statistics import Figures, ratio

#: How many columns of a chart have their date below; on a phone every other of them.
MAX_TICKS = 8

#: How many operators have a chart of their failures; all are in the table.
MAX_CHARTS = 6


def percent(part: float, whole: float) -> str:
    """Return a size for SVG, which knows no decimal comma."""
    return f"{100 * part / whole:.2f}%" if whole else "0%"


@dataclass(frozen=True)
class Row:
    """A horizontal bar with its text."""

    label: str
    value: str
    note: str
    width: str
    href: str = ""


@dataclass(frozen=True)
class Bar:
    kind: str
    y: str
    height: str


@dataclass(frozen=True)
class Column:
    title: str
    bars: list[Bar]


class Chart:
    """
    Columns side by side, upwards and, for what was given back, downwards.

    The shapes are put together here: there are hundreds, and a template takes its time for each.
    """

    def __init__(self, label: str, columns: Sequence[Column], ticks: Sequence[str], levels: Sequence[tuple[str, str]]):
        self.label = label
        self.levels = levels
        slot = 100 / len(columns)
        width = min(slot * 0.8, 12)
        # Names of ours and figures: there is nothing to escape.
        bars = SafeString(  # nosec B703
            "\n".join(
                f'<rect class="daybook-{bar.kind}" x="{slot * (index + 0.5) - width / 2:.3f}%" width="{width:.3f}%"'
                f' y="{bar.y}" height="{bar.height}"/>'
                for index, column in enumerate(columns)
                for bar in column.bars
            )
        )
        # Over the bars, as high as the chart: what is pointed at tells its figures, where it has a title.
        slots = format_html_join(
            "\n",
            f'<rect class="daybook-slot" x="{{}}%" width="{slot:.3f}%" height="100%"><title>{{}}</title></rect>',
            ((f"{slot * index:.3f}", column.title) for index, column in enumerate(columns) if column.title),
        )
        self.shapes = bars + slots
        step = -(-len(ticks) // MAX_TICKS)
        self.ticks = [
            (*self._place(slot, index), bool(number % 2), ticks[index])
            for number, index in enumerate(range(0, len(ticks), step))
        ]

    @staticmethod
    def _place(slot: float, index: int) -> tuple[str, str]:
        """Return where a tick's text stands, and which of its ends: at the edges it stays within the chart."""
        middle = slot * (index + 0.5)
        if middle < 5:
            return f"{slot * index:.3f}%", "start"
        if middle > 95:
            return f"{slot * (index + 1):.3f}%", "end"
        return f"{middle:.3f}%", "middle"


def round_up(amount: int) -> int:
    """Return the next amount that is easily read, and halved."""
    size = int("1" + "0" * max(0, len(str(amount)) - 2))
    return next(step * size for step in (10, 12, 16, 20, 30, 40, 50, 60, 80, 100) if step * size >= amount)


class Charts:
    """The charts of a day book."""

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        self.book = shown.book
        self.total = shown.book.total
        self.takings_title = takings_title(shown.choice.unit)
        self.failures_title = failures_title(shown.choice.unit)

    @property
    def takings_chart(self) -> Chart:
        figures = {name: line.figures for name, line in self.shown.lines.items()}
        when, most = max(figures.items(), key=lambda item: item[1].taken)
        top = round_up(most.taken)
        bottom = max(each.refunded for each in figures.values())
        whole = top + bottom
        columns = []
        for name, each in figures.items():
            taken = f"{self.shown.money(each.taken)}, {payments_text(each.payments)}"
            title = labelled(name, taken)
            bars = []
            if each.taken:
                bars.append(Bar("taken", percent(top - each.taken, whole), percent(each.taken, whole)))
            if each.refunded:
                title += _("; refunded: %(amount)s") % {"amount": self.shown.money(each.refunded)}
                bars.append(Bar("refunded", percent(top, whole), percent(each.refunded, whole)))
            columns.append(Column(title, bars))
        label = _("%(title)s: %(amount)s in all, at most %(most)s (%(when)s)") % {
            "title": self.takings_title,
            "amount": self.shown.money(self.total.taken),
            "most": self.shown.money(most.taken),
            "when": when,
        }
        levels = [(percent(top - amount, whole), short_amount(amount)) for amount in (top, top // 2, 0)]
        return Chart(label, columns, self._ticks, levels)

    @cached_property
    def _ticks(self) -> list[str]:
        return [tick_text(line, self.shown.choice.unit) for line in self.shown.lines.values()]

    @property
    def operator_rows(self) -> list[Row]:
        return self._rows(
            (self.shown.operators[code], figures, self.shown.choice.query(operator=code))
            for code, figures in self.book.operators.items()
            if figures.taken
        )

    @property
    def merchant_rows(self) -> list[Row]:
        """Return the merchants, where there are several."""
        if len(self.book.merchants) < 2:
            return []
        merchants = [(name, each, self.shown.choice.query(merchant=name)) for name, each in self.book.merchants.items()]
        if self.book.other_merchants.payments:
            merchants.append((_("The others"), self.book.other_merchants, ""))
        return self._rows(merchants)

    def _rows(self, entries: Iterable[tuple[str, Figures, str]]) -> list[Row]:
        entries = list(entries)
        most = max((figures.taken for _label, figures, _href in entries), default=0)
        return [
            Row(
                label=label,
                value=self.shown.money(figures.taken),
                note=f"{rate_text(ratio(figures.taken, self.total.taken))} · {payments_text(figures.payments)}",
                width=percent(figures.taken, most),
                href=href,
            )
            for label, figures, href in entries
        ]

    @property
    def step_rows(self) -> list[Row]:
        rows: list[Row] = []
        for label, count, before in steps_of(self.total):
            note = _("%(rate)s of the step before") % {"rate": rate_text(ratio(count, before))} if rows else ""
            rows.append(Row(label, count_text(count), note, percent(count, self.total.created)))
        return rows

    @property
    def failure_charts(self) -> list[tuple[str, str, str, Chart]]:
        """Return name, sum, worst line and chart of each operator with most pages opened."""
        operators = sorted(self.book.operators.items(), key=lambda item: (-item[1].opened, item[0]))
        return [self._failures_of(code, each) for code, each in operators[:MAX_CHARTS] if each.opened]

    def _failures_of(self, code: str, total: Figures) -> tuple[str, str, str, Chart]:
        figures = {name: line.operators.get(code, Figures()) for name, line in self.shown.lines.items()}
        operator = self.shown.operators[code]
        most = max(each.opened for each in figures.values())
        # Without titles: there would be hundreds, and the table below has all of it in words.
        columns = [
            Column(
                "",
                [
                    Bar(kind, percent(most - count, most), percent(count, most))
                    for kind, count in (("opened", each.opened), ("unpaid", each.unpaid))
                    if count
                ],
            )
            for each in figures.values()
        ]
        summary = f"{failures_text(total)} ({rate_text(total.failure_rate)})"
        when, worst = max(figures.items(), key=lambda item: item[1].unpaid)
        peak = ""
        if worst.unpaid:
            peak = _("Most: %(when)s, %(failures)s") % {"when": when, "failures": failures_text(worst)}
        label = labelled(operator, f"{summary}. {peak}".strip())
        return operator, summary, peak, Chart(label, columns, self._ticks, [])
