from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from django_paiementpro.admin.daybook import statistics
from django_paiementpro.admin.daybook.statistics import DayBook, Figures, Unit, day_book
from django_paiementpro.models import Payment
from django_paiementpro.testing import make_payment
from tests.conftest import Statements

pytestmark = pytest.mark.django_db

UTC = ZoneInfo("UTC")
MONDAY = datetime(2026, 11, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def paid(amount: int = 1000, at: datetime = MONDAY, **values: Any) -> Payment:
    """Make a payment that took a minute to pay."""
    return make_payment(
        **{
            "amount": amount,
            "status": "succeeded",
            "attempt": 1,
            "gateway_channel": "OMCIV2",
            "created_at": at - timedelta(minutes=1),
            "initialized_at": at - timedelta(minutes=1),
            "settled_at": at,
            **values,
        }
    )


def refund(payment: Payment, amount: int, day: date | None = None, **values: Any) -> None:
    payment.refunds.create(amount=amount, refunded_on=day or MONDAY.date(), **values)


def opened(status: str, at: datetime = MONDAY, **values: Any) -> Payment:
    return make_payment(**{"status": status, "attempt": 1, "created_at": at, "initialized_at": at, **values})


def week(**values: Any) -> DayBook:
    return day_book(date(2026, 11, 2), date(2026, 11, 8), **{"currency": "XOF", **values})


def test_takings_count_on_the_day_of_payment() -> None:
    paid(1000, created_at=MONDAY - 3 * DAY)
    paid(2000, MONDAY + DAY)
    paid(4000, MONDAY - DAY)  # before the period
    paid(8000, MONDAY + 7 * DAY)  # after it
    opened("failed", settled_at=MONDAY)
    opened("pending")

    book = week()

    assert [line.figures.taken for line in book.lines(Unit.DAY)] == [1000, 2000, 0, 0, 0, 0, 0]
    assert (book.total.payments, book.total.taken) == (2, 3000)


def test_both_ends_of_the_period_belong_to_it() -> None:
    paid(1000, datetime(2026, 11, 2, tzinfo=UTC))
    paid(2000, datetime(2026, 11, 8, 23, 59, 59, 999999, tzinfo=UTC))
    paid(4000, datetime(2026, 11, 9, tzinfo=UTC))

    assert week().total.taken == 3000


def test_refund_counts_on_the_day_the_money_went_back() -> None:
    payment = paid(5000)
    before = week().lines(Unit.DAY)[0].figures
    refund(payment, 1500, date(2026, 11, 4), kind="chargeback", fee=2500)
    refund(payment, 500, date(2026, 11, 4))
    refund(payment, 250, date(2026, 11, 8))
    refund(payment, 125, date(2026, 11, 1))  # before the period
    refund(payment, 75, date(2026, 11, 9))  # after it

    lines = week().lines(Unit.DAY)

    assert lines[0].figures == before
    assert (lines[2].figures.refunds, lines[2].figures.refunded, lines[2].figures.net) == (2, 2000, -2000)
    assert (lines[6].figures.refunds, lines[6].figures.refunded) == (1, 250)
    assert (week().total.taken, week().total.refunded, week().total.net) == (5000, 2250, 2750)


def test_only_refunds_of_the_given_payments_count() -> None:
    refund(paid(5000, merchant_id="A"), 100)
    refund(paid(5000, merchant_id="B"), 10)

    assert week(payments=Payment.objects.filter(merchant_id="B").order_by("amount")).total.refunded == 10


def test_operator_is_the_used_or_requested_channel() -> None:
    paid(1000, channel="WAVECI")
    paid(4000, channel="WAVECI", gateway_channel="")
    opened("pending", channel="")

    channels = week().channels

    assert list(channels) == ["WAVECI", "OMCIV2", ""]
    assert [figures.taken for figures in channels.values()] == [4000, 1000, 0]


@pytest.mark.parametrize("max_rows", [10_000, 1])
def test_smallest_merchants_are_summed_in_the_figures(
    monkeypatch: pytest.MonkeyPatch, statements: Statements, max_rows: int
) -> None:
    monkeypatch.setattr(statistics, "MAX_MERCHANTS", 2)
    monkeypatch.setattr(statistics, "MAX_ROWS", max_rows)
    for merchant, amount in (("B", 3000), ("A", 1000), ("A", 2000), ("C", 500), ("D", 250)):
        paid(amount, merchant_id=merchant)
    paid(9000, merchant_id="C", currency="XAF")

    with statements:
        book = week()

    assert {name: (each.payments, each.taken) for name, each in book.merchants.items()} == {
        "A": (2, 3000),
        "B": (1, 3000),
    }
    assert list(book.merchants) == ["A", "B"]
    assert book.other_merchants == Figures(payments=2, taken=750)
    assert book.total.taken == 6750
    assert book.other_currencies == ["XAF"]
    assert len(statements) == (5 if max_rows > 1 else 7)


def test_funnel_counts_payments_by_creation_date() -> None:
    paid(created_at=MONDAY - 10 * DAY)
    make_payment(created_at=MONDAY)
    make_payment(created_at=MONDAY, attempt=1)
    make_payment(created_at=MONDAY, status="cancelled")
    for status in ("pending", "failed", "failed", "failed", "expired", "expired", "cancelled"):
        opened(status)
    paid()
    refund(paid(status="refunded"), 1000)

    total = week().total

    assert (total.created, total.sent, total.opened, total.paid) == (12, 10, 9, 2)
    assert (total.failed, total.expired, total.cancelled, total.waiting, total.unpaid) == (3, 2, 1, 1, 5)
    assert total.success_rate == 2 / 8
    assert total.failure_rate == 5 / 9


@pytest.mark.parametrize("status", ["pending", "succeeded", "failed", "refunded"])
def test_notified_payment_counts_as_opened(status: str) -> None:
    make_payment(status=status, created_at=MONDAY)

    assert (week().total.sent, week().total.opened) == (1, 1)


def test_expired_payment_counts_by_what_came_before() -> None:
    make_payment(status="expired", created_at=MONDAY)
    make_payment(status="expired", created_at=MONDAY, attempt=1)
    make_payment(status="expired", created_at=MONDAY, attempt=1, settled_attempt=1)
    opened("expired")

    total = week().total

    assert (total.created, total.sent, total.opened) == (4, 3, 2)
    assert (total.failed, total.expired, total.waiting) == (1, 1, 0)


def test_failures_are_counted_by_operator_and_day() -> None:
    for day, status in ((0, "failed"), (0, "expired"), (0, "pending"), (1, "failed")):
        opened(status, MONDAY + day * DAY, channel="MOMOCI")
    opened("failed", channel="WAVECI")

    lines = week().lines(Unit.DAY)

    assert {code: (each.opened, each.unpaid) for code, each in lines[0].channels.items()} == {
        "MOMOCI": (3, 2),
        "WAVECI": (1, 1),
    }
    assert lines[1].channels["MOMOCI"].failure_rate == 1
    assert lines[2].channels == {}


@pytest.mark.parametrize(
    ("seconds", "median"), [([], None), ([7], 7), ([90, 10, 20], 20), ([40, 10, 20, 3600], 30), ([1, 2], 1.5)]
)
def test_median_is_the_middle_or_the_mean_of_the_two(seconds: list[int], median: float | None) -> None:
    for number in seconds:
        paid(created_at=MONDAY - timedelta(seconds=number))
    paid(currency="XAF", created_at=MONDAY - DAY)
    opened("failed", settled_at=MONDAY + DAY)

    assert week().median == (None if median is None else timedelta(seconds=median))


def test_money_of_two_currencies_is_never_added_up() -> None:
    paid(1000)
    paid(30, currency="EUR")
    refund(paid(20, currency="EUR", status="refunded"), 20)

    assert (week().total.taken, week().other_currencies, week().total.created) == (1000, ["EUR"], 1)
    euros = week(currency="EUR")
    assert (euros.total.taken, euros.total.refunded, euros.other_currencies) == (50, 20, ["XOF"])


def test_figures_can_be_filtered() -> None:
    paid(1000, merchant_id="A")
    paid(2000, merchant_id="B", created_at=MONDAY - timedelta(minutes=3))
    refund(paid(4000, merchant_id="B", gateway_channel="WAVECI"), 5)

    assert (week(merchant="A").total.taken, week(merchant="A").total.created) == (1000, 1)
    assert week(merchant="B").merchants.keys() == {"B"}
    wave = week(channel="WAVECI")
    assert (wave.total.taken, wave.total.refunded, wave.total.paid) == (4000, 5, 1)
    assert week(channel="OMCIV2", merchant="B").median == timedelta(minutes=3)
    assert week(merchant="PP-NONE").total == Figures()


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("Africa/Abidjan", date(2026, 10, 23)),
        ("Africa/Porto-Novo", date(2026, 10, 23)),
        ("Europe/Paris", date(2026, 10, 23)),
        ("Europe/Paris", date(2026, 3, 27)),
        ("America/Bogota", date(2026, 10, 23)),
        ("Asia/Kathmandu", date(2026, 10, 23)),
        ("Asia/Beirut", date(2026, 3, 27)),  # has no midnight on the 29th
        ("America/Havana", date(2026, 10, 30)),  # has two on the 1st
    ],
)
def test_days_are_those_of_the_current_time_zone(zone: str, start: date) -> None:
    first = datetime(start.year, start.month, start.day, tzinfo=UTC) - DAY
    moments = [first + timedelta(minutes=30 * number) for number in range(48 * 7)]
    Payment.objects.bulk_create(
        Payment(
            amount=100,
            currency="XOF",
            status="succeeded",
            created_at=at,
            settled_at=at,
        )
        for at in moments
    )
    end = start + 4 * DAY
    by_hand = Counter(at.astimezone(ZoneInfo(zone)).date() for at in moments)

    with timezone.override(zone):
        lines = day_book(start, end, currency="XOF").lines(Unit.DAY)

    expected = [by_hand[start + number * DAY] for number in range(5)]
    assert [line.figures.payments for line in lines] == expected
    assert [line.figures.created for line in lines] == expected


