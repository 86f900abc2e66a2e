"""Periods of whole days in the current time zone."""

from datetime import date, datetime, time, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _


def start_of(day: date) -> datetime:
    """Return the moment at which a day begins."""
    midnight = datetime.combine(day, time.min)  # naive: the time zone decides which moment this is
    return timezone.make_aware(midnight)


def last_days(number: int) -> tuple[date, date]:
    """Return the first and the last of this many days up to today."""
    today = timezone.localdate()
    return today - timedelta(days=number - 1), today


def presets() -> list[tuple[Any, date, date]]:
    """Return the periods that staff choose most often: label, first day and last day."""
    today = timezone.localdate()
    yesterday, month = today - timedelta(days=1), today.replace(day=1)
    end_of_last_month = month - timedelta(days=1)
    same_month_last_year = month.replace(year=month.year - 1)
    return [
        (_("Today"), today, today),
        (_("Yesterday"), yesterday, yesterday),
        (_("Last 7 days"), *last_days(7)),
        (_("Last 30 days"), *last_days(30)),
        (_("This month"), month, today),
        (_("Last month"), end_of_last_month.replace(day=1), end_of_last_month),
        (_("Last 12 months"), (same_month_last_year + timedelta(days=31)).replace(day=1), today),
    ]
