import itertools
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.core.cache.backends.base import BaseCache
from django.utils import timezone

from django_paiementpro.enums import Channel
from django_paiementpro.models import Payment
from django_paiementpro.monitoring.channel_health import (
    CACHE_KEY,
    WEEK,
    ChannelHealth,
    channel_health,
    measure_channels,
)
from tests.conftest import Statements

pytestmark = pytest.mark.django_db

ORANGE, MTN, WAVE = Channel.ORANGE_CI, Channel.MTN_CI, Channel.WAVE_CI
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

#: How long ago: in the week before the last hour, and in the last hour.
BEFORE, LATELY = timedelta(days=3), 45 * MINUTE

#: Each payment is another customer's.
numbers = itertools.count()


def tried(number: int, status: str, ago: timedelta, seconds: float | None = None, **values: Any) -> None:
    """Create payments whose page was opened a while ago. By default it takes a minute to pay and 20 s to fail."""
    opened_at = timezone.now() - ago
    seconds = {"succeeded": 60, "refunded": 60, "failed": 20}.get(status) if seconds is None else seconds
    common = {
        "amount": 1000,
        "currency": "XOF",
        "channel": ORANGE,
        "status": status,
        "attempt": 1,
        "created_at": opened_at,
        "initialized_at": opened_at,
        "settled_at": None if seconds is None else opened_at + timedelta(seconds=seconds),
        **values,
    }
    Payment.objects.bulk_create(Payment(**{"customer_phone": f"07{next(numbers):08}", **common}) for _ in range(number))


def usual(paid: int = 90, unpaid: int = 10, **values: Any) -> None:
    """Create the payments of an ordinary week."""
    tried(paid, "succeeded", BEFORE, **values)
    tried(unpaid, "failed", BEFORE, **values)


def orange() -> ChannelHealth:
    cache.clear()
    return channel_health()[ORANGE]


# Failing


def test_channel_on_which_nothing_succeeds_is_failing() -> None:
    usual()
    tried(10, "failed", LATELY)

    health = orange()

    assert (health.status, health.is_failing) == ("failing", True)
    assert (health.last_hour.success_rate, health.last_hour.payments, health.last_hour.payers) == (0, 10, 10)
    assert (health.last_week.success_rate, health.last_week.payments) == (0.9, 100)


@pytest.mark.parametrize(
    ("week", "hour", "status"),
    [
        # Paid and unpaid, in the week and in the hour: at least ten payments each.
        ((9, 0), (0, 10), "unknown"),
        ((10, 0), (0, 10), "failing"),
        ((90, 10), (0, 9), "unknown"),
        # Fewer than two thirds of the usual rate.
        ((100, 0), (40, 20), "ok"),
        ((100, 0), (39, 21), "failing"),
        # At least five payments fewer than usual.
        ((40, 60), (0, 12), "unknown"),
        ((40, 60), (1, 14), "failing"),
        ((40, 60), (2, 14), "unknown"),
        # As usual, and better.
        ((40, 60), (4, 6), "ok"),
        ((20, 10), (20, 0), "ok"),
        # No payment was ever made within 15 minutes: there is nothing to compare with.
        ((0, 60), (0, 60), "unknown"),
        ((1, 60), (0, 0), "unknown"),
    ],
)
def test_thresholds_decide_the_status(week: tuple[int, int], hour: tuple[int, int], status: str) -> None:
    usual(*week)
    tried(hour[0], "succeeded", LATELY)
    tried(hour[1], "failed", LATELY)

    assert orange().status == status


@pytest.mark.parametrize(("others", "status"), [(3, "unknown"), (4, "failing")])
def test_fewer_than_five_customers_are_too_few(others: int, status: str) -> None:
    usual()
    tried(8, "pending", LATELY, customer_phone="0707123456")
    tried(others, "pending", LATELY)

    assert orange().status == status


# What counts


def test_customers_who_wait_for_long_are_an_outage() -> None:
    usual()
    tried(10, "pending", 16 * MINUTE)

    assert (orange().status, orange().last_hour.unpaid, orange().last_hour.waiting) == ("failing", 10, 0)


def test_customers_who_began_a_moment_ago_are_not_counted_yet() -> None:
    usual()
    tried(10, "pending", 14 * MINUTE)

    assert (orange().status, orange().last_hour.payments, orange().last_hour.waiting) == ("unknown", 0, 10)


def test_channel_that_is_usually_paid_late_is_not_failing() -> None:
    usual(seconds=3 * 3600)
    tried(30, "pending", LATELY)

    assert (orange().status, orange().last_week.paid) == ("unknown", 0)


def test_each_state_counts_for_what_it_means() -> None:
    usual()
    tried(3, "succeeded", LATELY)
    tried(2, "refunded", LATELY, 900)
    tried(1, "succeeded", LATELY, attempt=0)  # the host took it to the gateway itself
    tried(4, "failed", LATELY)
    tried(3, "expired", LATELY, 86_400)
    tried(1, "succeeded", LATELY, 901)
    tried(2, "created", LATELY, initialized_at=None)
    tried(5, "pending", 4 * MINUTE)
    tried(2, "created", 4 * MINUTE, initialized_at=None)
    # Never taken to the gateway, and given up by the shop.
    tried(50, "created", LATELY, initialized_at=None, attempt=0)
    tried(50, "cancelled", LATELY)

    hour = orange().last_hour

    assert (hour.paid, hour.unpaid, hour.waiting) == (6, 10, 7)


