"""
Takings, refunds and success rates, per day, payment method and merchant.

The database computes the sums; no payment is read. Days are those of the current time zone, whose offset from UTC is
put into the SQL as a number, because many MariaDB servers have no time zone tables.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
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

from django_paiementpro.admin.periods import start_of
from django_paiementpro.enums import PAID, Status
from django_paiementpro.models import Payment, Refund, StatementLine

#: The longest period: a year, including leap years.
MAX_DAYS = 366

#: Databases and time zones disagree about dates further away.
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2099, 12, 31)

#: How many merchants have a line of their own; the others share one.
MAX_MERCHANTS = 50

#: How many sums per day, payment method and merchant are read; if there are more, merchants get a query of their own.
MAX_ROWS = 10_000


class Unit(TextChoices):
    """The length of a line's period."""

    DAY = "day", pgettext_lazy("unit of time", "Day")
    WEEK = "week", pgettext_lazy("unit of time", "Week")
    MONTH = "month", pgettext_lazy("unit of time", "Month")

    def first_day(self, day: date) -> date:
        """Return the first day of the day's week, which starts on Monday, or of its month."""
        if self == Unit.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self == Unit.MONTH else day


@dataclass(frozen=True)
class Figures:
    """
    Sums, in one currency.

    ``payments`` to ``refunded`` count on the day the money moved, ``created`` to ``cancelled`` on the day the payment
    was created.
    """

    payments: int = 0
    taken: int = 0
    refunds: int = 0
    refunded: int = 0

    created: int = 0
    #: A payment page was requested.
    sent: int = 0
    #: The gateway opened a page. The payment then has one of the outcomes below, or is still waiting.
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
        """How many failed or expired."""
        return self.failed + self.expired

    @property
    def success_rate(self) -> float | None:
        """Return the share of opened pages that were paid, not counting payments that the shop cancelled."""
        return ratio(self.paid, self.opened - self.cancelled)

    @property
    def failure_rate(self) -> float | None:
        return ratio(self.unpaid, self.opened)


@dataclass(frozen=True)
class Fees:
    """What the gateway kept, by its statements, of the payments that these have."""

    payments: int = 0
    amount: int = 0


_values = attrgetter(*(field.name for field in fields(Figures)))


def ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def total(figures: Iterable[Figures]) -> Figures:
    return Figures(*map(sum, zip(*map(_values, figures), strict=True)))


@dataclass(frozen=True)
class Line:
    """A day, week or month, cut to the report's period."""

    start: date
    end: date
    channels: Mapping[str, Figures]

    @cached_property
    def figures(self) -> Figures:
        return total(self.channels.values())


@dataclass(frozen=True)
class DayBook:
    """The figures of a period, in one currency."""

    start: date
    end: date
    currency: str
    #: By day and channel, which is empty until the customer has chosen one.
    days: Mapping[tuple[date, str], Figures]
    #: By merchant, the highest takings first; at most ``MAX_MERCHANTS``.
    merchants: Mapping[str, Figures]
    #: The median time from created to paid, of the payments paid in the period.
    median: timedelta | None
    #: The other currencies that have takings.
    other_currencies: list[str]
    #: The fees of the payments paid in the period, as far as statements were imported.
    fees: Fees = Fees()

    @cached_property
    def total(self) -> Figures:
        return total(self.days.values())

    @property
    def other_merchants(self) -> Figures:
        """The takings of the merchants without a line of their own."""
        shown = total(self.merchants.values())
        return Figures(payments=self.total.payments - shown.payments, taken=self.total.taken - shown.taken)

    @cached_property
    def channels(self) -> dict[str, Figures]:
        """The figures by channel, highest takings first."""
        by_channel: defaultdict[str, list[Figures]] = defaultdict(list)
        for (_day, channel), figures in self.days.items():
            by_channel[channel].append(figures)
        sums = {channel: total(each) for channel, each in by_channel.items()}
        return dict(sorted(sums.items(), key=lambda item: (-item[1].taken, -item[1].opened, item[0])))

    def lines(self, unit: Unit) -> list[Line]:
        """Return a line for each day, week or month, including those without payments."""
        lines: dict[date, defaultdict[str, list[Figures]]] = {}
        for number in range((self.end - self.start).days + 1):
            lines.setdefault(unit.first_day(self.start + timedelta(days=number)), defaultdict(list))
        for (day, channel), figures in self.days.items():
            lines[unit.first_day(day)][channel].append(figures)
        sums = {
            first: {channel: total(each) for channel, each in channels.items()} for first, channels in lines.items()
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
    channel: str = "",
    payments: QuerySet[Payment] | None = None,
) -> DayBook:
    """
    Return the figures of a period, including both its days, in five queries, or seven if there are many merchants.

    ``payments`` are the payments that count, by default all. Currencies are never added together. Raises
    ``ValueError`` if the period ends before it starts, is longer than ``MAX_DAYS``, or is not between ``FIRST_DAY`` and
    ``LAST_DAY``.
    """
    if not FIRST_DAY <= start <= end <= LAST_DAY or (end - start).days >= MAX_DAYS:
        raise ValueError(f"not a period of at most {MAX_DAYS} days: {start} to {end}")
    period = _Period(start, end)
    payments = (Payment.objects.all() if payments is None else payments).filter(is_verification=False).order_by()
    if merchant:
        payments = payments.filter(merchant_id=merchant)
    if channel:
        payments = payments.filter(effective_channel=channel)
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
    groups = created.values_list("effective_channel", "status", period.day_of("created_at"), _SENT, _OPENED, _SETTLED)
    for code, status, day, *steps, number in groups.annotate(count=Count("*")):
        _add_outcome(days[day, code], status, steps, number)
    return DayBook(
        start=start,
        end=end,
        currency=currency,
        days=days.figures(),
        merchants=merchants,
        median=median,
        other_currencies=sorted({row["currency"] for row in rows} - {currency}),
        fees=_fees(taken.filter(currency=currency), currency),
    )


