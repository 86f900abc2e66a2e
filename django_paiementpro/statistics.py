"""
What was taken, by whom and how fast: figures of the day book.

The database adds up, by day and operator; no payment is read. Days are those of Django's current time zone. Its offset
from UTC goes into the SQL as a number, as many a MariaDB knows no zone by name.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from datetime import timezone as fixed_timezone
from functools import cached_property
from operator import attrgetter
from typing import Any, TypeVar

from django.db.models import (
    BooleanField,
    Case,
    Count,
    Expression,
    ExpressionWrapper,
    F,
    Q,
    QuerySet,
    Sum,
    TextChoices,
    When,
)
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.translation import pgettext_lazy

from django_paiementpro.enums import PAID, Status
from django_paiementpro.models import Payment, Refund

#: The longest period: a year, leap years too.
MAX_DAYS = 366

#: Databases and time zones are at odds about days far away.
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2099, 12, 31)

#: So many merchants have a line of their own; the rest are one.
MAX_MERCHANTS = 50

#: So many sums by day, operator and merchant are read at once; beyond, the database adds up merchants on their own.
MAX_ROWS = 10_000


class Unit(TextChoices):
    """What a line of the day book is about."""

    DAY = "day", pgettext_lazy("unit of time", "Day")
    WEEK = "week", pgettext_lazy("unit of time", "Week")
    MONTH = "month", pgettext_lazy("unit of time", "Month")

    def first_day(self, day: date) -> date:
        """Return the first day of the day's week, from Monday, or of its month."""
        if self == Unit.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self == Unit.MONTH else day


@dataclass(frozen=True)
class Figures:
    """
    Numbers that add up, of one currency.

    What was ``taken`` and ``refunded`` counts on the day the money moved. The way from ``created`` to ``paid`` counts
    on the day the payment was created.
    """

    payments: int = 0
    taken: int = 0
    refunds: int = 0
    refunded: int = 0

    created: int = 0
    #: Taken to the gateway.
    sent: int = 0
    #: The gateway gave a page. It is one of the following, or still waits.
    opened: int = 0
    paid: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0

    @property
    def net(self) -> int:
        return self.taken - self.refunded

    @property
    def waiting(self) -> int:
        return self.opened - self.paid - self.failed - self.expired - self.cancelled

    @property
    def unpaid(self) -> int:
        """How many the operator or the clock has ended."""
        return self.failed + self.expired

    @property
    def success_rate(self) -> float | None:
        """Return how many of the opened pages were paid, but for those that the shop gave up."""
        return ratio(self.paid, self.opened - self.cancelled)

    @property
    def failure_rate(self) -> float | None:
        return ratio(self.unpaid, self.opened)


_values = attrgetter(*(field.name for field in fields(Figures)))


def ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def total(figures: Iterable[Figures]) -> Figures:
    """Add up."""
    return Figures(*map(sum, zip(*map(_values, figures), strict=True)))


@dataclass(frozen=True)
class Line:
    """A day, week or month; at both ends of the period cut to it."""

    start: date
    end: date
    operators: Mapping[str, Figures]

    @cached_property
    def figures(self) -> Figures:
        return total(self.operators.values())


@dataclass(frozen=True)
class DayBook:
    """The figures of a period, of one currency."""

    start: date
    end: date
    currency: str
    #: By day and operator; the operator is empty where the payer had not chosen one.
    days: Mapping[tuple[date, str], Figures]
    #: By merchant, who took most first; at most ``MAX_MERCHANTS``.
    merchants: Mapping[str, Figures]
    #: From created to paid, of those paid in the period.
    median: timedelta | None
    #: The others that money was taken in.
    other_currencies: list[str]

    @cached_property
    def total(self) -> Figures:
        return total(self.days.values())

    @property
    def other_merchants(self) -> Figures:
        """What the merchants without a line of their own took."""
        shown = total(self.merchants.values())
        return Figures(payments=self.total.payments - shown.payments, taken=self.total.taken - shown.taken)

    @cached_property
    def operators(self) -> dict[str, Figures]:
        """The figures by operator, who took most first."""
        by_operator: defaultdict[str, list[Figures]] = defaultdict(list)
        for (_day, operator), figures in self.days.items():
            by_operator[operator].append(figures)
        sums = {operator: total(each) for operator, each in by_operator.items()}
        return dict(sorted(sums.items(), key=lambda item: (-item[1].taken, -item[1].opened, item[0])))

    def lines(self, unit: Unit) -> list[Line]:
        """Return a line for each day, week or month, those without payments too."""
        lines: dict[date, defaultdict[str, list[Figures]]] = {}
        for number in range((self.end - self.start).days + 1):
            lines.setdefault(unit.first_day(self.start + timedelta(days=number)), defaultdict(list))
        for (day, operator), figures in self.days.items():
            lines[unit.first_day(day)][operator].append(figures)
        sums = {
            first: {operator: total(each) for operator, each in operators.items()} for first, operators in lines.items()
        }
        starts = [max(first, self.start) for first in sums]
        ends = [*(start - timedelta(days=1) for start in starts[1:]), self.end]
        return [Line(*line) for line in zip(starts, ends, sums.values(), strict=True)]


