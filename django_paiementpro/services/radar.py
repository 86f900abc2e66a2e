"""
The outage radar: how each operator fares in the last hour, against the week before it.

An outage shows in two ways: the operator refuses at once, or payers are left waiting until their payment expires, a
day later. So that both are seen within the hour, a payment that waits for longer than payers of this operator do is
counted as not paid; one that waits for less is not counted yet.

What is compared are payments, each in the hour in which its newest page was opened: a payer who tried again has one.
Where the payer chooses on the gateway's page, the operator is known only once the gateway has told of it.
"""

import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, Count, ExpressionWrapper, FloatField, Func, Q, Value
from django.db.models.functions import Coalesce, Floor, Greatest, Ln
from django.db.models.sql.compiler import SQLCompiler
from django.utils import timezone

from django_paiementpro.conf import conf
from django_paiementpro.enums import PAID, ChannelVerdict, Status
from django_paiementpro.models import Payment

#: The last hour is judged by the week before it.
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)

#: For how many seconds an answer serves: shops ask each time that they show their form.
CACHE_SECONDS = 60

#: So few payments, or payers, tell nothing: of the last hour, and of the week before it.
MIN_RECENT = 5
MIN_USUAL = 20

#: Below this part of its usual success rate an operator is failing.
FAILING_SHARE = 2 / 3

#: An operator is slow from so many times its usual time to pay on, and from so many seconds more.
SLOW_FACTOR = 2
SLOW_SECONDS = 60

#: Alarm is given where chance would have it less often than this: some ten operators are judged, once a minute.
CHANCE = 0.001

#: Of what is usual the end is taken that makes for fewer alarms: one-sided, with 95 % confidence.
Z = 1.645

#: A payer is patient for as long as nine in ten of those who paid were, and for so many seconds at least.
PATIENCE_SHARE = 0.9
MIN_PATIENCE_SECONDS = 300

#: Times are counted in steps, of which ten make a factor of e: they are right to within a twentieth or so.
STEPS = 10

CACHE_KEY = "paiementpro.channel_health.1"

#: How many payments took so many steps.
Times = Counter[int]


@dataclass(frozen=True, slots=True)
class Performance:
    """What became of the payments that were taken to an operator in some time."""

    paid: int = 0
    #: Refused, expired, without a page, or waiting for longer than payers do.
    unpaid: int = 0
    #: Not counted yet.
    waiting: int = 0
    #: The median of those paid, from the newest page to the money, right to within a twentieth or so.
    seconds_to_pay: float | None = None

    @property
    def payments(self) -> int:
        """How many are behind the success rate."""
        return self.paid + self.unpaid

    @property
    def success_rate(self) -> float | None:
        """From 0 to 1; None where nothing is counted."""
        return self.paid / self.payments if self.payments else None


