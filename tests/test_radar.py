import itertools
import math
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from statistics import median_low
from typing import Any

import pytest
from django.core.cache import cache
from django.core.cache.backends.base import BaseCache
from django.db import connection
from django.utils import timezone

from django_paiementpro.enums import Channel
from django_paiementpro.models import Payment
from django_paiementpro.services import ChannelHealth, Performance, channel_health, radar
from django_paiementpro.services.radar import CACHE_KEY, WEEK, at_most, measure_channels
from tests.conftest import Statements

pytestmark = pytest.mark.django_db

ORANGE, MTN, WAVE = Channel.ORANGE_CI, Channel.MTN_CI, Channel.WAVE_CI
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

#: Moments of the week before the last hour, and of the last hour.
BEFORE, LATELY = timedelta(days=3), 45 * MINUTE


#: Each payment is another payer's.
numbers = itertools.count()


def tried(number: int, status: str, ago: timedelta, seconds: float | None = None, **values: Any) -> list[Payment]:
    """Make payments that were taken to Orange Money a while ago; those paid took a minute, others failed in 20 s."""
    opened_at = timezone.now() - ago
    times = {"succeeded": 60, "refunded": 60, "failed": 20}
    took = times.get(status) if seconds is None else seconds
    common = {
        "amount": 1000,
        "currency": "XOF",
        "channel": ORANGE,
        "status": status,
        "attempt": 1,
        "created_at": opened_at,
        "initialized_at": opened_at,
        "settled_at": None if took is None else opened_at + timedelta(seconds=took),
        **values,
    }
    return Payment.objects.bulk_create(
        Payment(**{"customer_phone": f"07{next(numbers):08}", **common}) for _ in range(number)
    )


def orange() -> ChannelHealth:
    cache.clear()
    return channel_health()[ORANGE]


def usual(paid: int = 90, unpaid: int = 10, **values: Any) -> None:
    """Make a week as it always was."""
    tried(paid, "succeeded", BEFORE, **values)
    tried(unpaid, "failed", BEFORE, **values)


def test_an_operator_through_which_nothing_comes_is_failing() -> None:
    usual()
    tried(8, "failed", LATELY)

    health = orange()

    assert (health.verdict, health.is_failing) == ("failing", True)
    assert (health.last_hour.success_rate, health.last_hour.payments) == (0, 8)
    assert (health.last_week.success_rate, health.last_week.payments) == (0.9, 100)


def test_two_payments_tell_nothing() -> None:
    usual()
    tried(1, "succeeded", LATELY)
    tried(1, "failed", LATELY)

    assert orange().verdict == "unknown"


def test_four_in_an_hour_are_too_few_even_where_none_comes_through() -> None:
    usual(100, 0)
    tried(4, "failed", LATELY)

    assert orange().verdict == "unknown"


@pytest.mark.parametrize(("number", "verdict"), [(19, "unknown"), (20, "failing")])
def test_so_few_in_a_week_do_not_tell_what_is_usual(number: int, verdict: str) -> None:
    usual(number, 0)
    tried(8, "failed", LATELY)

    assert orange().verdict == verdict


def test_few_that_all_came_through_do_not_promise_that_all_will() -> None:
    usual(20, 0)
    tried(3, "succeeded", LATELY)
    tried(2, "failed", LATELY)

    assert orange().verdict == "unknown"


def test_a_new_operator_is_unknown() -> None:
    tried(10, "succeeded", LATELY)
    tried(2, "failed", LATELY)

    assert orange().verdict == "unknown"


def test_an_hour_without_payments_is_unknown() -> None:
    usual()

    health = orange()

    assert (health.verdict, health.last_hour) == ("unknown", Performance())
    assert health.last_hour.success_rate is None


def test_payers_who_all_wait_for_long_are_an_outage() -> None:
    usual()
    tried(8, "pending", 40 * MINUTE)

    health = orange()

    assert health.verdict == "failing"
    assert (health.last_hour.unpaid, health.last_hour.waiting) == (8, 0)


def test_payers_who_began_a_moment_ago_are_not_counted_yet() -> None:
    usual()
    tried(8, "pending", 4 * MINUTE)

    health = orange()

    assert health.verdict == "unknown"
    assert (health.last_hour.payments, health.last_hour.waiting) == (0, 8)