def day_book(
    start: date,
    end: date,
    *,
    currency: str,
    merchant: str = "",
    operator: str = "",
    payments: QuerySet[Payment] | None = None,
) -> DayBook:
    """
    Add up the payments of a period, both days included, in four statements; in six where merchants are many.

    ``payments`` are those that count, all where it is not given. Money of several currencies is never added up.
    Raises ``ValueError`` where the period ends before it begins, is longer than ``MAX_DAYS``, or is not between
    ``FIRST_DAY`` and ``LAST_DAY``.
    """
    if not FIRST_DAY <= start <= end <= LAST_DAY or (end - start).days >= MAX_DAYS:
        raise ValueError(f"no period of at most {MAX_DAYS} days: {start} to {end}")
    period = _Period(start, end)
    payments = (Payment.objects.all() if payments is None else payments).order_by()
    if merchant:
        payments = payments.filter(merchant_id=merchant)
    if operator:
        payments = payments.filter(effective_channel=operator)
    taken = payments.filter(period.holds("settled_at"), status__in=PAID)
    payments = payments.filter(currency=currency)

    rows, merchants = _taken(taken, period.day_of("settled_at"), currency)
    days: _Sums[tuple[date, str]] = _Sums()
    for row in rows:
        if row["currency"] == currency:
            days.add((row["day"], row["effective_channel"]), payments=row["count"], taken=row["sum"])
    median = _median(taken.filter(currency=currency), sum(numbers["payments"] for numbers in days.values()))
    refunds = Refund.objects.using(payments.db).filter(
        refunded_on__range=(start, end), payment__in=payments.values("pk")
    )
    for day, code, count, refunded in (
        refunds.order_by()
        .values_list("refunded_on", "payment__effective_channel")
        .annotate(count=Count("*"), sum=Sum("amount"))
    ):
        days.add((day, code), refunds=count, refunded=refunded)
    created = payments.filter(period.holds("created_at"))
    ways = created.values_list("effective_channel", "status", period.day_of("created_at"), _SENT, _OPENED)
    for code, status, day, was_sent, was_opened, number in ways.annotate(count=Count("*")):
        _add_way(days[day, code], status, was_sent, was_opened, number)
    return DayBook(
        start=start,
        end=end,
        currency=currency,
        days=days.figures(),
        merchants=merchants,
        median=median,
        other_currencies=sorted({row["currency"] for row in rows} - {currency}),
    )


Key = TypeVar("Key")


class _Sums(defaultdict[Key, defaultdict[str, int]]):
    """Figures on the way: the rows are many more than the sums."""

    def __init__(self) -> None:
        super().__init__(lambda: defaultdict(int))

    def add(self, key: Key, **numbers: int) -> None:
        sums = self[key]
        for name, number in numbers.items():
            sums[name] += number

    def figures(self) -> dict[Key, Figures]:
        return {key: Figures(**sums) for key, sums in self.items()}


