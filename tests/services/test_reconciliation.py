import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections
from django.test import override_settings
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.gateway.messages import parse_date
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.services.reconciliation import due_payments, newest_first, oldest_first, undelivered_events
from django_paiementpro.services.status import is_just_checked
from django_paiementpro.testing import FakeGateway, make_payment, pay
from django_paiementpro.testing.gateway import NO_TRANSACTION
from tests.conftest import STATUS_URL, Heard, Statements, due_event, stored

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("look_up")]


def reconcile(capsys: pytest.CaptureFixture[str]) -> str:
    call_command("paiementpro_reconcile")
    return capsys.readouterr().out


def test_confirmed_status_settles_the_payment(payment: Payment, gateway: FakeGateway, heard: Heard) -> None:
    gateway.confirms(payment, channel="OMCIV2", date="2023-01-31 13:20:51")

    assert services.check_payment(payment) == Payment.Status.SUCCEEDED

    payment = stored(payment)
    assert (payment.status, payment.settled_by) == ("succeeded", "status")
    assert payment.gateway_id == f"PAY-{payment.reference}"
    assert (payment.gateway_channel, payment.transaction_date) == ("OMCIV2", parse_date("2023-01-31 13:20:51"))
    assert [(event.kind, event.outcome) for event in payment.events.all()] == [("status", "accepted")]
    assert heard == [("payment_succeeded", payment)]


@pytest.mark.parametrize("success", [False, "true", 1, None])
def test_unsuccessful_answer_proves_nothing(payment: Payment, gateway: FakeGateway, heard: Heard, success: Any) -> None:
    gateway.confirms(payment, success=success)

    assert services.check_payment(payment) == "pending"
    assert stored(payment).status == "pending"
    assert not stored(payment).needs_review
    assert not payment.events.exists()
    assert heard == []


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        ({"amount": 12499}, "amount_mismatch: 12499 != 12500"),
        ({"amount": "12500.5"}, "amount_mismatch: None != 12500"),
        ({"amount": None}, "amount_mismatch: None != 12500"),
        ({"marchant_id": "PP-F1"}, "merchant_mismatch: PP-F1 != PP-F324"),
        ({"marchant_id": None}, "merchant_mismatch: != PP-F324"),
        ({"reference": "another"}, "reference_mismatch: another != {reference}"),
        ({"reference": None}, "reference_mismatch: != {reference}"),
    ],
)
def test_success_that_does_not_match_is_refused_and_flagged_once(
    payment: Payment, gateway: FakeGateway, heard: Heard, answer: dict[str, Any], finding: str
) -> None:
    gateway.confirms(payment, **answer)

    for _ in range(3):
        assert services.check_payment(payment) == "pending"

    assert (stored(payment).status, stored(payment).needs_review) == ("pending", True)
    assert str(payment.findings.get()) == finding.format(reference=payment.reference)
    event = payment.events.get()
    assert (event.kind, event.outcome, event.message) == ("status", "refused", str(payment.findings.get()))
    assert heard == [("payment_flagged", payment)]


def test_mismatch_that_was_reviewed_is_raised_again(payment: Payment, gateway: FakeGateway, heard: Heard) -> None:
    gateway.confirms(payment, amount=1)
    services.check_payment(payment)
    services.review_payment(payment, User.objects.create_user("awa"), "Asked the gateway")

    services.check_payment(payment)

    assert (stored(payment).needs_review, payment.findings.count()) == (True, 2)
    assert len(heard) == 2


def test_success_of_another_payment_is_recorded(payment: Payment, gateway: FakeGateway) -> None:
    gateway.confirms(payment, amount=1, reference="another")

    services.check_payment(payment)

    event = payment.events.get()
    assert (event.kind, event.outcome, event.remote_address) == ("status", "refused", "")
    assert event.data["amount"] == "1"
    assert event.reason == "reference_mismatch"
    assert event.message == f"reference_mismatch: another != {payment.reference}; amount_mismatch: 1 != 12500"


@pytest.mark.parametrize(("body", "status"), [(b"", 500), (b"<html>", 200), (requests.ConnectionError(), 0)])
def test_missing_answer_proves_nothing(payment: Payment, gateway: FakeGateway, body: Any, status: int) -> None:
    gateway.tells(payment.reference, body, status)

    assert services.check_payment(payment) == "pending"