def test_where_payers_take_long_they_are_waited_for() -> None:
    usual(seconds=3 * 3600)
    tried(30, "pending", 40 * MINUTE)

    assert (orange().verdict, orange().last_hour.waiting) == ("unknown", 30)


def test_who_waits_for_just_as_long_as_payers_do_is_not_counted_yet() -> None:
    usual(seconds=570)
    tried(8, "pending", timedelta(seconds=570))

    assert (orange().last_hour.payments, orange().last_hour.waiting) == (0, 8)


def test_each_state_counts_for_what_it_says() -> None:
    usual()
    tried(3, "succeeded", LATELY)
    tried(2, "refunded", LATELY)
    tried(1, "succeeded", LATELY, attempt=0)  # the host took it there itself
    tried(4, "failed", LATELY)
    tried(3, "expired", LATELY, 86_400)
    tried(5, "pending", 4 * MINUTE)
    tried(2, "created", 4 * MINUTE, initialized_at=None)

    hour = orange().last_hour

    assert (hour.paid, hour.unpaid, hour.waiting) == (6, 7, 7)


def test_pages_that_are_refused_are_an_outage() -> None:
    usual()
    tried(8, "created", LATELY, initialized_at=None)
    tried(50, "created", LATELY, initialized_at=None, attempt=0)  # never taken there

    assert (orange().verdict, orange().last_hour.unpaid) == ("failing", 8)


def test_what_the_shop_gave_up_tells_nothing() -> None:
    usual()
    tried(30, "cancelled", LATELY)

    assert orange().last_hour == Performance()


@pytest.mark.parametrize(("paid", "unpaid"), [(4, 6), (8, 12), (40, 60), (30, 60)])
def test_what_is_usual_is_no_outage(paid: int, unpaid: int) -> None:
    usual(80, 120)
    tried(paid, "succeeded", LATELY)
    tried(unpaid, "failed", LATELY)

    health = orange()

    assert health.verdict == "ok"
    assert health.last_week.success_rate == 0.4


def test_so_few_may_fail_by_chance_where_many_do() -> None:
    usual(80, 120)
    tried(8, "failed", LATELY)
    assert orange().verdict == "unknown"

    tried(10, "failed", LATELY)
    assert orange().verdict == "failing"


def test_a_good_operator_is_not_failing_for_being_a_little_worse() -> None:
    usual(9000, 1000)
    tried(700, "succeeded", LATELY)
    tried(300, "failed", LATELY)

    assert orange().verdict == "ok"


def test_two_thirds_of_what_is_usual_are_no_outage() -> None:
    usual(100, 0)
    tried(40, "succeeded", LATELY)
    tried(20, "failed", LATELY)

    assert orange().verdict == "ok"


def test_an_hour_may_bring_as_much_as_the_week() -> None:
    usual(20, 10)
    tried(20, "succeeded", LATELY)

    assert orange().verdict == "ok"


def test_half_an_outage_is_one() -> None:
    usual()
    tried(10, "succeeded", LATELY)
    tried(10, "failed", LATELY)

    assert orange().verdict == "failing"


def test_an_operator_that_was_away_for_all_the_week_is_failing() -> None:
    tried(18, "expired", BEFORE)
    tried(1, "failed", LATELY)
    assert orange().verdict == "unknown"

    tried(1, "failed", LATELY)
    assert orange().verdict == "failing"


def test_an_operator_that_is_back_is_well() -> None:
    tried(60, "expired", BEFORE)
    tried(6, "succeeded", LATELY)

    assert orange().verdict == "ok"


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(60, "ok"), (100, "ok"), (110, "ok"), (150, "slow"), (300, "slow"), (1800, "slow")]
)
def test_an_operator_that_takes_far_longer_is_slow(seconds: int, verdict: str) -> None:
    usual()
    tried(10, "succeeded", LATELY, seconds)

    health = orange()

    assert health.verdict == verdict
    assert health.last_hour.seconds_to_pay == pytest.approx(seconds, rel=0.055)
    assert health.last_week.seconds_to_pay == pytest.approx(60, rel=0.055)


def test_the_fewest_that_tell_anything_tell_that_it_is_slow() -> None:
    usual(20, 0)
    tried(5, "succeeded", LATELY, 600)

    assert orange().verdict == "slow"


def test_where_payers_take_long_half_as_long_again_is_not_slow() -> None:
    usual(seconds=600)
    tried(10, "succeeded", LATELY, 900)

    assert orange().verdict == "ok"


