"""
Channel health: how well each payment method works in the last hour, compared with the week before it.

A payment belongs to the time at which its newest page was opened, and succeeds if it is paid within 15 minutes, so an
outage shows within the hour even if no payment is refused and customers just wait. Thresholds, not statistics,
decide: expect a false alarm now and then. If customers choose on the gateway's page, the channel of a payment is
unknown until the gateway reports it.
"""

from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Avg, BooleanField, Count, ExpressionWrapper, F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from django_paiementpro.conf import conf
from django_paiementpro.enums import PAID, ChannelStatus, Status
from django_paiementpro.models import Payment

#: The last hour is compared with the week before it.
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)

#: A payment succeeds if it is paid this soon after its newest page was opened.
PAID_WITHIN = timedelta(minutes=15)

#: For how many seconds the figures are cached: shops ask whenever they show their form.
CACHE_SECONDS = 60
CACHE_KEY = "paiementpro.channel_health.1"

#: Fewer payments in the hour or in the week, or fewer customers in the hour, are too few to tell.
MIN_PAYMENTS = 10
MIN_PAYERS = 5

#: A channel is failing below this share of the payments that usually succeed, if at least this many are missing.
FAILING_SHARE = 2 / 3
MIN_MISSING = 5

#: A channel is slow if customers take this many times the usual time to pay, and this many seconds more.
SLOW_FACTOR = 2
SLOW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Performance:
    """What became of the payments of a channel in a period."""

    #: Paid within 15 minutes.
    paid: int = 0
    #: Refused, expired, paid later, or still waiting after 15 minutes.
    unpaid: int = 0
    #: Opened less than 15 minutes ago, and not counted yet.
    waiting: int = 0
    #: How many customers there were, by telephone number.
    payers: int = 0
    #: The mean time from the page to the payment, of those paid within 15 minutes.
    seconds_to_pay: float | None = None

    @property
    def payments(self) -> int:
        """How many payments the success rate is about."""
        return self.paid + self.unpaid

    @property
    def success_rate(self) -> float | None:
        """From 0 to 1; None without payments."""
        return self.paid / self.payments if self.payments else None


@dataclass(frozen=True, slots=True)
class ChannelHealth:
    """The figures of a channel in the last hour and in the week before it."""

    channel: str
    status: ChannelStatus = ChannelStatus.UNKNOWN
    last_hour: Performance = field(default_factory=Performance)
    last_week: Performance = field(default_factory=Performance)

    @property
    def is_failing(self) -> bool:
        return self.status == ChannelStatus.FAILING

    def as_json(self) -> dict[str, Any]:
        """Return the same for JSON, with the success rates."""
        periods = {"last_hour": self.last_hour, "last_week": self.last_week}
        return {
            "status": str(self.status),
            **{name: {**asdict(period), "success_rate": period.success_rate} for name, period in periods.items()},
        }


def channel_health() -> dict[str, ChannelHealth]:
    """
    Return the health of each channel that is offered, and of any other that customers have used, by its code.

    The figures come from one query, and are cached for a minute. The status is ``failing`` if far fewer payments
    succeed than usual, ``slow`` if customers take far longer than usual, ``unknown`` if there are too few payments to
    tell, else ``ok``. A channel that the shop hides while it is failing becomes ``unknown`` an hour later.
    """
    payments = Payment.objects.all()
    key = f"{CACHE_KEY}.{payments.db}"
    rows = _cached(key)
    if rows is None:
        # Plain values, which any cache can store and another version of this app can read.
        rows = [astuple(health) for health in measure_channels(timezone.now()).values()]
        with suppress(Exception):
            cache.set(key, rows, CACHE_SECONDS)
    known = {
        channel: ChannelHealth(channel, ChannelStatus(status), Performance(*hour), Performance(*week))
        for channel, status, hour, week in rows
    }
    return {code: known.get(code) or ChannelHealth(code) for code in [*conf.channels, *known]}


def _cached(key: str) -> Any:
    """Return the cached value, or None; also if the cache is down, which must not take the shop down."""
    with suppress(Exception):
        return cache.get(key)
    return None


def measure_channels(now: datetime) -> dict[str, ChannelHealth]:
    """Measure the channels that had any payments, in one query."""
    channels: dict[str, dict[bool, Performance]] = {}
    for code, is_recent, number, paid, waiting, payers, time_to_pay in _rows(now):
        seconds = None if time_to_pay is None else time_to_pay.total_seconds()
        performance = Performance(paid, number - paid - waiting, waiting, payers, seconds)
        channels.setdefault(code, {})[bool(is_recent)] = performance
    return {
        code: _compare(code, periods.get(True, Performance()), periods.get(False, Performance()))
        for code, periods in sorted(channels.items())
    }


def _rows(now: datetime) -> Any:
    """Count the payments created since the week began, by channel, and by whether they belong to the last hour."""
    paid = Q(status__in=PAID, settled_at__lte=F("opened_at") + PAID_WITHIN)
    waiting = Q(status__in=[Status.CREATED, Status.PENDING], opened_at__gt=now - PAID_WITHIN)
    return (
        Payment.objects.filter(created_at__gte=now - HOUR - WEEK, created_at__lte=now, is_verification=False)
        .exclude(effective_channel="")
        .exclude(status=Status.CANCELLED)
        .exclude(status__in=[Status.CREATED, Status.EXPIRED], attempt=0)
        .order_by()
        .annotate(opened_at=Coalesce("initialized_at", "created_at"))
        .annotate(is_recent=ExpressionWrapper(Q(opened_at__gte=now - HOUR), BooleanField()))
        .values_list("effective_channel", "is_recent")
        .annotate(
            number=Count("pk"),
            paid=Count("pk", filter=paid),
            waiting=Count("pk", filter=waiting),
            payers=Count("customer_phone", distinct=True),
            time_to_pay=Avg(F("settled_at") - F("opened_at"), filter=paid),
        )
    )


def _compare(code: str, hour: Performance, week: Performance) -> ChannelHealth:
    return ChannelHealth(code, _status(hour, week), hour, week)


def _status(hour: Performance, week: Performance) -> ChannelStatus:
    if not week.success_rate or min(hour.payments, week.payments) < MIN_PAYMENTS or hour.payers < MIN_PAYERS:
        return ChannelStatus.UNKNOWN
    usual = week.success_rate * hour.payments
    if hour.paid < usual * FAILING_SHARE:
        return ChannelStatus.FAILING if usual - hour.paid >= MIN_MISSING else ChannelStatus.UNKNOWN
    return ChannelStatus.SLOW if _is_slow(hour, week) else ChannelStatus.OK


def _is_slow(hour: Performance, week: Performance) -> bool:
    usual, seconds = week.seconds_to_pay, hour.seconds_to_pay
    if usual is None or seconds is None or min(hour.paid, week.paid) < MIN_PAYMENTS:
        return False
    return seconds >= max(usual * SLOW_FACTOR, usual + SLOW_SECONDS)