@dataclass(frozen=True, slots=True)
class ChannelHealth:
    """How an operator fares. The week is the one before the hour."""

    channel: str
    verdict: ChannelVerdict = ChannelVerdict.UNKNOWN
    last_hour: Performance = field(default_factory=Performance)
    last_week: Performance = field(default_factory=Performance)

    @property
    def is_failing(self) -> bool:
        return self.verdict == ChannelVerdict.FAILING

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON has it, with the success rates."""
        windows = {"last_hour": self.last_hour, "last_week": self.last_week}
        return {
            "verdict": str(self.verdict),
            **{name: {**asdict(window), "success_rate": window.success_rate} for name, window in windows.items()},
        }


def channel_health() -> dict[str, ChannelHealth]:
    """
    Tell by operator's code how those offered fare, and any others that payers have used, as of a minute ago at most.

    The verdict is ``failing`` where far fewer payments come through than usual, ``slow`` where they take far longer,
    ``unknown`` where too few were made in the last hour to tell, else ``ok``. It takes two statements, or the cache.
    A shop that hides an operator while it is failing sees it again an hour later, and soon knows whether it is well.
    """
    payments = Payment.objects.all()
    key = f"{CACHE_KEY}.{payments.db}"
    rows = _cached(key)
    if rows is None:
        # In words that any cache can keep, and another version of this app can read.
        rows = [astuple(health) for health in measure_channels(timezone.now()).values()]
        with suppress(Exception):
            cache.set(key, rows, CACHE_SECONDS)
    known = {
        channel: ChannelHealth(channel, ChannelVerdict(verdict), Performance(*hour), Performance(*week))
        for channel, verdict, hour, week in rows
    }
    return {code: known.get(code) or ChannelHealth(code) for code in [*conf.channels, *known]}


def _cached(key: str) -> Any:
    """Return what the cache has; nothing where it is away: a shop must not fall with its cache."""
    with suppress(Exception):
        return cache.get(key)
    return None


def measure_channels(now: datetime) -> dict[str, ChannelHealth]:
    """Do it now, in two statements, for the operators that had any payments."""
    operators: dict[str, tuple[_Window, _Window]] = {}
    for channel, status, is_recent, step, number in _rows(now):
        if channel:
            hour, week = operators.setdefault(channel, (_Window(), _Window()))
            (hour if is_recent else week).add(status, int(step), number)
    payers = _payers(now)
    return {
        channel: _judge(channel, hour, week, payers.get(channel, 0))
        for channel, (hour, week) in sorted(operators.items())
    }


def _payers(now: datetime) -> dict[str, int]:
    """Count by operator who was taken to it in the last hour: one payer, however often, raises no alarm."""
    recent = Payment.objects.filter(
        Q(initialized_at__gte=now - HOUR) | Q(created_at__gte=now - HOUR),
        created_at__gte=now - DAY,
        created_at__lte=now,
    )
    return dict(recent.order_by().values_list("effective_channel").annotate(Count("customer_phone", distinct=True)))


class _Seconds(Func):
    """A duration as seconds; databases without a type for it have it in microseconds."""

    output_field = FloatField()

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *args: Any, **context: Any) -> Any:
        seconds = "CAST(EXTRACT(EPOCH FROM %(expressions)s) AS double precision)"
        template = seconds if connection.features.has_native_duration_field else "(%(expressions)s) / 1000000.0"
        return super().as_sql(compiler, connection, None, template, **context)


def _rows(now: datetime) -> Any:
    """
    Count the payments by operator, status, hour or week, and time: to the money, or to now where it has not come.

    Those are looked at that were made in this time: what was made long before it is taken to the gateway is not seen.
    """
    opened_at = Coalesce("initialized_at", "created_at")
    ended_at = Coalesce("settled_at", Value(now))
    seconds = Greatest(_Seconds(ended_at - opened_at), Value(1.0))
    return (
        Payment.objects.filter(created_at__gte=now - HOUR - WEEK, created_at__lte=now)
        .exclude(status=Status.CANCELLED)
        .exclude(status=Status.CREATED, attempt=0)
        .order_by()
        .annotate(opened_at=opened_at)
        .annotate(
            is_recent=ExpressionWrapper(Q(opened_at__gte=now - HOUR), BooleanField()),
            step=Floor(Ln(seconds) * STEPS),
        )
        .values_list("effective_channel", "status", "is_recent", "step")
        .annotate(number=Count("*"))
    )


class _Window:
    """The payments of one operator in some time."""

    def __init__(self) -> None:
        self.paid = Times()
        self.waiting = Times()
        self.unpaid = 0

    def add(self, status: str, step: int, number: int) -> None:
        if status in PAID:
            self.paid[step] += number
        elif status in {Status.PENDING, Status.CREATED}:
            self.waiting[step] += number
        else:
            self.unpaid += number

    def performance(self, patience: float) -> Performance:
        """Return its figures, where payers wait for so many seconds."""
        given_up = _longer_than(self.waiting, patience)
        return Performance(
            paid=self.paid.total(),
            unpaid=self.unpaid + given_up,
            waiting=self.waiting.total() - given_up,
            seconds_to_pay=_quantile(self.paid, 0.5),
        )


def _judge(channel: str, hour: _Window, week: _Window, payers: int) -> ChannelHealth:
    usual = _quantile(week.paid, PATIENCE_SHARE)
    # Where nobody knows how long payers wait, the clock of the expiry decides.
    patience = conf.expires_after.total_seconds() if usual is None else max(usual, MIN_PATIENCE_SECONDS)
    last_hour, last_week = hour.performance(patience), week.performance(patience)
    verdict = _verdict(last_hour, last_week, lambda: _is_slow(hour.paid, week.paid))
    if verdict == ChannelVerdict.FAILING and last_week.paid and payers < MIN_RECENT:
        verdict = ChannelVerdict.UNKNOWN
    return ChannelHealth(channel, verdict, last_hour, last_week)


def _verdict(hour: Performance, week: Performance, is_slow: Callable[[], bool]) -> ChannelVerdict:
    if not hour.paid + week.paid and hour.payments + week.payments >= MIN_USUAL:
        return ChannelVerdict.FAILING
    rate, usual_rate = hour.success_rate, week.success_rate
    if rate is None or usual_rate is None or hour.payments < MIN_RECENT or week.payments < MIN_USUAL:
        return ChannelVerdict.UNKNOWN
    if rate < usual_rate * FAILING_SHARE:
        chance = at_most(hour.paid, hour.payments, _lower_bound(week.paid, week.payments))
        return ChannelVerdict.FAILING if chance < CHANCE else ChannelVerdict.UNKNOWN
    return ChannelVerdict.SLOW if is_slow() else ChannelVerdict.OK


def _is_slow(hour: Times, week: Times) -> bool:
    """Return whether more than half of those who paid took far longer than usual, and not by chance."""
    usual = _quantile(week, 0.5)
    if usual is None or hour.total() < MIN_RECENT or week.total() < MIN_USUAL:
        return False
    limit = max(usual * SLOW_FACTOR, usual + SLOW_SECONDS)
    late, payments = _longer_than(hour, limit), hour.total()
    in_time = week.total() - _longer_than(week, limit)
    # That so many were late is that so few were in time.
    return late * 2 > payments and at_most(payments - late, payments, _lower_bound(in_time, week.total())) < CHANCE


def at_most(successes: int, tries: int, rate: float) -> float:
    """Return how probable it is that of so many tries at most so many succeed, where each does so at this rate."""
    if rate <= 0 or successes >= tries:
        return 1.0
    if rate >= 1:
        return 0.0
    return math.fsum(
        math.exp(
            math.lgamma(tries + 1)
            - math.lgamma(number + 1)
            - math.lgamma(tries - number + 1)
            + number * math.log(rate)
            + (tries - number) * math.log1p(-rate)
        )
        for number in range(successes + 1)
    )


def _lower_bound(successes: int, tries: int) -> float:
    """Return the lowest rate that goes with these numbers (Wilson's interval)."""
    rate, square = successes / tries, Z * Z
    spread = Z * math.sqrt(rate * (1 - rate) / tries + square / (4 * tries * tries))
    return max(0.0, (rate + square / (2 * tries) - spread) / (1 + square / tries))


def _quantile(times: Times, share: float) -> float | None:
    """Return within how many seconds this share of them was."""
    rank = share * times.total()
    for step in sorted(times):
        rank -= times[step]
        if rank <= 0:
            return _seconds(step)
    return None


def _longer_than(times: Times, seconds: float) -> int:
    return sum(number for step, number in times.items() if _seconds(step) > seconds)


def _seconds(step: int) -> float:
    """Return the middle of a step."""
    return math.exp((step + 0.5) / STEPS)
