"""What the gateway says of a payment, by notification or when asked, and what it proves."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from django_paiementpro import gateway, log
from django_paiementpro.conf import conf
from django_paiementpro.enums import Kind, Outcome, Reason, SettledBy, Status
from django_paiementpro.exceptions import GatewayUnavailableError, InvalidNotification
from django_paiementpro.messages import FAILURE_CODE, SUCCESS_CODE, Notification, StatusAnswer
from django_paiementpro.models import Payment, PaymentEvent, cut
from django_paiementpro.services.claims import claim_check, is_claimed
from django_paiementpro.services.transitions import Verdict, describe, flagged, outside_transactions, read_again, settle

Judge = Callable[[Payment], Verdict]

# How often the return page may ask the gateway about one payment.
CHECK_INTERVAL = timedelta(seconds=5)

# For how many seconds a payer who waits has attempts looked up; the one that hangs at their end comes on top.
PATIENCE = 3.0


def receive_notification(payment: Payment, notification: Notification, remote_address: str = "") -> PaymentEvent:
    """
    Record what the gateway says of a payment, once, and settle it where that proves something.

    A repeated notification changes nothing. One that does not fit the payment is ``refused`` and flagged. The signals
    go out after the commit: first the truth is stored, then the world is told.
    """
    return settle(payment, judge_of(notification), Kind.NOTIFICATION, notification.data, remote_address)


def refuse_notification(payment: Payment, error: InvalidNotification, remote_address: str = "") -> PaymentEvent:
    """Record a notification that came through the payment's own URL but cannot be read. It changes no state."""
    return settle(payment, judge_of(error), Kind.NOTIFICATION, error.data, remote_address)


def judge_of(notification: Notification | InvalidNotification) -> Judge:
    """Return what decides about a payment by a notification, or by one that cannot be read. It writes nothing."""
    if isinstance(notification, InvalidNotification):
        unreadable = Verdict(Outcome.REFUSED, notification.reason, notification.detail)
        return lambda payment: unreadable
    is_authentic = _is_authentic(notification)

    def judge(payment: Payment) -> Verdict:
        attempt = payment.attempt_of(notification.reference)
        mismatches = _mismatches(payment, notification)
        if not is_authentic:
            mismatches.append((Reason.HASHCODE, notification.hashcode[:64]))
        if attempt is None or mismatches:
            return flagged(payment, Outcome.REFUSED, *mismatches)
        evidence = Evidence(
            settled_by=SettledBy.NOTIFICATION,
            attempt=attempt,
            code=notification.response_code,
            gateway_id=notification.gateway_id,
            channel=notification.channel,
            transaction_date=notification.transaction_date,
            message=notification.message,
        )
        return _judge(payment, evidence)

    return judge


def check_payment(payment: Payment) -> Status:
    """
    Ask the gateway about every attempt, settle on proof, and return where the payment stands.

    Nothing but a success that fits the payment proves anything: the look-up has denied payments that were made
    (FIELD_GUIDE section 7). No answer is no proof either, and raises nothing. Without ``PAIEMENTPRO_STATUS_URL``
    nothing is asked.
    """
    look_up(payment)
    read_again(payment)
    return Status(payment.status)


def check_waiting_payment(payment: Payment) -> Status:
    """Do the same for a payer who waits, in a few seconds, unless the gateway has been asked a few seconds ago."""
    if conf.status_url and claim_check(payment, timezone.now() - CHECK_INTERVAL):
        look_up(payment, PATIENCE)
        read_again(payment)
    return Status(payment.status)


def is_just_checked(payment: Payment) -> bool:
    """Return whether the gateway has been asked about it a few seconds ago."""
    return payment.checked_at is not None and payment.checked_at > timezone.now() - CHECK_INTERVAL


@dataclass(frozen=True, slots=True)
class Answer:
    """What the status service said of one attempt, or what kept it from answering."""

    attempt: int
    content: StatusAnswer | GatewayUnavailableError

    @property
    def error(self) -> GatewayUnavailableError | None:
        return self.content if isinstance(self.content, GatewayUnavailableError) else None