def test_daylight_saving_changes_keep_the_days(statements: Statements) -> None:
    paris = ZoneInfo("Europe/Paris")
    for month in (1, 6, 12):
        paid(100, datetime(2026, month, 15, 0, 30, tzinfo=paris))
        paid(200, datetime(2026, month, 15, 23, 30, tzinfo=paris))

    with timezone.override("Europe/Paris"), statements:
        book = day_book(date(2026, 1, 1), date(2026, 12, 31), currency="XOF")

    taken = {line.start: line.figures.taken for line in book.lines(Unit.DAY) if line.figures.taken}
    assert taken == {date(2026, month, 15): 300 for month in (1, 6, 12)}
    assert len(statements) == 5


def test_days_become_weeks_from_monday_and_months() -> None:
    paid(1000, MONDAY - 2 * DAY)
    paid(2000)
    paid(4000, MONDAY + 40 * DAY)
    book = day_book(date(2026, 10, 30), date(2026, 12, 14), currency="XOF")

    weeks, months = book.lines(Unit.WEEK), book.lines(Unit.MONTH)

    assert [(line.start, line.end) for line in weeks][:2] == [
        (date(2026, 10, 30), date(2026, 11, 1)),
        (date(2026, 11, 2), date(2026, 11, 8)),
    ]
    assert (weeks[-1].start, weeks[-1].end) == (date(2026, 12, 14), date(2026, 12, 14))
    assert [line.figures.taken for line in weeks] == [1000, 2000, 0, 0, 0, 0, 4000, 0]
    assert [(line.start, line.end, line.figures.taken) for line in months] == [
        (date(2026, 10, 30), date(2026, 10, 31), 1000),
        (date(2026, 11, 1), date(2026, 11, 30), 2000),
        (date(2026, 12, 1), date(2026, 12, 14), 4000),
    ]


def test_empty_period_has_days_and_no_rates() -> None:
    book = week()

    assert len(book.lines(Unit.DAY)) == 7
    assert (book.total, book.median, dict(book.merchants), book.other_currencies) == (Figures(), None, {}, [])
    assert (book.total.success_rate, book.total.failure_rate) == (None, None)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (date(2026, 11, 2), date(2026, 11, 1)),
        (date(2025, 1, 1), date(2026, 1, 2)),
        (date(1999, 12, 31), date(2000, 1, 1)),
        (date(2099, 12, 31), date(2100, 1, 1)),
        (date.min, date.max),
    ],
)
def test_other_periods_are_excluded(start: date, end: date) -> None:
    with pytest.raises(ValueError, match="not a period of at most 366 days"):
        day_book(start, end, currency="XOF")


@pytest.mark.parametrize("start", [date(2000, 1, 1), date(2098, 12, 31), date(2024, 1, 1)])
def test_longest_period_is_accepted_at_both_ends(start: date) -> None:
    assert len(day_book(start, start + 365 * DAY, currency="XOF").lines(Unit.DAY)) == 366
