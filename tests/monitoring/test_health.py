from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from django_paiementpro.enums import Channel
from django_paiementpro.models import Payment, PaymentEvent, ReconciliationRun
from django_paiementpro.monitoring.health import Health, health
from django_paiementpro.services import count_payments_to_review
from django_paiementpro.testing import make_payment
from tests.conftest import Statements
from tests.test_admin import flag

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 2, 12, tzinfo=ZoneInfo("UTC"))
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def happened(
    payment: Payment, kind: str = "notification", outcome: str = "accepted", at: datetime = NOW, **values: Any
) -> PaymentEvent:
    return PaymentEvent.objects.create(payment=payment, kind=kind, outcome=outcome, created_at=at, **values)


def reconciled(at: datetime) -> None:
    ReconciliationRun.objects.create(host="web", process_id=1, seen_at=at, finished_at=at)


def paid(at: datetime, means: str = "", **values: Any) -> Payment:
    return make_payment(status="succeeded", gateway_channel=means, settled_at=at, **values)


# The figures


def test_empty_shop_lacks_only_a_reconciliation(statements: Statements) -> None:
    with statements:
        found = health(NOW)

    assert found == Health(
        at=NOW,
        last_notification_at=None,
        last_success_at=dict.fromkeys(Channel.values),
        pending=0,
        oldest_pending_at=None,
        undelivered=0,
        oldest_undelivered_at=None,
        newest_undelivered_at=None,
        overdue=0,
        to_review=0,
        reconciled_at=None,
    )
    assert found.problems == ["unreconciled"]
    assert len(statements) == 8


def test_last_notification_is_one_that_was_not_refused(payment: Payment) -> None:
    happened(payment, at=NOW - 3 * HOUR)
    happened(payment, outcome="duplicate", at=NOW - 2 * HOUR)
    happened(payment, outcome="refused", at=NOW - HOUR)
    happened(payment, kind="status", at=NOW - MINUTE)

    assert health(NOW).last_notification_at == NOW - 2 * HOUR