def test_a_few_seconds_more_are_not_slow() -> None:
    usual(seconds=5)
    tried(30, "succeeded", LATELY, 50)

    assert orange().verdict == "ok"


def test_a_few_slow_payers_are_chance() -> None:
    usual()
    tried(4, "succeeded", BEFORE, 600)
    tried(3, "succeeded", LATELY, 600)
    tried(4, "succeeded", LATELY)
    assert orange().verdict == "ok"

    tried(40, "succeeded", BEFORE, 600)  # it happens
    tried(2, "succeeded", LATELY, 600)
    assert orange().verdict == "ok"


def test_where_half_are_in_time_the_rest_do_not_make_it_slow() -> None:
    usual()
    tried(7, "succeeded", LATELY, 600)
    tried(7, "succeeded", LATELY)
    assert orange().verdict == "ok"

    tried(1, "succeeded", LATELY, 600)
    assert orange().verdict == "slow"


def test_too_few_times_are_not_slow() -> None:
    usual(paid=15, unpaid=30)
    tried(10, "succeeded", LATELY, 600)
    assert orange().verdict == "ok"

    Payment.objects.all().delete()
    usual(paid=30, unpaid=30)
    tried(4, "succeeded", LATELY, 600)
    tried(3, "failed", LATELY)
    assert orange().verdict == "ok"


@pytest.mark.parametrize("times", [[30], [10, 20, 40], [20] * 8 + [3600] * 2, [1, 86_400], range(5, 200)])
def test_the_median_is_nearly_right(times: Iterable[int]) -> None:
    times = list(times)
    for seconds in times:
        tried(1, "succeeded", LATELY, seconds)

    assert orange().last_hour.seconds_to_pay == pytest.approx(median_low(times), rel=0.055)


def test_the_hour_and_the_week_have_their_bounds() -> None:
    now = timezone.now()
    tried(1, "succeeded", timedelta(minutes=59))
    tried(2, "succeeded", timedelta(minutes=61))
    tried(4, "succeeded", WEEK + timedelta(minutes=59))
    tried(8, "succeeded", WEEK + timedelta(minutes=61))

    health = measure_channels(now)[ORANGE]

    assert (health.last_hour.paid, health.last_week.paid) == (1, 6)
    assert measure_channels(now - 2 * WEEK) == {}


def test_a_payment_counts_in_the_hour_of_its_newest_page() -> None:
    opened_at = timezone.now() - LATELY
    tried(3, "refunded", BEFORE, initialized_at=opened_at, settled_at=opened_at + MINUTE)

    health = orange()

    assert (health.last_hour.paid, health.last_week.paid) == (3, 0)
    assert health.last_hour.seconds_to_pay == pytest.approx(60, rel=0.055)


def test_a_payment_settled_before_its_page_took_no_time() -> None:
    tried(1, "succeeded", LATELY, -30)

    assert orange().last_hour.seconds_to_pay == pytest.approx(1, rel=0.055)


def test_the_operator_is_the_means_used_or_else_asked_for(settings: Any) -> None:
    settings.PAIEMENTPRO_CHANNELS = [WAVE, ("NEW", "New")]
    tried(1, "succeeded", LATELY, channel=WAVE, gateway_channel=MTN)
    tried(1, "failed", LATELY, channel=MTN)
    tried(1, "pending", LATELY, channel="")

    channels = channel_health()

    assert list(channels) == [WAVE, "NEW", MTN]
    assert channels["NEW"] == ChannelHealth("NEW")
    assert channels[MTN].last_hour.payments == 2


def test_all_that_is_offered_is_told() -> None:
    assert list(channel_health()) == Channel.values
    assert {health.verdict for health in channel_health().values()} == {"unknown"}


def test_one_payer_who_gives_up_again_and_again_is_no_outage() -> None:
    usual()
    # Others were there before, or will be.
    tried(5, "succeeded", 5 * HOUR)
    tried(5, "created", 5 * HOUR, initialized_at=None)
    tried(5, "failed", -MINUTE)
    tried(5, "created", -MINUTE, initialized_at=None)
    tried(12, "pending", LATELY, customer_phone="0707123456")

    health = orange()

    assert (health.last_hour.unpaid, health.verdict) == (12, "unknown")