@outside_transactions
def look_up(payment: Payment, patience: float | None = None) -> list[GatewayUnavailableError]:
    """Ask about every attempt, settle on proof, and return what kept the gateway from answering."""
    started_at = time.monotonic()
    errors = []
    for answer in ask(payment, patience):
        receive_answer(payment, answer)
        if answer.error:
            errors.append(answer.error)
    report_silence(payment, errors, time.monotonic() - started_at)
    return errors


def ask(
    payment: Payment, patience: float | None = None, may_ask: Callable[[], bool] = lambda: True
) -> Iterator[Answer]:
    """
    Ask about every attempt, the newest first. It touches no database, so that any thread may do it.

    After so many seconds of patience, or after the time-outs of one call where there was no answer, no more is asked;
    nor once ``may_ask`` says no.
    """
    if not conf.status_url:
        return
    started_at = time.monotonic()
    limit = math.inf if patience is None else patience
    for attempt in range(count_attempts(payment), 0, -1):
        if not may_ask():
            return
        answer = _ask_about(payment, attempt)
        yield answer
        if answer.error and patience is None:
            limit = gateway.call_seconds()
        if time.monotonic() - started_at > limit:
            return


def _ask_about(payment: Payment, attempt: int) -> Answer:
    try:
        return Answer(attempt, gateway.look_up(payment.reference_of(attempt)))
    except GatewayUnavailableError as error:
        return Answer(attempt, error)


def count_attempts(payment: Payment) -> int:
    """Return how many references the gateway may know."""
    return payment.attempt or int(payment.status != Status.CREATED)


def receive_answer(payment: Payment, answer: Answer) -> None:
    """Settle where the answer proves something."""
    if isinstance(answer.content, StatusAnswer) and answer.content.is_success:
        _receive_status(payment, answer.attempt, answer.content)


def report_silence(payment: Payment, errors: list[GatewayUnavailableError], duration: float) -> None:
    """Log that the look-up gave no answer, if so."""
    if errors:
        log.write(
            "status_unavailable",
            payment,
            outcome=Outcome.FAILED,
            duration=duration,
            error=str(errors[-1]),
            count=len(errors),
        )


def _receive_status(payment: Payment, attempt: int, answer: StatusAnswer) -> None:
    """Settle by a success of the status look-up, once it is this payment's."""
    compared = [
        (Reason.MERCHANT, answer.merchant_id, payment.merchant_id),
        (Reason.REFERENCE, answer.reference, payment.reference_of(attempt)),
        (Reason.AMOUNT, answer.amount, payment.amount),
    ]
    mismatches = [(reason, f"{found} ≠ {expected}") for reason, found, expected in compared if found != expected]
    evidence = Evidence(
        settled_by=SettledBy.STATUS,
        attempt=attempt,
        code=SUCCESS_CODE,
        gateway_id=answer.gateway_id,
        channel=answer.channel,
        transaction_date=answer.transaction_date,
    )

    def judge(payment: Payment) -> Verdict:
        if mismatches:
            return Verdict(Outcome.REFUSED, mismatches[0][0], "; ".join(describe(mismatches)))
        return _judge(payment, evidence)

    # What is known already is not worth a line each time that it is asked.
    verdict = judge(payment)
    if verdict.outcome != Outcome.DUPLICATE or verdict.changes:
        settle(payment, judge, Kind.STATUS, answer.data)


def _mismatches(payment: Payment, notification: Notification) -> list[tuple[Reason, str]]:
    """Compare all that a notification must have in common with its payment."""
    currency_number = conf.currencies.get(payment.currency)
    found = []
    if payment.attempt_of(notification.reference) is None:
        found.append((Reason.REFERENCE, notification.reference))
    if notification.merchant_id != payment.merchant_id:
        found.append((Reason.MERCHANT, f"{notification.merchant_id[:64]} ≠ {payment.merchant_id}"))
    if notification.amount != payment.amount:
        found.append((Reason.AMOUNT, f"{notification.amount} ≠ {payment.amount}"))
    if notification.currency_number and notification.currency_number != currency_number:
        found.append((Reason.CURRENCY, f"{notification.currency_number[:64]} ≠ {currency_number}"))
    return found


