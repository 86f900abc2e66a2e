"""Numbers, dates and names as people read them, in their language."""

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.utils.formats import date_format, number_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from django_paiementpro.admin.daybook.statistics import Figures, Line, Unit
from django_paiementpro.enums import Channel
from django_paiementpro.models import format_amount, offered_channels

SPACE = "\u00a0"


def money_text(amount: int, currency: str) -> str:
    return format_amount(amount, currency).replace("-", "\N{MINUS SIGN}")


def count_text(count: int) -> str:
    return number_format(count, force_grouping=True) if count >= 1000 else str(count)


def percentage(rate: float) -> Decimal:
    """Return a rate in percent, rounded, since Django's ``number_format`` truncates."""
    return Decimal(f"{rate * 100:.1f}")


def rate_text(rate: float | None) -> str:
    return "–" if rate is None else _("%(number)s%%") % {"number": number_format(percentage(rate))}


def payments_text(count: int) -> str:
    return ngettext("%(count)s payment", "%(count)s payments", count) % {"count": count_text(count)}


def duration_text(duration: timedelta | None) -> str:
    """Return the two largest units."""
    if duration is None:
        return "–"
    seconds = max(0, round(duration.total_seconds()))
    values = {
        "days": seconds // 86400,
        "hours": seconds // 3600 % 24,
        "minutes": seconds // 60 % 60,
        "seconds": seconds % 60,
    }
    if values["days"]:
        text = _("%(days)d d %(hours)d h")
    elif values["hours"]:
        text = _("%(hours)d h %(minutes)d min")
    else:
        text = _("%(minutes)d min %(seconds)d s") if values["minutes"] else _("%(seconds)d s")
    return (text % values).replace(" ", SPACE)


def day_text(day: date) -> str:
    return date_format(day, pgettext("date format", "D j N Y"))


def range_text(start: date, end: date) -> str:
    if start == end:
        return day_text(start)
    with_year = pgettext("date format", "j N Y")
    without_year = pgettext("date format", "j N")
    return _("%(start)s – %(end)s") % {
        "start": date_format(start, without_year if start.year == end.year else with_year),
        "end": date_format(end, with_year),
    }


def line_text(line: Line, unit: Unit) -> str:
    """Return the name of a line. A month that is cut off is named by its first and last day."""
    is_whole_month = line.start.day == 1 and (line.end + timedelta(days=1)).day == 1
    if unit == Unit.MONTH and is_whole_month:
        return capfirst(date_format(line.start, "YEAR_MONTH_FORMAT"))
    return range_text(line.start, line.end)


def short_amount(amount: int) -> str:
    """Return an amount for the axis of a chart."""
    for unit, text in (
        (10**9, pgettext("amount", "%(number)s bn")),
        (10**6, pgettext("amount", "%(number)s M")),
        (10**3, pgettext("amount", "%(number)s k")),
    ):
        if amount >= unit:
            number = number_format(Decimal(f"{amount / unit:.1f}"), 0 if amount % unit == 0 else 1)
            return (text % {"number": number}).replace(" ", SPACE)
    return str(amount)


def channel_texts(codes: Iterable[str]) -> dict[str, str]:
    """Return the names of payment methods by code. An unknown code is its own name."""
    names: dict[str, Any] = {
        "": pgettext("payment method", "Not chosen"),
        **dict(Channel.choices),
        **dict(offered_channels()),
    }
    return {code: str(names.get(code, code)) for code in codes}


def tick_text(line: Line, unit: Unit) -> str:
    """Return the short name of a line, for the axis of a chart."""
    month, day = pgettext("date format", "N Y"), pgettext("date format", "j N")
    return date_format(line.start, month if unit == Unit.MONTH else day)


def failures_text(figures: Figures) -> str:
    text = ngettext("%(unpaid)s of %(opened)s not paid", "%(unpaid)s of %(opened)s not paid", figures.unpaid)
    return text % {"unpaid": count_text(figures.unpaid), "opened": count_text(figures.opened)}


def takings_title(unit: Unit) -> str:
    return {
        Unit.DAY: _("Takings per day"),
        Unit.WEEK: _("Takings per week"),
        Unit.MONTH: _("Takings per month"),
    }[unit]


def failures_title(unit: Unit) -> str:
    return {
        Unit.DAY: _("Failures per payment method and day"),
        Unit.WEEK: _("Failures per payment method and week"),
        Unit.MONTH: _("Failures per payment method and month"),
    }[unit]


def steps_of(total: Figures) -> list[tuple[str, int, int]]:
    """Return the steps from created to paid: name, number of payments, and that of the previous step."""
    return [
        (pgettext("step", "Created"), total.created, total.created),
        (_("Sent to the gateway"), total.sent, total.created),
        (_("Payment page opened"), total.opened, total.sent),
        (pgettext("step", "Paid"), total.paid, total.opened),
    ]
