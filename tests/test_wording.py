"""What staff read about a payment, where the pages of tests/test_admin.py do not come by."""

from typing import Any

import pytest

from django_paiementpro.admin import wording
from django_paiementpro.models import Payment, PaymentEvent

PAID_FIELDS = {"merchantId": "PP-F324", "referenceNumber": "r", "amount": "1", "responsecode": "0"}


def event(kind: str, outcome: str, **values: Any) -> PaymentEvent:
    return PaymentEvent(payment=Payment(amount=12500), kind=kind, outcome=outcome, **values)


def known(payment: Payment, *events: PaymentEvent) -> str:
    return " ".join(wording.summarize(payment, events).known)


def test_a_page_that_was_refused_says_why() -> None:
    refused = event("initialize", "refused", message="ID marchand inconnu")
    summary = wording.summarize(Payment(status="created", attempt=1, customer_phone="0707123456"), [refused])
    assert summary.known == ["The gateway refused to open a payment page: “ID marchand inconnu”."]
    assert "Correct what it names" in summary.advice[0]


def test_a_gateway_that_was_away_is_told() -> None:
    assert "gave no answer" in known(Payment(status="created", attempt=1), event("initialize", "failed"))


@pytest.mark.parametrize(
    ("settled_by", "words"),
    [
        ("notification", "The gateway notified it."),
        ("status", "The gateway said so when it was asked."),
        ("staff", "It was confirmed by hand."),
    ],
)
def test_the_evidence_is_named(settled_by: str, words: str) -> None:
    assert words in known(Payment(status="succeeded", amount=1, settled_by=settled_by))


def test_only_staff_are_named_as_having_confirmed() -> None:
    forged = event("notification", "duplicate", data={"action": "confirm", "user": "mallory"})
    assert "mallory" not in known(Payment(status="succeeded", amount=1, settled_by="staff"), forged)


@pytest.mark.parametrize(
    ("told", "title", "level"),
    [
        (event("notification", "accepted", data=PAID_FIELDS), "The gateway notified: paid", "success"),
        (event("notification", "accepted", data={"x": "1"}), "The gateway notified: not paid", "warning"),
        (event("status", "accepted"), "The gateway, when asked, said: paid", "success"),
        (event("status", "conflict"), "said what does not fit", "warning"),
        (event("initialize", "failed"), "The gateway gave no answer", "error"),
        (event("expiry", "accepted"), "Nobody paid in time", ""),
        (event("host", "refused"), "Shop: Refused", "error"),
        (event("staff", "accepted", data={"action": "other"}), "Staff: Accepted", ""),
    ],
)
def test_each_event_has_its_words(told: PaymentEvent, title: str, level: str) -> None:
    [entry] = wording.tell([told])
    assert title in entry.title
    assert entry.level == level


def test_what_could_not_be_read_says_so() -> None:
    [entry] = wording.tell([event("notification", "refused", reason="malformed", message="no amount")])
    assert entry.details == ["Cannot be read", "no amount"]