def _taken(
    payments: "QuerySet[Any]", day: Expression, currency: str
) -> tuple[Collection[Mapping[str, Any]], dict[str, Figures]]:
    """Return what was taken by day, operator and currency; and by merchant, in one currency."""
    sums = {"count": Count("*"), "sum": Sum("amount")}
    rows: Any = list(
        payments.values("effective_channel", "currency", "merchant_id", day=day).annotate(**sums)[: MAX_ROWS + 1]
    )
    merchants: _Sums[str] = _Sums()
    by_merchant = rows
    if len(rows) > MAX_ROWS:
        rows = list(payments.values("effective_channel", "currency", day=day).annotate(**sums))
        by_merchant = payments.filter(currency=currency).values("currency", "merchant_id").annotate(**sums)
        by_merchant = by_merchant.order_by("-sum", "merchant_id")[:MAX_MERCHANTS]
    for row in by_merchant:
        if row["currency"] == currency:
            merchants.add(row["merchant_id"], payments=row["count"], taken=row["sum"])
    return rows, dict(sorted(merchants.figures().items(), key=lambda item: (-item[1].taken, item[0]))[:MAX_MERCHANTS])


_SENT = ExpressionWrapper(Q(attempt__gte=1), BooleanField())
_OPENED = ExpressionWrapper(Q(initialized_at__isnull=False), BooleanField())


#: What has become of a payment, as a number of ``Figures``.
ENDS: dict[str, str] = {
    Status.SUCCEEDED: "paid",
    Status.REFUNDED: "paid",
    Status.FAILED: "failed",
    Status.EXPIRED: "expired",
    Status.CANCELLED: "cancelled",
}


def _add_way(sums: dict[str, int], status: str, was_sent: bool, was_opened: bool, number: int) -> None:
    """
    Add how far so many payments have come.

    The answer with the page may have been lost: of a payment that the gateway has told about since, a page was opened.
    """
    is_opened = was_opened or status not in {Status.CREATED, Status.CANCELLED}
    sums["created"] += number
    if is_opened or was_sent:
        sums["sent"] += number
    if is_opened:
        sums["opened"] += number
        if status in ENDS:
            sums[ENDS[status]] += number


def _median(payments: "QuerySet[Any]", count: int) -> timedelta | None:
    """Return the middle duration, or the mean of the two, as every database sorts and not all know medians."""
    durations = payments.annotate(duration=F("settled_at") - F("created_at")).order_by("duration")
    middle = list(durations.values_list("duration", flat=True)[max(0, count - 1) // 2 : count // 2 + 1])
    return sum(middle, timedelta()) / len(middle) if middle else None


class _Period:
    """Days of the current time zone, as moments and as SQL."""

    def __init__(self, start: date, end: date) -> None:
        self.begins = self._midnight(start)
        self.ends = self._midnight(end + timedelta(days=1))

    @staticmethod
    def _midnight(day: date) -> datetime:
        midnight = datetime.combine(day, time.min)
        return timezone.make_aware(midnight).astimezone(fixed_timezone.utc)

    def holds(self, field: str) -> Q:
        return Q((f"{field}__gte", self.begins), (f"{field}__lt", self.ends))

    def day_of(self, field: str) -> Expression:
        """Return the local day of a moment."""
        *before, (_ends, offset) = self._clock
        last = self._shifted(field, offset)
        if not before:
            return last
        return Case(
            *(When(Q((f"{field}__lt", ends)), then=self._shifted(field, offset)) for ends, offset in before),
            default=last,
        )

    @staticmethod
    def _shifted(field: str, offset: timedelta) -> Expression:
        return TruncDate(F(field) + offset if offset else F(field), tzinfo=fixed_timezone.utc)

    @cached_property
    def _clock(self) -> list[tuple[datetime, timedelta]]:
        """Return the offsets from UTC in the period, each with the moment that it ends."""
        clock = []
        moment = self.begins
        while moment < self.ends:
            later = min(moment + timedelta(days=1), self.ends)
            if _offset(moment) != _offset(later):
                later = self._change(moment, later)
                clock.append((later, _offset(moment)))
            moment = later
        return [*clock, (self.ends, _offset(self.ends - timedelta(microseconds=1)))]

    @staticmethod
    def _change(before: datetime, after: datetime) -> datetime:
        """Return the second between two moments from which the clock shows what it shows at the later one."""
        while after - before > timedelta(seconds=1):
            middle = before + timedelta(seconds=(after - before).total_seconds() // 2)
            before, after = (middle, after) if _offset(middle) == _offset(before) else (before, middle)
        return after


def _offset(moment: datetime) -> timedelta:
    return timezone.localtime(moment).utcoffset() or timedelta()
