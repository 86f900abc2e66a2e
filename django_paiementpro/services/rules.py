"""
What a notification or an answer of the gateway means for a payment.

The rules are pure functions: they read no database and write nothing. A decision is about the payment as it was read,
and ``services.transitions`` stores it only if the payment has not changed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from django_paiementpro.conf import conf
from django_paiementpro.enums import Outcome, Reason, SettledBy, Status
from django_paiementpro.exceptions import InvalidNotification
from django_paiementpro.gateway.messages import FAILURE_CODE, SUCCESS_CODE, Notification, StatusAnswer
from django_paiementpro.models import Payment, PaymentEvent, cut
from django_paiementpro.normalization import transaction_key
from django_paiementpro.services.leases import is_held


@dataclass(frozen=True, slots=True)
class Fact:
    """
    Something that staff must review.

    The detail holds figures and ids, in ASCII, so that any table can store it; a host's message is its own words.
    """

    reason: Reason
    detail: str = ""
    #: The gateway's id of the transaction concerned.
    gateway_id: str = ""

    @classmethod
    def of(cls, reason: Reason, detail: str, gateway_id: str = "") -> "Fact":
        """Return a fact with its detail in ASCII, on one line, without semicolons, and cut to its column."""
        line = " ".join(detail.replace(";", ",").split()).encode("ascii", "backslashreplace").decode()
        return cls(reason, line[:200], gateway_id)

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What an event means for a payment as it was read."""

    outcome: Outcome
    reason: str = ""
    message: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    signals: list[str] = field(default_factory=list)
    #: What staff must review; what is already open is not raised again.
    facts: tuple[Fact, ...] = ()
    #: Runs in the same transaction, once the event is stored.
    then: Callable[[PaymentEvent], None] | None = None
    #: False if the decision does not depend on the payment.
    is_conditional: bool = True
    #: False if the caller waits to see what the receivers return.
    may_queue: bool = True