def _is_authentic(notification: Notification) -> bool:
    """Ask the host's verifier, where there is one. Only True agrees, and one that raises does not."""
    try:
        verifier = conf.hashcode_verifier
        return verifier is None or verifier(notification) is True
    except Exception as error:  # noqa: BLE001  logged, and no agreement
        log.write("verifier_failed", raised=error)
        return False


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    What the gateway says of one attempt of this very payment, by whichever way it said so.

    ``attempt`` is 0 where nobody knows which.
    """

    settled_by: SettledBy
    attempt: int
    code: str
    gateway_id: str
    channel: str
    transaction_date: datetime | None
    message: str = ""


def _judge(payment: Payment, evidence: Evidence) -> Verdict:
    """Decide by the states that the documentation draws. The evidence fits the payment; nothing is written here."""
    status = Status(payment.status)
    if evidence.code == SUCCESS_CODE:
        return _judge_success(payment, status, evidence)
    if evidence.code == FAILURE_CODE:
        return _judge_failure(payment, status, evidence)
    return flagged(payment, Outcome.CONFLICT, (Reason.UNKNOWN_CODE, evidence.code))


def _judge_success(payment: Payment, status: Status, evidence: Evidence) -> Verdict:
    if status.is_paid:
        gateway_id = cut({"gateway_id": evidence.gateway_id})["gateway_id"]
        is_same_attempt = payment.settled_attempt in {None, evidence.attempt}
        is_same_id = not payment.gateway_id or not gateway_id or payment.gateway_id == gateway_id
        if not is_same_attempt or not is_same_id:
            paid_again = f"{payment.reference_of(evidence.attempt)} {gateway_id}"
            return flagged(payment, Outcome.CONFLICT, (Reason.PAID_TWICE, paid_again))
        # The first to name the gateway's id is believed, so that a second payment can be told from it.
        is_news = gateway_id and not payment.gateway_id
        changes = {"gateway_id": gateway_id, "settled_attempt": evidence.attempt} if is_news else {}
        return Verdict(Outcome.DUPLICATE, changes=changes)
    return success(payment, evidence)


def success(payment: Payment, evidence: Evidence) -> Verdict:
    """Return the verdict that a payment which was not paid before is so now."""
    changes = _settled(Status.SUCCEEDED, evidence)
    if payment.status != Status.CANCELLED:
        return Verdict(Outcome.ACCEPTED, changes=changes, signals=["payment_succeeded"])
    late = flagged(payment, Outcome.ACCEPTED, (Reason.PAID_AFTER_CANCELLATION, changes["gateway_id"]))
    return Verdict(
        late.outcome,
        late.reason,
        late.message,
        {**changes, **late.changes},
        ["payment_succeeded", *late.signals],
    )


def _judge_failure(payment: Payment, status: Status, evidence: Evidence) -> Verdict:
    if status.is_paid:
        reference = payment.reference_of(evidence.attempt)
        return flagged(payment, Outcome.CONFLICT, (Reason.FAILURE_AFTER_SUCCESS, reference))
    # An attempt that brought no page leaves the payer with the page of the one before.
    newest = payment.attempt if is_claimed(payment) else payment.opened_attempt or payment.attempt
    is_earlier_attempt = evidence.attempt < newest
    if status.is_final or is_earlier_attempt:
        return Verdict(Outcome.DUPLICATE)
    return Verdict(Outcome.ACCEPTED, changes=_settled(Status.FAILED, evidence), signals=["payment_failed"])


def _settled(status: Status, evidence: Evidence) -> dict[str, Any]:
    return cut(
        {
            "status": status,
            "settled_by": evidence.settled_by,
            "settled_at": timezone.now(),
            "settled_attempt": evidence.attempt or None,
            "gateway_id": evidence.gateway_id,
            "gateway_channel": evidence.channel,
            "transaction_date": _storable(evidence.transaction_date),
            "response_code": evidence.code,
            "response_message": evidence.message,
        }
    )


def _storable(moment: datetime | None) -> datetime | None:
    """Return an aware datetime as the host stores its own."""
    return moment if moment is None or settings.USE_TZ else timezone.make_naive(moment)