def test_bounds_of_the_hour_and_the_week() -> None:
    now = datetime(2026, 11, 2, 12, tzinfo=timezone.get_default_timezone())
    tick = timedelta(microseconds=1)
    values = {"amount": 1, "currency": "XOF", "channel": ORANGE, "status": "succeeded", "attempt": 1}
    for ago in (-tick, 0 * tick, HOUR, HOUR + tick, WEEK + HOUR, WEEK + HOUR + tick):
        at = now - ago
        Payment.objects.create(**values, created_at=at, initialized_at=at, settled_at=at + MINUTE)

    health = measure_channels(now)[ORANGE]

    assert (health.last_hour.paid, health.last_week.paid) == (2, 2)
    assert measure_channels(now - 2 * WEEK) == {}


def test_payment_belongs_to_the_hour_of_its_newest_page() -> None:
    opened_at = timezone.now() - LATELY
    tried(3, "refunded", BEFORE, initialized_at=opened_at, settled_at=opened_at + MINUTE)

    health = orange()

    assert (health.last_hour.paid, health.last_hour.seconds_to_pay, health.last_week.paid) == (3, 60, 0)


def test_channel_is_the_used_or_requested_one(settings: Any) -> None:
    settings.PAIEMENTPRO_CHANNELS = [WAVE, ("NEW", "New")]
    tried(1, "succeeded", LATELY, channel=WAVE, gateway_channel=MTN)
    tried(1, "failed", LATELY, channel=MTN)
    tried(1, "pending", LATELY, channel="")

    channels = channel_health()

    assert list(channels) == [WAVE, "NEW", MTN]
    assert channels["NEW"] == ChannelHealth("NEW")
    assert channels[MTN].last_hour.payments == 2


def test_channels_without_payments_are_unknown() -> None:
    assert list(channel_health()) == Channel.values
    assert {health.status for health in channel_health().values()} == {"unknown"}
    assert orange().last_hour.success_rate is None


# Slow


@pytest.mark.parametrize(
    ("usually", "number", "seconds", "status"),
    [
        (60, 10, 119, "ok"),
        (60, 10, 120, "slow"),
        (60, 9, 800, "ok"),
        (30, 10, 89, "ok"),
        (30, 10, 90, "slow"),
        (300, 10, 599, "ok"),
        (300, 10, 600, "slow"),
    ],
)
def test_channel_that_takes_far_longer_is_slow(usually: int, number: int, seconds: int, status: str) -> None:
    usual(seconds=usually)
    tried(number, "succeeded", LATELY, seconds)
    tried(10 - number, "failed", LATELY)

    health = orange()

    assert health.status == status
    assert (health.last_week.seconds_to_pay, health.last_hour.seconds_to_pay) == (usually, seconds)


def test_too_few_payments_in_the_week_are_not_slow() -> None:
    usual(paid=9, unpaid=9)
    tried(10, "succeeded", LATELY, 800)

    assert orange().status == "ok"


def test_time_to_pay_is_the_mean_of_those_paid_in_time() -> None:
    for seconds in (10, 20, 60.5):
        tried(1, "succeeded", LATELY, seconds)
    tried(1, "succeeded", LATELY, 1000)
    tried(1, "failed", LATELY, 1)

    assert orange().last_hour.seconds_to_pay == pytest.approx(30.166667, abs=0.00001)


# The answer


class AwayCache(BaseCache):
    """A cache whose server does not answer."""

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        raise ConnectionError

    def set(self, *args: Any, **kwargs: Any) -> None:
        raise ConnectionError


def test_unavailable_cache_does_not_break_the_shop(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.AwayCache"}}
    usual()
    tried(10, "failed", LATELY)

    assert channel_health()[ORANGE].status == "failing"


def test_figures_take_one_query_and_are_cached_for_a_minute(
    statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual()
    tried(10, "failed", LATELY)
    for code in Channel.values:
        tried(1, "succeeded", LATELY, channel=code)

    with statements:
        first = channel_health()
    assert len(statements) == 1
    with statements:
        assert channel_health() == first
    assert statements == []
    rows = cache.get(f"{CACHE_KEY}.default")
    assert {type(value) for row in rows for value in (*row[2], *row[3])} <= {int, float, type(None)}
    first_at = time.time()
    for later, number in ((50, 0), (61, 1)):
        monkeypatch.setattr(time, "time", lambda later=later: first_at + later)
        with statements:
            channel_health()
        assert len(statements) == number


def test_channel_health_as_json() -> None:
    usual()
    tried(10, "failed", LATELY)

    found = orange().as_json()

    assert found["status"] == "failing"
    assert found["last_hour"] == {
        "paid": 0,
        "unpaid": 10,
        "waiting": 0,
        "payers": 10,
        "seconds_to_pay": None,
        "success_rate": 0,
    }
    assert found["last_week"]["success_rate"] == 0.9