def test_only_the_newest_events_are_searched_for_a_notification(
    payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_paiementpro.monitoring.health.MAX_EVENTS", 3)
    happened(payment)
    happened(payment, kind="status")
    happened(payment, kind="status")
    assert health(NOW).last_notification_at == NOW

    happened(payment, kind="status")
    assert health(NOW).last_notification_at is None


def test_last_success_is_reported_by_channel(settings: Any) -> None:
    settings.PAIEMENTPRO_CHANNELS = ["WAVECI", "OMCIV2", "FLOOZ"]
    paid(NOW - 2 * HOUR, "OMCIV2")
    paid(NOW - HOUR, "OMCIV2", channel="WAVECI")
    paid(NOW - DAY, channel="MOMOCI")
    paid(NOW - HOUR)
    paid(NOW - 31 * DAY, "FLOOZ")
    make_payment(status="failed", channel="WAVECI", settled_at=NOW)
    refunded = paid(NOW - 3 * DAY, "WAVECI")
    refunded.status = "refunded"
    refunded.save()

    assert health(NOW).last_success_at == {
        "WAVECI": NOW - 3 * DAY,
        "OMCIV2": NOW - HOUR,
        "FLOOZ": None,
        "MOMOCI": NOW - DAY,
    }


def test_pending_payment_is_as_old_as_its_page() -> None:
    make_payment(status="pending", created_at=NOW - 9 * DAY, initialized_at=NOW - HOUR)
    make_payment(status="pending", created_at=NOW - 2 * HOUR)  # the answer with its page was lost
    make_payment(status="created", created_at=NOW - 9 * DAY)

    found = health(NOW)

    assert (found.pending, found.oldest_pending_at) == (2, NOW - 2 * HOUR)


def test_signal_being_delivered_is_not_undelivered(payment: Payment) -> None:
    happened(payment, at=NOW - HOUR, deliver_at=NOW + MINUTE)
    happened(payment, at=NOW - HOUR, deliver_at=None)
    assert health(NOW).undelivered == 0

    happened(payment, at=NOW - 20 * MINUTE, deliver_at=NOW)
    happened(payment, at=NOW - 30 * MINUTE, deliver_at=NOW - MINUTE)

    found = health(NOW)
    assert (found.undelivered, found.oldest_undelivered_at) == (2, NOW - 30 * MINUTE)
    assert found.newest_undelivered_at == NOW - 20 * MINUTE


def test_payments_to_review_are_counted_but_are_no_problem(statements: Statements) -> None:
    reconciled(NOW)
    flag(make_payment())
    twice, reviewed = make_payment(), make_payment()
    flag(twice)
    flag(twice, "paid_twice")
    flag(reviewed, reviewed_at=NOW)
    make_payment()

    assert (health(NOW).to_review, health(NOW).problems) == (2, [])
    with statements:
        assert count_payments_to_review() == 2
    assert len(statements) == 1


def test_newest_reconciliation_counts() -> None:
    reconciled(NOW - 5 * HOUR)
    reconciled(NOW - MINUTE)
    reconciled(NOW - HOUR)

    assert health(NOW).reconciled_at == NOW - MINUTE


@pytest.mark.parametrize(("silence", "is_at_work"), [(SECOND, True), (2 * MINUTE - SECOND, True), (2 * MINUTE, False)])
def test_unfinished_reconciliation_counts_while_it_is_at_work(silence: timedelta, is_at_work: bool) -> None:
    ReconciliationRun.objects.create(host="web", process_id=1, seen_at=NOW - silence)

    assert health(NOW).reconciled_at == (NOW - silence if is_at_work else None)


# Problems


@pytest.mark.parametrize(("age", "problems"), [(HOUR, []), (HOUR + SECOND, ["unreconciled"]), (-MINUTE, [])])
def test_no_reconciliation_for_an_hour_is_a_problem(age: timedelta, problems: list[str]) -> None:
    reconciled(NOW - age)

    assert health(NOW).problems == problems


@pytest.mark.parametrize(("age", "problems"), [(15 * MINUTE, []), (15 * MINUTE + SECOND, ["undelivered"])])
def test_old_undelivered_signal_is_a_problem(payment: Payment, age: timedelta, problems: list[str]) -> None:
    Payment.objects.update(initialized_at=NOW)
    reconciled(NOW)
    happened(payment, at=NOW - age, deliver_at=NOW)

    assert health(NOW).problems == problems


@pytest.mark.parametrize(("ahead", "problems"), [(MINUTE, []), (MINUTE + SECOND, ["undelivered"])])
@pytest.mark.parametrize("has_older", [False, True])
def test_undelivered_signal_from_the_future_is_a_problem(
    payment: Payment, ahead: timedelta, problems: list[str], has_older: bool
) -> None:
    Payment.objects.update(initialized_at=NOW)
    reconciled(NOW)
    happened(payment, at=NOW + ahead, deliver_at=NOW)
    if has_older:
        happened(payment, at=NOW - MINUTE, deliver_at=NOW)

    assert health(NOW).problems == problems


def test_signal_under_a_lease_from_the_future_is_undelivered(payment: Payment) -> None:
    happened(payment, at=NOW - HOUR, deliver_at=NOW + 30 * DAY)

    assert (health(NOW).undelivered, health(NOW).oldest_undelivered_at) == (1, NOW - HOUR)


def test_reconciliation_from_the_future_does_not_count() -> None:
    reconciled(NOW + 30 * DAY)
    ReconciliationRun.objects.create(host="web", process_id=1, seen_at=NOW + 30 * DAY)
    assert health(NOW).problems == ["unreconciled"]

    reconciled(NOW - MINUTE)
    assert health(NOW).reconciled_at == NOW - MINUTE


@pytest.mark.parametrize(("age", "problems"), [(3 * HOUR - SECOND, []), (3 * HOUR, ["overdue"])])
@pytest.mark.parametrize("status", ["created", "pending", "failed"])
def test_payment_that_does_not_expire_is_a_problem(
    age: timedelta, problems: list[str], status: str, settings: Any
) -> None:
    settings.PAIEMENTPRO_EXPIRES_AFTER = 2 * HOUR
    reconciled(NOW)
    make_payment(status=status, created_at=NOW - age)

    assert health(NOW).problems == problems


def test_payment_that_was_refused_just_now_is_not_overdue(settings: Any) -> None:
    settings.PAIEMENTPRO_EXPIRES_AFTER = 2 * HOUR
    reconciled(NOW)
    payment = make_payment(status="pending", created_at=NOW - DAY, initialized_at=NOW - DAY, attempt=2)
    PaymentEvent.objects.create(payment=payment, kind="initialize", outcome="refused", created_at=NOW - HOUR)

    assert health(NOW).problems == []


def test_age_of_a_future_date_is_zero() -> None:
    found = health(NOW)

    assert (found.age(NOW + MINUTE), found.age(NOW - MINUTE), found.age(None)) == (0, 60, None)


def test_health_as_json(payment: Payment) -> None:
    Payment.objects.update(initialized_at=NOW - HOUR)
    flag(payment)
    happened(payment, at=NOW - DAY, deliver_at=NOW)
    paid(NOW - MINUTE, "OMCIV2")
    reconciled(NOW - SECOND)

    found = health(NOW).as_json()

    assert found.pop("last_success") == {
        code: {"at": "2026-11-02T11:59:00+00:00", "age": 60} if code == "OMCIV2" else None for code in Channel.values
    }
    yesterday = {"at": "2026-11-01T12:00:00+00:00", "age": 86400}
    assert found == {
        "ok": False,
        "problems": ["undelivered"],
        "at": "2026-11-02T12:00:00+00:00",
        "last_notification": yesterday,
        "pending": {"count": 1, "oldest": {"at": "2026-11-02T11:00:00+00:00", "age": 3600}},
        "undelivered": {"count": 1, "oldest": yesterday, "newest": yesterday},
        "overdue": {"count": 0},
        "to_review": {"count": 1},
        "last_reconciliation": {"at": "2026-11-02T11:59:59+00:00", "age": 1},
    }