@pytest.mark.parametrize(("status", "opened"), [("pending", {}), ("created", {"initialized_at": None})])
@pytest.mark.parametrize(("others", "verdict"), [(3, "unknown"), (4, "failing")])
def test_five_payers_are_an_outage(status: str, opened: dict[str, Any], others: int, verdict: str) -> None:
    usual()
    tried(8, status, LATELY, customer_phone="0707123456", **opened)
    tried(others, status, LATELY, **opened)

    assert orange().verdict == verdict


@pytest.mark.parametrize(("made", "verdict"), [(23 * HOUR, "failing"), (25 * HOUR, "unknown")])
def test_who_pays_for_what_was_made_the_day_before_raises_no_alarm(made: timedelta, verdict: str) -> None:
    usual()
    tried(8, "failed", LATELY, created_at=timezone.now() - made)

    assert (orange().last_hour.unpaid, orange().verdict) == (8, verdict)


class AwayCache(BaseCache):
    """A cache whose server does not answer."""

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        raise ConnectionError

    def set(self, *args: Any, **kwargs: Any) -> None:
        raise ConnectionError


def test_a_cache_that_is_away_takes_no_shop_down(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "tests.test_radar.AwayCache"}}
    usual()
    tried(8, "failed", LATELY)

    assert channel_health()[ORANGE].verdict == "failing"


def test_it_takes_two_statements_and_then_none_for_a_minute(
    statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual()
    tried(8, "failed", LATELY)
    for code in Channel.values:
        tried(1, "succeeded", LATELY, channel=code)

    with statements:
        first = channel_health()
    assert len(statements) == 2
    with statements:
        assert channel_health() == first
    assert statements == []
    [rows] = [cache.get(f"{CACHE_KEY}.default")]
    assert {type(value) for row in rows for value in (*row[2], *row[3])} <= {int, float, type(None)}
    first_at = time.time()
    for later, number in ((50, 0), (61, 2)):
        monkeypatch.setattr(time, "time", lambda later=later: first_at + later)
        with statements:
            channel_health()
        assert len(statements) == number


def test_it_is_told_as_json() -> None:
    usual()
    tried(8, "failed", LATELY)

    told = orange().as_json()

    assert told["verdict"] == "failing"
    assert told["last_hour"] == {"paid": 0, "unpaid": 8, "waiting": 0, "seconds_to_pay": None, "success_rate": 0}
    assert told["last_week"]["success_rate"] == 0.9


@pytest.mark.parametrize(("successes", "tries", "rate"), [(0, 8, 0.9), (3, 10, 0.4), (7, 30, 0.5), (39, 50, 0.9)])
def test_chance_is_what_it_is(successes: int, tries: int, rate: float) -> None:
    exact = math.fsum(math.comb(tries, k) * rate**k * (1 - rate) ** (tries - k) for k in range(successes + 1))

    assert at_most(successes, tries, rate) == pytest.approx(exact)


def test_chance_has_its_ends() -> None:
    assert at_most(0, 5, 0.0) == at_most(5, 5, 0.5) == 1
    assert at_most(4, 5, 1.0) == 0
    assert at_most(0, 5, 1e-300) == pytest.approx(1)
    assert 0 <= at_most(30_000, 100_000, 0.9) < 1e-100


@pytest.mark.parametrize(("successes", "tries"), [(15, 20), (1, 20), (19, 20), (900, 1000)])
def test_what_is_usual_is_the_end_of_wilsons_interval(successes: int, tries: int) -> None:
    """Which is the rate from which so many successes are just one spread of chance away."""
    rate, bound = successes / tries, radar._lower_bound(successes, tries)

    assert 0 < bound < rate
    assert (rate - bound) ** 2 == pytest.approx(1.645**2 * bound * (1 - bound) / tries)
    assert radar._lower_bound(0, tries) == pytest.approx(0, abs=1e-12)


def test_the_databases_agree_about_the_sharpest_moment() -> None:
    now = datetime(2026, 11, 2, 12, tzinfo=timezone.get_default_timezone())
    opened_at = now - HOUR
    values = {"amount": 1, "currency": "XOF", "channel": ORANGE, "status": "succeeded", "attempt": 1}
    for microseconds in (-1, 0):
        at = opened_at + timedelta(microseconds=microseconds)
        Payment.objects.create(**values, created_at=at, initialized_at=at, settled_at=at + MINUTE)

    health = measure_channels(now)[ORANGE]

    assert (health.last_hour.paid, health.last_week.paid) == (1, 1), connection.vendor
