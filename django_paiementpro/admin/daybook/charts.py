"""
Charts as SVG, drawn on the server. Shapes are scaled to the width of the page, and text is not.

There are no inline styles and no scripts, which a content security policy may forbid.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from django.utils.translation import gettext as _

from django_paiementpro.admin.daybook.data import ReportData
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
from django_paiementpro.admin.daybook.statistics import Figures, ratio
from django_paiementpro.admin.wording import labelled

#: How many columns of a chart are labelled; on a phone, every second one of them.
MAX_TICKS = 8

#: How many payment methods have a chart of their failures; the table has them all.
MAX_CHARTS = 6


def percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0


@dataclass(frozen=True)
class Row:
    """A horizontal bar with its text."""

    label: str
    value: str
    note: str
    width: str
    href: str = ""


#: The top and the bottom of a bar, as percentages of the chart's height from above; None if there is no bar.
Bar = tuple[float, float] | None


class Chart:
    """
    Columns side by side: for each kind of bars, one path.

    ``titles`` are shown when a column is pointed at. ``levels`` are horizontal lines with their texts.
    """

    def __init__(
        self,
        label: str,
        bars: Mapping[str, Sequence[Bar]],
        ticks: Sequence[str],
        titles: Sequence[str] = (),
        levels: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.label = label
        self.levels = levels
        slot = 100 / len(ticks)
        width = min(slot * 0.8, 12)
        self.paths = {kind: self._path(each, slot, width) for kind, each in bars.items()}
        self.slot_width = f"{slot:.3f}%"
        self.slots = [(f"{slot * index:.3f}%", title) for index, title in enumerate(titles)]
        step = -(-len(ticks) // MAX_TICKS)
        self.ticks = [
            (*self._place(slot, index), bool(number % 2), ticks[index])
            for number, index in enumerate(range(0, len(ticks), step))
        ]

    @staticmethod
    def _path(bars: Sequence[Bar], slot: float, width: float) -> str:
        """Return the outlines of the bars, in a square of 100 that is stretched over the chart."""
        return "".join(
            f"M{slot * (index + 0.5) - width / 2:.2f} {bar[0]:.2f}V{bar[1]:.2f}h{width:.2f}V{bar[0]:.2f}z"
            for index, bar in enumerate(bars)
            if bar
        )

    @staticmethod
    def _place(slot: float, index: int) -> tuple[str, str]:
        """Return the position and the anchor of a tick's text, so that it stays within the chart at both edges."""
        middle = slot * (index + 0.5)
        if middle < 5:
            return f"{slot * index:.3f}%", "start"
        if middle > 95:
            return f"{slot * (index + 1):.3f}%", "end"
        return f"{middle:.3f}%", "middle"


def round_up(amount: int) -> int:
    """Return the next amount that is easy to read, and to halve."""
    size = int("1" + "0" * max(0, len(str(amount)) - 2))
    return next(step * size for step in (10, 12, 16, 20, 30, 40, 50, 60, 80, 100) if step * size >= amount)


class Charts:
    """The charts of a report."""

    def __init__(self, data: ReportData) -> None:
        self.data = data
        self.book = data.book
        self.total = data.book.total
        self.takings_title = takings_title(data.criteria.unit)
        self.failures_title = failures_title(data.criteria.unit)

    @property
    def takings_chart(self) -> Chart:
        figures = {name: line.figures for name, line in self.data.lines.items()}
        when, most = max(figures.items(), key=lambda item: item[1].taken)
        top = round_up(most.taken)
        bottom = max(each.refunded for each in figures.values())
        whole = top + bottom
        base = percent(top, whole)
        bars: dict[str, list[Bar]] = {
            "taken": [(percent(top - each.taken, whole), base) if each.taken else None for each in figures.values()],
            # Downwards.
            "refunded": [
                (base, percent(top + each.refunded, whole)) if each.refunded else None for each in figures.values()
            ],
        }
        label = _("%(title)s: %(amount)s in total, %(most)s at most (%(when)s)") % {
            "title": self.takings_title,
            "amount": self.data.money(self.total.taken),
            "most": self.data.money(most.taken),
            "when": when,
        }
        levels = [(f"{percent(top - amount, whole):.2f}%", short_amount(amount)) for amount in (top, top // 2, 0)]
        titles = [self._title(name, each) for name, each in figures.items()]
        return Chart(label, bars, self._ticks, titles, levels)

    def _title(self, name: str, figures: Figures) -> str:
        title = labelled(name, f"{self.data.money(figures.taken)}, {payments_text(figures.payments)}")
        if figures.refunded:
            title += _("; refunded: %(amount)s") % {"amount": self.data.money(figures.refunded)}
        return title

    @cached_property
    def _ticks(self) -> list[str]:
        return [tick_text(line, self.data.criteria.unit) for line in self.data.lines.values()]

    @property
    def channel_rows(self) -> list[Row]:
        return self._rows(
            (self.data.channels[code], figures, self.data.criteria.query(channel=code))
            for code, figures in self.book.channels.items()
            if figures.taken
        )

    @property
    def merchant_rows(self) -> list[Row]:
        """Return the merchants, if there are several."""
        if len(self.book.merchants) < 2:
            return []
        query = self.data.criteria.query
        merchants = [(name, each, query(merchant=name)) for name, each in self.book.merchants.items()]
        if self.book.other_merchants.payments:
            merchants.append((_("Others"), self.book.other_merchants, ""))
        return self._rows(merchants)

    def _rows(self, entries: Iterable[tuple[str, Figures, str]]) -> list[Row]:
        entries = list(entries)
        most = max((figures.taken for _label, figures, _href in entries), default=0)
        return [
            Row(
                label=label,
                value=self.data.money(figures.taken),
                note=f"{rate_text(ratio(figures.taken, self.total.taken))} · {payments_text(figures.payments)}",
                width=f"{percent(figures.taken, most):.2f}%",
                href=href,
            )
            for label, figures, href in entries
        ]

    @property
    def step_rows(self) -> list[Row]:
        rows: list[Row] = []
        for label, count, before in steps_of(self.total):
            note = _("%(rate)s of the previous step") % {"rate": rate_text(ratio(count, before))} if rows else ""
            rows.append(Row(label, count_text(count), note, f"{percent(count, self.total.created):.2f}%"))
        return rows

    @property
    def failure_charts(self) -> list[tuple[str, str, str, Chart]]:
        """Return the name, sum, worst line and chart of each of the most used payment methods."""
        channels = sorted(self.book.channels.items(), key=lambda item: (-item[1].opened, item[0]))
        return [self._failures_of(code, each) for code, each in channels[:MAX_CHARTS] if each.opened]

    def _failures_of(self, code: str, total: Figures) -> tuple[str, str, str, Chart]:
        figures = {name: line.channels.get(code, Figures()) for name, line in self.data.lines.items()}
        channel = self.data.channels[code]
        most = max(each.opened for each in figures.values())
        counts = {
            "opened": [each.opened for each in figures.values()],
            "unpaid": [each.unpaid for each in figures.values()],
        }
        bars: dict[str, list[Bar]] = {
            kind: [(percent(most - count, most), 100) if count else None for count in each]
            for kind, each in counts.items()
        }
        summary = f"{failures_text(total)} ({rate_text(total.failure_rate)})"
        when, worst = max(figures.items(), key=lambda item: item[1].unpaid)
        peak = ""
        if worst.unpaid:
            peak = _("Worst: %(when)s, %(failures)s") % {"when": when, "failures": failures_text(worst)}
        label = labelled(channel, f"{summary}. {peak}".strip())
        return channel, summary, peak, Chart(label, bars, self._ticks)