def _fees(payments: "QuerySet[Any]", currency: str) -> Fees:
    lines = StatementLine.objects.using(payments.db).filter(is_refund=False, net__isnull=False, currency=currency)
    lines = lines.filter(payment__in=payments.values("pk"))
    sums = lines.aggregate(payments=Count("payment", distinct=True), amount=Sum(F("amount") - F("net"), default=0))
    return Fees(**sums)


Key = TypeVar("Key")


class _Sums(defaultdict[Key, defaultdict[str, int]]):
    """Figures being added up."""

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
    """Return the takings by day, channel and currency; and, in one currency, by merchant."""
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
_SETTLED = ExpressionWrapper(Q(settled_attempt__isnull=False), BooleanField())


#: The field of ``Figures`` that counts the payments of a status.
OUTCOMES: dict[str, str] = {
    Status.SUCCEEDED: "paid",
    Status.REFUNDED: "paid",
    Status.FAILED: "failed",
    Status.EXPIRED: "expired",
    Status.CANCELLED: "cancelled",
}


def _add_outcome(sums: dict[str, int], status: str, steps: Iterable[bool], number: int) -> None:
    """
    Count payments by the furthest step they reached.

    If the gateway has reported an outcome, a page was opened, even if the answer with its address was lost. A payment
    that expired after a failure counts as failed.
    """
    was_sent, was_opened, was_settled = steps
    if status == Status.EXPIRED and was_settled:
        status = Status.FAILED
    is_opened = was_opened or status in {*PAID, Status.PENDING, Status.FAILED}
    sums["created"] += number
    if is_opened or was_sent:
        sums["sent"] += number
    if is_opened:
        sums["opened"] += number
        if status in OUTCOMES:
            sums[OUTCOMES[status]] += number


def _median(payments: "QuerySet[Any]", count: int) -> timedelta | None:
    """Return the median time to pay. Every database can sort, but not all can compute a median."""
    durations = payments.annotate(duration=F("settled_at") - F("created_at")).order_by("duration")
    middle = list(durations.values_list("duration", flat=True)[max(0, count - 1) // 2 : count // 2 + 1])
    return sum(middle, timedelta()) / len(middle) if middle else None


class _Period:
    """Days of the current time zone, as moments and as SQL."""

    def __init__(self, start: date, end: date) -> None:
        self.begins = start_of(start).astimezone(fixed_timezone.utc)
        self.ends = start_of(end + timedelta(days=1)).astimezone(fixed_timezone.utc)

    def holds(self, field: str) -> Q:
        """Return the condition that a moment is in the period."""
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
        """Return the UTC offsets of the period, each with the moment at which it ends."""
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
        """Return the second between two moments at which the UTC offset changes to the later one's."""
        while after - before > timedelta(seconds=1):
            middle = before + timedelta(seconds=(after - before).total_seconds() // 2)
            before, after = (middle, after) if _offset(middle) == _offset(before) else (before, middle)
        return after


def _offset(moment: datetime) -> timedelta:
    return timezone.localtime(moment).utcoffset() or timedelta()