@pytest.mark.parametrize(("age", "expected"), [(None, False), (0, True), (4, True), (5, False), (3600, False)])
def test_recently_checked_payment_is_not_checked_again(
    age: int | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    payment = make_payment(checked_at=None if age is None else now - timedelta(seconds=age))

    assert is_just_checked(payment) == expected


def test_every_attempt_is_asked_about_the_newest_first(gateway: FakeGateway) -> None:
    payment = make_payment(status="pending", attempt=3)
    gateway.tells(payment.reference_of(2), b"oops")
    gateway.confirms(payment, 1)

    assert services.check_payment(payment) == "succeeded"
    assert gateway.look_ups == [payment.reference_of(attempt) for attempt in (3, 2, 1)]
    assert stored(payment).settled_attempt == 1


def test_hanging_lookup_ends_the_attempts(gateway: FakeGateway) -> None:
    payment = make_payment(status="pending", attempt=3)
    gateway.tells(payment.reference_of(3), b"oops")

    with override_settings(PAIEMENTPRO_TIMEOUT=(1e-9, 1e-9)):
        services.check_payment(payment)

    assert gateway.look_ups == [payment.reference_of(3)]


@pytest.mark.parametrize(
    ("check", "seconds", "asked"),
    [
        (services.check_waiting_payment, 1.5, 3),
        (services.check_waiting_payment, 3.5, 1),
        (services.check_payment, 20, 4),
    ],
)
def test_only_waiting_payers_skip_slow_attempts(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, check: Any, seconds: float, asked: int
) -> None:
    now = 100.0

    def take_time(request: Any) -> Any:
        nonlocal now
        now += seconds
        return 200, {}, json.dumps(NO_TRANSACTION)

    monkeypatch.setattr(services.status, "time", SimpleNamespace(monotonic=lambda: now))
    payment = make_payment(status="pending", attempt=4)
    for attempt in range(1, 5):
        gateway.tells(payment.reference_of(attempt), take_time)

    check(payment)

    assert len(gateway.look_ups) == asked


def test_two_paid_attempts_are_paid_twice(gateway: FakeGateway, heard: Heard) -> None:
    payment = make_payment(status="pending", attempt=2)
    gateway.confirms(payment, 1, pay_id="A")
    gateway.confirms(payment, 2, pay_id="B")

    services.check_payment(payment)

    assert stored(payment).needs_review
    assert heard.names == ["payment_succeeded", "payment_flagged"]


def test_known_result_is_not_recorded_again(payment: Payment, gateway: FakeGateway) -> None:
    gateway.confirms(payment)
    services.check_payment(payment)
    services.check_payment(payment)

    assert payment.events.count() == 1


def test_lookup_supplies_a_missing_gateway_id(payment: Payment, gateway: FakeGateway) -> None:
    Payment.objects.update(status="succeeded", settled_attempt=1)
    gateway.confirms(payment)

    services.check_payment(stored(payment))

    assert stored(payment).gateway_id == f"PAY-{payment.reference}"


@pytest.mark.parametrize("status", ["created", "failed", "expired", "cancelled"])
def test_check_settles_an_expired_payment(gateway: FakeGateway, status: str) -> None:
    payment = make_payment(status=status, attempt=1)
    gateway.confirms(payment)

    assert services.check_payment(payment) == "succeeded"


def test_without_status_url_nothing_is_asked(payment: Payment, gateway: FakeGateway) -> None:
    with override_settings(PAIEMENTPRO_STATUS_URL=None):
        assert services.check_payment(payment) == "pending"
    assert gateway.look_ups == []


def test_unsent_payment_is_not_looked_up(gateway: FakeGateway) -> None:
    assert services.check_payment(make_payment()) == "created"
    assert gateway.look_ups == []


def test_reconciliation_checks_open_payments(gateway: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    paid, unpaid, lost = (make_payment(status=status, attempt=1) for status in ("pending", "pending", "created"))
    make_payment()
    for status in ("succeeded", "refunded"):
        make_payment(status=status, attempt=1)
    for status in ("failed", "expired", "cancelled"):
        make_payment(status=status)
        opened_at = timezone.now() - timedelta(days=3, minutes=1)
        make_payment(status=status, attempt=1, initialized_at=opened_at, settled_at=timezone.now())
    Payment.objects.filter(status="expired").update(checked_at=timezone.now())
    gateway.confirms(paid)
    gateway.confirms(lost)

    summary = reconcile(capsys)

    assert sorted(gateway.look_ups) == sorted([paid.reference, unpaid.reference, lost.reference])
    assert [stored(payment).status for payment in (paid, unpaid, lost)] == ["succeeded", "pending", "succeeded"]
    assert summary.startswith("3 checked, 2 paid, 0 expired, 0 without an answer; ")


def test_one_bad_answer_does_not_stop_the_rest(gateway: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    first, bad, away, last = (make_payment(status="pending", attempt=1) for _ in range(4))
    gateway.confirms(first)
    gateway.tells(bad.reference, KeyError("a bug"))
    gateway.tells(away.reference, b"", 500)
    gateway.confirms(last)

    summary = reconcile(capsys)

    assert [stored(payment).status for payment in (first, last)] == ["succeeded", "succeeded"]
    assert "1 without an answer" in summary
    assert "1 errors" in summary


def old(**values: Any) -> Payment:
    opened_at = timezone.now() - timedelta(hours=24, seconds=1)
    return make_payment(**{"status": "pending", "attempt": 1, "initialized_at": opened_at, **values})


def test_overdue_payment_expires_after_a_last_check(
    gateway: FakeGateway, heard: Heard, capsys: pytest.CaptureFixture[str]
) -> None:
    unpaid, other, paid, young = old(), old(), old(), old(initialized_at=timezone.now() - timedelta(hours=23))
    gateway.confirms(paid)

    assert "2 expired" in reconcile(capsys)

    states = [stored(payment).status for payment in (unpaid, other, paid, young)]
    assert states == ["expired", "expired", "succeeded", "pending"]
    assert [(event.kind, event.outcome, event.remote_address) for event in unpaid.events.all()] == [
        ("expiry", "accepted", "")
    ]
    assert sorted(name for name, _ in heard) == ["payment_expired", "payment_expired", "payment_succeeded"]
    assert not due_payments(timezone.now()).exists()


def test_payment_expires_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    payment = old(initialized_at=now - timedelta(hours=24))

    with override_settings(PAIEMENTPRO_STATUS_URL=None):
        services.reconcile()

    assert stored(payment).status == "expired"


@pytest.mark.parametrize("away", [True, False])
def test_expiry_works_without_lookups(gateway: FakeGateway, capsys: pytest.CaptureFixture[str], away: bool) -> None:
    payment = old()
    gateway.tells(payment.reference, b"", 500)

    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL if away else None):
        reconcile(capsys)

    assert stored(payment).status == "expired"


def test_payment_being_retried_does_not_expire(gateway: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    payment = old(leased_until=timezone.now() + timedelta(seconds=20))

    reconcile(capsys)

    assert stored(payment).status == "pending"


@pytest.mark.parametrize("change", [{"status": "succeeded"}, {"attempt": 2}])
def test_payment_changed_meanwhile_does_not_expire(
    gateway: FakeGateway, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    payment = old()

    def move_on(request: Any) -> tuple[int, dict[str, str], bytes]:
        """Change the payment, in the thread that asks: its connection is closed with it."""
        Payment.objects.update(**change)
        connections.close_all()
        return 200, {}, b'{"success": false}'

    gateway.tells(payment.reference, move_on)

    reconcile(capsys)

    assert stored(payment).status == change.get("status", "pending")
    assert not payment.events.exists()


DAY = timedelta(hours=24, seconds=1)


def refusal(payment: Payment, age: timedelta) -> None:
    """Record that the gateway refused to open a page that long ago."""
    PaymentEvent.objects.create(payment=payment, kind="initialize", outcome="refused", created_at=timezone.now() - age)


@pytest.mark.parametrize("look_up_url", [STATUS_URL, None])
@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ({"status": "created"}, None),
        ({"status": "created", "attempt": 1}, None),
        ({"status": "created", "attempt": 1}, DAY),
        ({"status": "failed", "attempt": 1, "initialized_at": -DAY, "settled_at": -DAY}, None),
        ({"status": "failed", "attempt": 1, "settled_at": -DAY}, None),
        ({"status": "failed", "attempt": 2, "initialized_at": -DAY, "settled_at": -DAY}, DAY),
    ],
)
def test_unpaid_payment_expires_whatever_its_state(
    gateway: FakeGateway,
    heard: Heard,
    values: dict[str, Any],
    refused: timedelta | None,
    look_up_url: str | None,
) -> None:
    now = timezone.now()
    dates = {name: now + value for name, value in values.items() if isinstance(value, timedelta)}
    payment = make_payment(**{**values, **dates, "created_at": now - DAY})
    if refused:
        refusal(payment, refused)
    assert services.preview_reconciliation()["expired"] == 1

    with override_settings(PAIEMENTPRO_STATUS_URL=look_up_url):
        services.reconcile()

    assert stored(payment).status == "expired"
    assert heard.names == ["payment_expired"]
    assert gateway.look_ups == ([payment.reference_of(n) for n in range(payment.attempt, 0, -1)] if look_up_url else [])
    assert pay(payment).status == "succeeded"


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ({"status": "created", "created_at": -timedelta(hours=23)}, None),
        ({"status": "created", "attempt": 1}, timedelta(hours=23)),
        ({"status": "failed", "attempt": 1, "initialized_at": -DAY, "settled_at": -timedelta(hours=23)}, None),
        ({"status": "failed", "attempt": 2, "initialized_at": -timedelta(hours=23), "settled_at": -DAY}, None),
        ({"status": "failed", "attempt": 2, "initialized_at": -DAY, "settled_at": -DAY}, timedelta(hours=23)),
        ({"status": "pending", "attempt": 2, "initialized_at": -DAY}, timedelta(hours=23)),
    ],
)
@pytest.mark.usefixtures("look_up")
def test_what_happened_lately_keeps_a_payment_open(
    gateway: FakeGateway, heard: Heard, values: dict[str, Any], refused: timedelta | None
) -> None:
    now = timezone.now()
    values = {"created_at": -DAY, **values}
    dates = {name: now + value for name, value in values.items() if isinstance(value, timedelta)}
    payment = make_payment(**{**values, **dates})
    if refused:
        refusal(payment, refused)

    services.reconcile()

    assert stored(payment).status == values["status"]
    assert heard == []
    assert services.preview_reconciliation()["expired"] == 0