Decide = Callable[[Payment], Decision]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence of how one attempt of this very payment ended. ``attempt`` is 0 if it is not known."""

    settled_by: SettledBy
    attempt: int
    code: str
    gateway_id: str
    channel: str
    transaction_date: datetime | None = None
    message: str = ""
    #: The reference of another payment that staff have confirmed with the same transaction.
    confirmed_other: str = ""


def decide_on_notification(
    payment: Payment, notification: Notification | InvalidNotification, *, is_authentic: bool, confirmed_other: str
) -> Decision:
    """
    Decide how a notification, even an unreadable one, changes its payment.

    ``confirmed_other`` is the reference of another payment that staff have confirmed with the same transaction.
    """
    if isinstance(notification, InvalidNotification):
        return Decision(Outcome.REFUSED, notification.reason, notification.detail, is_conditional=False)
    attempt = payment.attempt_of(notification.reference)
    # What is not authentic says nothing about a transaction.
    mismatches = _mismatches(payment, notification, notification.gateway_id if is_authentic else "")
    if not is_authentic:
        mismatches.append(Fact.of(Reason.HASHCODE, notification.hashcode[:64]))
    if attempt is None or mismatches:
        return flagged(Outcome.REFUSED, *mismatches)
    evidence = Evidence(
        settled_by=SettledBy.NOTIFICATION,
        attempt=attempt,
        code=notification.response_code,
        gateway_id=notification.gateway_id,
        channel=notification.channel,
        transaction_date=notification.transaction_date,
        message=notification.message,
        confirmed_other=confirmed_other,
    )
    return decide(payment, evidence)


def decide_on_answer(payment: Payment, attempt: int, answer: StatusAnswer, *, confirmed_other: str) -> Decision:
    """Decide about a payment by a success of the status look-up, which must match the payment too."""
    mismatches = _compare(
        answer.gateway_id,
        (Reason.MERCHANT, answer.merchant_id, payment.merchant_id),
        (Reason.REFERENCE, answer.reference, payment.reference_of(attempt)),
        (Reason.AMOUNT, answer.amount, payment.amount),
    )
    if mismatches:
        return flagged(Outcome.REFUSED, *mismatches)
    evidence = Evidence(
        settled_by=SettledBy.STATUS,
        attempt=attempt,
        code=SUCCESS_CODE,
        gateway_id=answer.gateway_id,
        channel=answer.channel,
        transaction_date=answer.transaction_date,
        confirmed_other=confirmed_other,
    )
    return decide(payment, evidence)


def _mismatches(payment: Payment, notification: Notification, gateway_id: str) -> list[Fact]:
    """Compare all that a notification must have in common with its payment."""
    currency_number = conf.currencies.get(payment.currency)
    found = []
    if payment.attempt_of(notification.reference) is None:
        found.append(Fact.of(Reason.REFERENCE, notification.reference, gateway_id))
    found += _compare(
        gateway_id,
        (Reason.MERCHANT, notification.merchant_id, payment.merchant_id),
        (Reason.AMOUNT, notification.amount, payment.amount),
        (Reason.CURRENCY, notification.currency_number or currency_number, currency_number),
    )
    return found


def _compare(gateway_id: str, *pairs: tuple[Reason, object, object]) -> list[Fact]:
    """Return a fact for each pair that differs, with what was found and what was expected: ``6250 != 12500``."""
    return [
        Fact.of(reason, f"{str(found)[:64]} != {expected}", gateway_id)
        for reason, found, expected in pairs
        if found != expected
    ]


def decide(payment: Payment, evidence: Evidence) -> Decision:
    """Decide by the states that the documentation shows. The evidence matches the payment."""
    if evidence.code == SUCCESS_CODE:
        return _decide_success(payment, evidence)
    if evidence.code == FAILURE_CODE:
        return _decide_failure(payment, evidence)
    return flagged(Outcome.CONFLICT, Fact.of(Reason.UNKNOWN_CODE, evidence.code))


def _decide_success(payment: Payment, evidence: Evidence) -> Decision:
    if not Status(payment.status).is_paid:
        return success(payment, evidence)
    gateway_id = cut({"gateway_id": evidence.gateway_id})["gateway_id"]
    key = transaction_key(gateway_id)
    is_same_attempt = payment.settled_attempt in {None, evidence.attempt}
    is_same_id = not payment.gateway_key or not key or payment.gateway_key == key
    if not is_same_attempt or not is_same_id:
        paid_again = f"{payment.reference_of(evidence.attempt)} {gateway_id}"
        return flagged(Outcome.CONFLICT, Fact.of(Reason.PAID_TWICE, paid_again, gateway_id))
    # The first id that the gateway names is stored, to distinguish a second payment from it.
    is_news = key and not payment.gateway_key
    changes = {"gateway_id": gateway_id, "settled_attempt": evidence.attempt} if is_news else {}
    return Decision(Outcome.DUPLICATE, changes=changes)


def success(payment: Payment, evidence: Evidence) -> Decision:
    """Return the decision that an unpaid payment is now paid."""
    changes = _settled(Status.SUCCEEDED, evidence)
    gateway_id = changes["gateway_id"]
    facts = []
    if payment.status == Status.CANCELLED:
        facts.append(Fact.of(Reason.PAID_AFTER_CANCELLATION, gateway_id, gateway_id))
    if evidence.confirmed_other:
        reused = f"{gateway_id} {evidence.confirmed_other}"
        facts.append(Fact.of(Reason.TRANSACTION_REUSED, reused, gateway_id))
    return Decision(
        Outcome.ACCEPTED,
        facts[0].reason if facts else "",
        describe(*facts),
        changes,
        ["payment_succeeded"],
        tuple(facts),
    )


def _decide_failure(payment: Payment, evidence: Evidence) -> Decision:
    status = Status(payment.status)
    if status.is_paid:
        reference = payment.reference_of(evidence.attempt)
        return flagged(Outcome.CONFLICT, Fact.of(Reason.FAILURE_AFTER_SUCCESS, reference))
    # An attempt without a page leaves the customer with the page of the previous one.
    newest = payment.attempt if is_held(payment) else payment.opened_attempt or payment.attempt
    is_earlier_attempt = evidence.attempt < newest
    if status.is_final or is_earlier_attempt:
        return Decision(Outcome.DUPLICATE)
    return Decision(Outcome.ACCEPTED, changes=_settled(Status.FAILED, evidence), signals=["payment_failed"])


def _settled(status: Status, evidence: Evidence) -> dict[str, Any]:
    return cut(
        {
            "status": status,
            "settled_by": evidence.settled_by,
            "settled_at": timezone.now(),
            "settled_attempt": evidence.attempt or None,
            "gateway_id": evidence.gateway_id,
            "gateway_channel": evidence.channel,
            "transaction_date": evidence.transaction_date,
            "response_code": evidence.code,
            "response_message": evidence.message,
        }
    )


def flagged(outcome: Outcome, *facts: Fact) -> Decision:
    """Return the decision to ask a person to look at the payment, and to change nothing else."""
    return Decision(outcome, facts[0].reason, describe(*facts), facts=facts)


def describe(*facts: Fact) -> str:
    """Return facts in one line for the audit trail: codes and figures, in no language."""
    return "; ".join(map(str, facts))
