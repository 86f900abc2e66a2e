"""What staff read about a payment, where the pages of tests/test_admin.py do not come by."""

from datetime import date, datetime, timezone
from typing import Any

import pytest
from django.utils import translation

from django_paiementpro.admin import wording
from django_paiementpro.models import Finding, Payment, PaymentEvent, Refund

PAID_FIELDS = {"merchantId": "PP-F324", "referenceNumber": "r", "amount": "1", "responsecode": "0"}


def event(kind: str, outcome: str, **values: Any) -> PaymentEvent:
    return PaymentEvent(payment=Payment(amount=12500), kind=kind, outcome=outcome, **values)


def known(payment: Payment, *events: PaymentEvent) -> str:
    return " ".join(wording.summarize(payment, events, findings=[], refunds=[]).known)


@pytest.mark.parametrize("data", [["Awa"], [{"a": 1}], "Awa", 1, None, {"action": ["Awa"], "user": ["Awa"]}])
@pytest.mark.parametrize("kind", ["notification", "status", "initialize", "host", "staff", "expiry"])
def test_event_data_that_are_not_an_object_are_shown(kind: str, data: Any) -> None:
    odd = event(kind, "accepted", data=data, created_at=datetime(2026, 11, 2, tzinfo=timezone.utc))
    [entry] = wording.timeline([odd])

    assert entry.title
    assert entry.fields == (list(data.items()) if isinstance(data, dict) else [("data", data)] if data else [])
    paid = Payment(status="succeeded", amount=1, settled_by="staff")
    assert known(paid, odd)


def test_refused_page_says_why() -> None:
    refused = event("initialize", "refused", message="ID marchand inconnu")
    payment = Payment(status="created", attempt=1, customer_phone="0707123456")
    summary = wording.summarize(payment, [refused], findings=[], refunds=[])
    assert summary.known == ["The gateway refused to open a payment page: “ID marchand inconnu”."]
    assert "Correct what it names" in summary.advice[0]


def test_outage_is_described() -> None:
    assert "did not answer" in known(Payment(status="created", attempt=1), event("initialize", "failed"))


@pytest.mark.parametrize(
    ("settled_by", "words"),
    [
        ("notification", "Confirmed by a notification from the gateway."),
        ("status", "Confirmed by a status check."),
        ("staff", "Confirmed manually."),
    ],
)
def test_evidence_is_described(settled_by: str, words: str) -> None:
    assert words in known(Payment(status="succeeded", amount=1, settled_by=settled_by))


@pytest.mark.parametrize(("status", "amount"), [("succeeded", 1500), ("refunded", 12500)])
def test_refunds_are_summed_up_with_the_latest_day(status: str, amount: int) -> None:
    payment = Payment(status=status, amount=12500, refunded_amount=amount)
    refunds = [Refund(refunded_on=date(2026, 11, day)) for day in (20, 25, 18)]
    summary = wording.summarize(payment, [], findings=[], refunds=refunds)
    assert summary.known[-1] == (
        f"{payment.refunded_amount_display} of 12\u202f500\u00a0F\u00a0CFA refunded, most recently on 25/11/2026."
    )
    assert summary.advice == ["Nothing to do."]


def test_open_findings_come_before_other_advice() -> None:
    raised_at = datetime(2026, 11, 25, 10, 4, tzinfo=timezone.utc)
    finding = Finding(reason="amount_mismatch", detail="6250 != 12500", created_at=raised_at)
    summary = wording.summarize(Payment(status="succeeded", amount=1), [], findings=[finding], refunds=[])
    [shown] = summary.findings
    assert (shown.title, shown.detail, shown.raised) == (
        "Another amount",
        "6250 instead of 12500",
        "25/11/2026 10:04",
    )
    assert shown.advice.startswith("Do not deliver for this amount.")
    assert summary.advice == []


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("amount_mismatch: 6250 != 12500", "Another amount: 6250 instead of 12500"),
        ("merchant_mismatch:  != PP-F324; paid_twice: r 7", "Another merchant: – instead of PP-F324; Paid twice: r 7"),
        ("amount_mismatch: None != 12500", "Another amount: – instead of 12500"),
        ("paid_after_cancellation: ", "Paid after it was cancelled"),
        ("ID marchand inconnu: != 12500", "ID marchand inconnu: != 12500"),
        ("", ""),
    ],
)
def test_codes_of_findings_are_put_into_words(message: str, words: str) -> None:
    assert wording.findings_in_words(message) == words


def test_codes_of_findings_are_put_into_french_words() -> None:
    with translation.override("fr"):
        assert wording.findings_in_words("paid_twice: r 7") == "Payé deux fois\u00a0: r 7"


@pytest.mark.parametrize(
    ("data", "details"),
    [
        ({"amount": 1000, "kind": "refund", "refund_reference": "R-1"}, "1\u202f000\u00a0F\u00a0CFA, R-1"),
        (
            {"amount": 1000, "kind": "chargeback", "refund_reference": "", "fee": 2500},
            "1\u202f000\u00a0F\u00a0CFA, Chargeback, fee: 2\u202f500\u00a0F\u00a0CFA",
        ),
    ],
)
def test_refund_is_described_with_its_figures(data: dict[str, Any], details: str) -> None:
    told = event("staff", "accepted", data={"action": "refund", "user": "aminata", **data}, message="Out of stock")
    [entry] = wording.timeline([told])
    assert entry.title == "aminata recorded a refund"
    assert entry.details == [details, "Out of stock"]


def test_only_staff_are_named_as_having_confirmed() -> None:
    forged = event("notification", "duplicate", data={"action": "confirm", "user": "mallory"})
    assert "mallory" not in known(Payment(status="succeeded", amount=1, settled_by="staff"), forged)


@pytest.mark.parametrize(
    ("told", "title", "level"),
    [
        (event("notification", "accepted", data=PAID_FIELDS), "Notification: paid", "success"),
        (event("notification", "accepted", data={"x": "1"}), "Notification: not paid", "warning"),
        (event("status", "accepted"), "Status check: paid", "success"),
        (event("status", "conflict"), "does not match this payment", "warning"),
        (event("initialize", "failed"), "The gateway did not answer", "error"),
        (event("expiry", "accepted"), "was not made in time", ""),
        (event("host", "refused"), "Shop: Refused", "error"),
        (event("staff", "accepted", data={"action": "other"}), "Staff: Accepted", ""),
    ],
)
def test_every_event_is_described(told: PaymentEvent, title: str, level: str) -> None:
    [entry] = wording.timeline([told])
    assert title in entry.title
    assert entry.level == level


def test_unreadable_notification_is_described() -> None:
    [entry] = wording.timeline([event("notification", "refused", reason="malformed", message="no amount")])
    assert entry.details == ["Cannot be read", "no amount"]
