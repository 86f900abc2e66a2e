from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.db import connections
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from django_paiementpro import views
from django_paiementpro.enums import Channel
from django_paiementpro.models import Payment, PaymentEvent, ReconciliationRun
from django_paiementpro.services import Health, count_payments_to_review, health, vitals
from django_paiementpro.testing import make_payment
from tests.conftest import Notify, Statements
from tests.host.models import Member
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


def test_an_empty_shop_has_nothing_to_tell_but_that_nobody_reconciles(statements: Statements) -> None:
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
        to_review=0,
        reconciled_at=None,
    )
    assert found.problems == ["unreconciled"]
    assert len(statements) == 7


def test_the_last_notification_is_one_that_was_not_refused(payment: Payment) -> None:
    happened(payment, at=NOW - 3 * HOUR)
    happened(payment, outcome="duplicate", at=NOW - 2 * HOUR)
    happened(payment, outcome="refused", at=NOW - HOUR)
    happened(payment, kind="status", at=NOW - MINUTE)

    assert health(NOW).last_notification_at == NOW - 2 * HOUR


def test_not_all_events_are_searched_for_a_notification(payment: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "MAX_EVENTS", 3)
    happened(payment)
    happened(payment, kind="status")
    happened(payment, kind="status")
    assert health(NOW).last_notification_at == NOW

    happened(payment, kind="status")
    assert health(NOW).last_notification_at is None


def test_the_last_success_is_told_by_operator(settings: Any) -> None:
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


def test_what_waits_is_as_old_as_its_page() -> None:
    make_payment(status="pending", created_at=NOW - 9 * DAY, initialized_at=NOW - HOUR)
    make_payment(status="pending", created_at=NOW - 2 * HOUR)  # the answer with its page was lost
    make_payment(status="created", created_at=NOW - 9 * DAY)

    found = health(NOW)

    assert (found.pending, found.oldest_pending_at) == (2, NOW - 2 * HOUR)


def test_what_is_being_delivered_is_not_undelivered(payment: Payment) -> None:
    happened(payment, at=NOW - HOUR, deliver_at=NOW + MINUTE)
    happened(payment, at=NOW - HOUR, deliver_at=None)
    assert health(NOW).undelivered == 0

    happened(payment, at=NOW - 20 * MINUTE, deliver_at=NOW)
    happened(payment, at=NOW - 30 * MINUTE, deliver_at=NOW - MINUTE)

    found = health(NOW)
    assert (found.undelivered, found.oldest_undelivered_at) == (2, NOW - 30 * MINUTE)
    assert found.newest_undelivered_at == NOW - 20 * MINUTE


def test_payments_to_review_are_counted_and_are_no_alarm(statements: Statements) -> None:
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


def test_of_two_reconciliations_the_one_seen_last_counts() -> None:
    reconciled(NOW - 5 * HOUR)
    reconciled(NOW - MINUTE)
    reconciled(NOW - HOUR)

    assert health(NOW).reconciled_at == NOW - MINUTE


@pytest.mark.parametrize(("silence", "is_at_work"), [(SECOND, True), (2 * MINUTE - SECOND, True), (2 * MINUTE, False)])
def test_a_reconciliation_that_has_not_ended_counts_while_it_is_at_work(silence: timedelta, is_at_work: bool) -> None:
    ReconciliationRun.objects.create(host="web", process_id=1, seen_at=NOW - silence)

    assert health(NOW).reconciled_at == (NOW - silence if is_at_work else None)


# What somebody is woken for


@pytest.mark.parametrize(("age", "problems"), [(HOUR, []), (HOUR + SECOND, ["unreconciled"]), (-MINUTE, [])])
def test_a_reconciliation_not_seen_for_an_hour_is_an_alarm(age: timedelta, problems: list[str]) -> None:
    reconciled(NOW - age)

    assert health(NOW).problems == problems


@pytest.mark.parametrize(("age", "problems"), [(15 * MINUTE, []), (15 * MINUTE + SECOND, ["undelivered"])])
def test_a_signal_owed_for_long_is_an_alarm(payment: Payment, age: timedelta, problems: list[str]) -> None:
    Payment.objects.update(initialized_at=NOW)
    reconciled(NOW)
    happened(payment, at=NOW - age, deliver_at=NOW)

    assert health(NOW).problems == problems


@pytest.mark.parametrize(("ahead", "problems"), [(MINUTE, []), (MINUTE + SECOND, ["undelivered"])])
@pytest.mark.parametrize("others", [0, 1])
def test_a_signal_owed_since_a_moment_ahead_is_an_alarm(
    payment: Payment, ahead: timedelta, problems: list[str], others: int
) -> None:
    Payment.objects.update(initialized_at=NOW)
    reconciled(NOW)
    happened(payment, at=NOW + ahead, deliver_at=NOW)
    for _number in range(others):
        happened(payment, at=NOW - MINUTE, deliver_at=NOW)

    assert health(NOW).problems == problems


def test_a_signal_under_a_lease_of_a_clock_that_was_ahead_is_undelivered(payment: Payment) -> None:
    happened(payment, at=NOW - HOUR, deliver_at=NOW + 30 * DAY)

    assert (health(NOW).undelivered, health(NOW).oldest_undelivered_at) == (1, NOW - HOUR)


def test_a_reconciliation_noted_by_a_clock_that_was_ahead_does_not_count() -> None:
    reconciled(NOW + 30 * DAY)
    ReconciliationRun.objects.create(host="web", process_id=1, seen_at=NOW + 30 * DAY)
    assert health(NOW).problems == ["unreconciled"]

    reconciled(NOW - MINUTE)
    assert health(NOW).reconciled_at == NOW - MINUTE