@pytest.mark.usefixtures("look_up")
def test_expired_payment_without_an_attempt_is_not_asked_about(gateway: FakeGateway) -> None:
    make_payment(created_at=timezone.now() - DAY)
    services.reconcile()

    assert not due_payments(timezone.now()).exists()


def test_first_event_is_delivered(heard: Heard) -> None:
    paid = make_payment(status="succeeded")
    due_event(paid)
    PaymentEvent.objects.update(id=1)

    services.reconcile()

    assert heard == [("payment_succeeded", paid)]


def test_owed_events_are_fetched_with_their_payments(statements: Statements) -> None:
    paid = make_payment(status="succeeded")
    due_event(paid)

    with statements:
        assert [event.payment for event in undelivered_events()] == [paid]
    assert len(statements) == 1


def test_owed_signals_do_not_wait_for_the_gateway(
    payment: Payment, gateway: FakeGateway, heard: Heard, capsys: pytest.CaptureFixture[str]
) -> None:
    paid = make_payment(status="succeeded")
    due_event(paid)
    heard_before = []
    gateway.tells(payment.reference, lambda request: heard_before.extend(heard) or (200, {}, b'{"success": false}'))

    reconcile(capsys)

    assert heard_before == [("payment_succeeded", paid)]


def test_clock_set_back_does_not_block_checks(gateway: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    tomorrow = timezone.now() + timedelta(days=1)
    payment = old(checked_at=tomorrow, leased_until=tomorrow)

    reconcile(capsys)

    assert stored(payment).status == "expired"


def test_stale_copy_is_refreshed(payment: Payment, gateway: FakeGateway) -> None:
    Payment.objects.update(status="succeeded")

    assert services.check_payment(payment) == "succeeded"


def test_waiting_payer_is_not_delayed_by_many_attempts(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = make_payment(status="pending", attempt=5)
    monkeypatch.setattr(services.status, "PATIENCE", 0.0)

    assert services.check_waiting_payment(payment) == "pending"
    assert gateway.look_ups == [payment.reference_of(5)]


def test_rows_are_read_in_pages(statements: Statements) -> None:
    payments = [make_payment() for _ in range(5)]

    with statements:
        assert list(newest_first(Payment.objects.all(), 2)) == payments[::-1]
        assert list(oldest_first(Payment.objects.all(), 2)) == payments
    assert len(statements) == 6


def test_cron_shows_no_progress(payment: Payment, gateway: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("paiementpro_reconcile")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("values", [{}, {"created_at": timezone.now() + timedelta(days=30)}])
def test_payment_from_the_future_is_checked_and_expires(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    now = timezone.now()
    ahead = now + timedelta(days=30)
    payment = make_payment(status="pending", attempt=1, initialized_at=ahead, **values)
    Payment.objects.update(updated_at=ahead)

    services.reconcile()
    assert gateway.look_ups == [payment.reference]
    assert now <= stored(payment).initialized_at < ahead

    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(hours=25))
    services.reconcile()
    assert (stored(payment).status, len(gateway.look_ups)) == ("expired", 2)


def test_page_opened_a_few_seconds_ahead_keeps_its_date(gateway: FakeGateway) -> None:
    soon = timezone.now() + timedelta(seconds=30)
    payment = make_payment(status="pending", attempt=1, initialized_at=soon)

    services.reconcile()

    assert stored(payment).initialized_at == soon


def test_check_in_the_future_is_not_recent() -> None:
    assert not is_just_checked(make_payment(checked_at=timezone.now() + timedelta(days=30)))
