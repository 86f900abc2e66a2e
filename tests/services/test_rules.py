"""What a notification or an answer means for a payment. None of these tests may use the database."""

from typing import Any

import pytest

from django_paiementpro.enums import Status
from django_paiementpro.gateway.messages import Notification, StatusAnswer
from django_paiementpro.models import Payment
from django_paiementpro.services.rules import Decision, decide_on_answer, decide_on_notification


def decide(status: str = "pending", confirmed_other: str = "", **changes: str) -> Decision:
    payment = Payment(reference="a", status=status, amount=12500, attempt=1, opened_attempt=1)
    fields = {"merchantId": "PP-F324", "referenceNumber": "a", "amount": "12500", "responsecode": "0", "payId": "CI1"}
    notification = Notification.from_fields([*(fields | changes).items()])
    return decide_on_notification(payment, notification, is_authentic=True, confirmed_other=confirmed_other)


@pytest.mark.parametrize("status", [status for status in Status if not status.is_paid])
def test_success_settles_any_payment_that_is_not_paid(status: Status) -> None:
    decision = decide(status)

    assert (decision.outcome, decision.changes["status"]) == ("accepted", "succeeded")
    assert decision.signals == ["payment_succeeded"]
    assert [fact.reason for fact in decision.facts] == ["paid_after_cancellation"] * (status == Status.CANCELLED)


@pytest.mark.parametrize(
    ("status", "outcome", "signals"),
    [
        ("created", "accepted", ["payment_failed"]),
        ("pending", "accepted", ["payment_failed"]),
        ("failed", "duplicate", []),
        ("expired", "duplicate", []),
        ("cancelled", "duplicate", []),
        ("succeeded", "conflict", []),
        ("refunded", "conflict", []),
    ],
)
def test_failure_settles_a_payment_that_waits(status: str, outcome: str, signals: list[str]) -> None:
    decision = decide(status, responsecode="-1")

    assert (decision.outcome, decision.signals) == (outcome, signals)
    assert bool(decision.changes) == (outcome == "accepted")


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({"amount": "6250"}, "refused", "amount_mismatch"),
        ({"merchantId": "PP-F1"}, "refused", "merchant_mismatch"),
        ({"referenceNumber": "b"}, "refused", "reference_mismatch"),
        ({"responsecode": "7"}, "conflict", "unknown_code"),
    ],
)
def test_notification_that_does_not_match_changes_no_state(changes: dict[str, str], outcome: str, reason: str) -> None:
    decision = decide(**changes)

    assert (decision.outcome, decision.reason, decision.changes) == (outcome, reason, {})


def test_transaction_that_staff_have_used_is_a_success_to_review() -> None:
    decision = decide(confirmed_other="b")

    assert decision.changes["status"] == "succeeded"
    assert list(map(str, decision.facts)) == ["transaction_reused: CI1 b"]


@pytest.mark.parametrize(("amount", "outcome"), [("12500", "accepted"), ("6250", "refused")])
def test_answer_of_the_status_look_up_must_match(amount: str, outcome: str) -> None:
    payment = Payment(reference="a", status="pending", amount=12500, attempt=1)
    fields: dict[str, Any] = {"success": True, "marchant_id": "PP-F324", "reference": "a", "amount": amount}

    decision = decide_on_answer(payment, 1, StatusAnswer.from_json(fields), confirmed_other="")

    assert decision.outcome == outcome