@pytest.mark.parametrize(("age", "problems"), [(3 * HOUR, []), (3 * HOUR + SECOND, ["overdue"])])
def test_a_payment_that_does_not_expire_is_an_alarm(age: timedelta, problems: list[str], settings: Any) -> None:
    settings.PAIEMENTPRO_EXPIRES_AFTER = 2 * HOUR
    reconciled(NOW)
    make_payment(status="pending", created_at=NOW - age)

    assert health(NOW).problems == problems


def test_a_moment_ahead_has_no_age() -> None:
    found = health(NOW)

    assert (found.age(NOW + MINUTE), found.age(NOW - MINUTE), found.age(None)) == (0, 60, None)


def test_the_same_is_told_as_json(payment: Payment) -> None:
    Payment.objects.update(initialized_at=NOW - HOUR)
    flag(payment)
    happened(payment, at=NOW - DAY, deliver_at=NOW)
    paid(NOW - MINUTE, "OMCIV2")
    reconciled(NOW - SECOND)

    told = health(NOW).as_json()

    assert told.pop("last_success") == {
        code: {"at": "2026-11-02T11:59:00+00:00", "age": 60} if code == "OMCIV2" else None for code in Channel.values
    }
    assert told == {
        "ok": False,
        "problems": ["undelivered"],
        "at": "2026-11-02T12:00:00+00:00",
        "last_notification": {"at": "2026-11-01T12:00:00+00:00", "age": 86400},
        "pending": {"count": 1, "oldest": {"at": "2026-11-02T11:00:00+00:00", "age": 3600}},
        "undelivered": {"count": 1, "oldest": {"at": "2026-11-01T12:00:00+00:00", "age": 86400}},
        "to_review": {"count": 1},
        "last_reconciliation": {"at": "2026-11-02T11:59:59+00:00", "age": 1},
    }


# The view


@pytest.fixture
def watcher(client: Client) -> Client:
    """A client of staff who may view payments, and no more."""
    user = User.objects.create_user("watcher", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_payment"))
    client.force_login(user)
    return client


def get(client: Client, method: str = "get") -> Any:
    return getattr(client, method)(reverse("paiementpro:health"))


def test_all_is_well(watcher: Client) -> None:
    reconciled(timezone.now())
    response = get(watcher)

    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert "no-store" in response["Cache-Control"]
    told = response.json()
    assert (told["ok"], told["problems"]) == (True, [])
    assert told["last_notification"] is None
    assert told["last_success"]["OMCIV2"] is None
    assert told["pending"] == {"count": 0, "oldest": None}
    assert told["last_reconciliation"]["age"] < 60
    assert told["channels"]["OMCIV2"]["verdict"] == "unknown"


def test_monitoring_is_told_by_the_status_code(watcher: Client) -> None:
    for method in ("get", "head"):
        assert get(watcher, method).status_code == 503
    assert (get(watcher).json()["ok"], get(watcher).json()["problems"]) == (False, ["unreconciled"])
    assert get(watcher, "post").status_code == 405


@pytest.mark.django_db(transaction=True)
def test_what_has_happened_is_told(watcher: Client, payment: Payment, notify: Notify) -> None:
    other = make_payment(status="pending", channel="WAVECI")
    happened(other, kind="host", at=timezone.now() - HOUR, deliver_at=timezone.now())
    notify(payment)

    told = get(watcher).json()

    assert told["last_notification"]["age"] < 60
    assert told["last_success"]["OMCIV2"]["age"] < 60
    assert datetime.fromisoformat(told["last_success"]["OMCIV2"]["at"]) == Payment.objects.get(pk=payment.pk).settled_at
    assert told["pending"]["count"] == told["undelivered"]["count"] == 1
    assert told["undelivered"]["oldest"]["age"] == pytest.approx(3600, abs=60)
    assert told["problems"] == ["undelivered", "unreconciled"]
    assert told["channels"]["OMCIV2"]["last_hour"]["success_rate"] == 1


@pytest.mark.parametrize(
    ("flags", "permission"),
    [
        ({}, "view_payment"),
        ({"is_staff": True}, "export_payment"),
        ({"is_staff": True, "is_active": False}, "view_payment"),
    ],
)
def test_others_are_told_nothing(client: Client, flags: dict[str, bool], permission: str) -> None:
    user = User.objects.create_user("somebody", **flags)
    user.user_permissions.add(Permission.objects.get(codename=permission))
    client.force_login(user)

    response = get(client)

    assert (response.status_code, response.json()) == (403, {"error": "This is for staff who may view payments."})
    assert "no-store" in response["Cache-Control"]


def test_strangers_are_not_sent_to_log_in(client: Client, statements: Statements) -> None:
    with statements:
        assert get(client).status_code == 403
    assert statements == []
    request = RequestFactory().get("/")
    assert views.HealthView.as_view()(request).status_code == 403  # a host without users
    request.user = AnonymousUser()
    assert views.HealthView.as_view()(request).status_code == 403


def test_staff_of_a_user_model_without_permissions_see_nothing() -> None:
    for flags in ({}, {"is_staff": True}, {"is_staff": True, "is_active": False}):
        request = RequestFactory().get("/")
        request.user = Member(name="awa")
        vars(request.user).update(flags)
        assert views.HealthView.as_view()(request).status_code == 403


def test_the_host_wraps_no_transaction_or_login_around_it() -> None:
    view = views.HealthView.as_view()

    assert view._non_atomic_requests == set(connections)
    assert view.login_required is False
