"""What the gateway says about a payment, by notification (webhook) or when asked, and what that proves."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any

from django.utils import timezone

from django_paiementpro import gateway, log, statements
from django_paiementpro.conf import conf
from django_paiementpro.enums import Kind, Outcome, Reason, SettledBy, Status
from django_paiementpro.exceptions import GatewayUnavailableError, InvalidNotification
from django_paiementpro.messages import FAILURE_CODE, SUCCESS_CODE, Notification, StatusAnswer
from django_paiementpro.models import Payment, PaymentEvent, cut
from django_paiementpro.normalization import transaction_key
from django_paiementpro.services.bulkhead import Bulkhead, Silence
from django_paiementpro.services.claims import CLOCK_SKEW, claim_check, is_claimed
from django_paiementpro.services.transitions import (
    Decide,
    Decision,
    Fact,
    describe,
    flagged,
    outside_transactions,
    read_again,
    settle,
    with_news,
)

# How often the return page may ask the gateway about one payment.
CHECK_INTERVAL = timedelta(seconds=5)

# For how long after its newest page was opened the return page asks about a payment that has failed or was cancelled.
OPEN_PAGE_AGE = timedelta(hours=1)

# For how many seconds attempts are looked up while a payer waits.
PATIENCE = 3.0

# The shortest time-out of a look-up, in seconds, however little patience is left.
SHORTEST_TIMEOUT = 0.5

# How many threads of a process may look up a payment for a payer at once; the others serve notifications.
PAYER_LOOK_UPS = 2

_bulkhead = Bulkhead()


def find_payment(url_key: str) -> Payment | None:
    """Return the payment that a signed URL names, or None."""
    payment = statements.find(Payment, {"reference": _reference_in(url_key)})
    # To the letter: MariaDB compares without case.
    return payment if payment and payment.url_key == url_key else None


def _reference_in(url_key: str) -> str:
    return url_key.rpartition("-")[0]


def receive_notification(payment: Payment, notification: Notification, remote_address: str = "") -> PaymentEvent:
    """
    Record what the gateway says about a payment, and settle it if that proves something.

    A repeated notification changes nothing. One that does not match the payment is ``refused`` and flagged. Signals
    are sent after the commit.
    """
    look = partial(confirmed_by_staff, payment.reference, notification.gateway_id)
    return settle(payment, decide_on(notification, look), Kind.NOTIFICATION, notification.data, remote_address)


def receive_webhook(
    url_key: str, notification: Notification | InvalidNotification, remote_address: str = ""
) -> PaymentEvent | None:
    """
    Do the same for the payment that a signed URL names, in as few statements as possible.

    Return None if there is no such payment.

    A notification that cannot be read is recorded as refused.
    """
    reference = _reference_in(url_key)
    gateway_id = notification.gateway_id if isinstance(notification, Notification) else ""
    answers: list[str] = []
    # The host's verifier runs here, which may take a while: nothing has been read yet.
    decide = decide_on(notification, lambda: answers.pop() if answers else confirmed_by_staff(reference, gateway_id))
    key = transaction_key(gateway_id)
    also, params = (_CONFIRMED_OTHER, [key, reference]) if key else ("", [])
    payment = statements.find(Payment, {"reference": reference}, also, params)
    if payment is None or payment.url_key != url_key:
        return None
    # Asked in the statement that reads the payment anyway; if the payment is decided about again, so is this.
    answers.append(getattr(payment, "confirmed_other", None) or "")
    return settle(payment, decide, Kind.NOTIFICATION, notification.data, remote_address, is_current=True)


_CONFIRMED_OTHER = """(
    SELECT other.reference FROM paiementpro_payment other
    WHERE other.gateway_key = %s AND other.reference <> %s
      AND other.settled_by = 'staff' AND other.status IN ('succeeded', 'refunded')
    LIMIT 1
) AS confirmed_other"""


def confirmed_by_staff(reference: str, gateway_id: str) -> str:
    """Return the reference of another payment that staff have confirmed with this transaction, or nothing."""
    paid = [status for status in Status if status.is_paid]
    others = Payment.objects.primary().filter(settled_by=SettledBy.STAFF, status__in=paid).exclude(reference=reference)
    key = transaction_key(gateway_id)
    found = others.filter(gateway_key=key).values_list("reference", flat=True).first() if key else None
    return found or ""


def refuse_notification(payment: Payment, error: InvalidNotification, remote_address: str = "") -> PaymentEvent:
    """Record a notification that came through the payment's own URL but cannot be read. It changes no state."""
    return settle(payment, decide_on(error), Kind.NOTIFICATION, error.data, remote_address)


def decide_on(notification: Notification | InvalidNotification, confirmed_other: Callable[[], str] = str) -> Decide:
    """
    Return what decides about a payment by a notification, or by one that cannot be read. It writes nothing.

    ``confirmed_other`` returns the reference of another payment that staff have confirmed with the same transaction.
    """
    if isinstance(notification, InvalidNotification):
        unreadable = Decision(Outcome.REFUSED, notification.reason, notification.detail, is_conditional=False)
        return lambda payment: unreadable
    is_authentic = _is_authentic(notification)

    def decide(payment: Payment) -> Decision:
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
        return _decide(payment, evidence)

    return decide


def check_payment(payment: Payment) -> Status:
    """
    Ask the gateway about every attempt, settle on proof, and return where the payment stands.

    Nothing but a success that fits the payment proves anything: the look-up has denied payments that were made
    (see "What is known of the gateway"). No answer is no proof either, and raises nothing. Without
    ``PAIEMENTPRO_STATUS_URL`` nothing is asked.
    """
    look_up(payment)
    read_again(payment)
    return Status(payment.status)


def check_waiting_payment(payment: Payment) -> Status:
    """
    Do the same within a few seconds, for a payer who waits.

    A payment that has failed or was cancelled may be paid too while its page is open. The gateway is not asked
    if it was asked about this payment a few seconds ago, if its status service was silent a moment ago, or if enough
    threads of this process are waiting for it already.
    """
    is_open = not payment.is_final or (
        payment.status in {Status.FAILED, Status.CANCELLED} and payment.attempt and payment.waiting_time < OPEN_PAGE_AGE
    )
    if conf.status_url and is_open:
        started_at = time.monotonic()
        if answers := _ask_for_payer(payment):
            _receive_answers(payment, answers, started_at)
            read_again(payment)
    return Status(payment.status)


def forget_silence() -> None:
    """Ask the status service for payers again, though it was silent a moment ago."""
    _silence_of.cache_clear()


@lru_cache(maxsize=16)
def _silence_of(url: str) -> Silence:
    """Return what this process remembers about the silence of a status service."""
    return Silence()


def is_just_checked(payment: Payment) -> bool:
    """Return whether the gateway has been asked about it a few seconds ago."""
    now = timezone.now()
    return payment.checked_at is not None and now - CHECK_INTERVAL < payment.checked_at <= now + CLOCK_SKEW


@dataclass(frozen=True, slots=True)
class Answer:
    """What the status service said of one attempt, or what kept it from answering."""

    attempt: int
    content: StatusAnswer | GatewayUnavailableError

    @property
    def error(self) -> GatewayUnavailableError | None:
        return self.content if isinstance(self.content, GatewayUnavailableError) else None


@outside_transactions
def _ask_for_payer(payment: Payment) -> list[Answer]:
    """Return the answers about the newest attempts. Nothing is settled here: a receiver must not keep the place."""
    answers = []
    silence = _silence_of(conf.status_url or "")
    with _bulkhead.enter(PAYER_LOOK_UPS) as is_free:
        if is_free and silence.is_over() and claim_check(payment, timezone.now() - CHECK_INTERVAL):
            for answer in ask(payment, PATIENCE, silence.is_over):
                silence.note(is_silent=answer.error is not None and answer.error.is_away)
                answers.append(answer)
    return answers


@outside_transactions
def look_up(payment: Payment, patience: float = math.inf) -> list[GatewayUnavailableError]:
    """Ask about every attempt, settle on proof, and return what kept the gateway from answering."""
    return _receive_answers(payment, ask(payment, patience), time.monotonic())


def _receive_answers(payment: Payment, answers: Iterable[Answer], started_at: float) -> list[GatewayUnavailableError]:
    errors = []
    for answer in answers:
        receive_answer(payment, answer)
        if answer.error:
            errors.append(answer.error)
    report_silence(payment, errors, time.monotonic() - started_at)
    return errors


def ask(
    payment: Payment,
    patience: float = math.inf,
    may_ask: Callable[[], bool] = lambda: True,
    attempts: Sequence[int] | None = None,
) -> Iterator[Answer]:
    """
    Ask about the attempts, all unless some are given, the newest first. Use no database, so any thread may do it.

    After so many seconds of patience, or after the time-outs of one call where there was no answer, no more is asked;
    nor once ``may_ask`` says no.
    """
    if not conf.status_url:
        return
    started_at = time.monotonic()
    deadline = started_at + patience
    for attempt in every_attempt(payment) if attempts is None else attempts:
        if not may_ask():
            return
        answer = _ask_about(payment, attempt, max(deadline - time.monotonic(), SHORTEST_TIMEOUT))
        yield answer
        if answer.error:
            deadline = min(deadline, started_at + gateway.call_seconds())
        if time.monotonic() > deadline:
            return


def _ask_about(payment: Payment, attempt: int, patience: float) -> Answer:
    try:
        return Answer(attempt, gateway.look_up(payment.reference_of(attempt), patience))
    except GatewayUnavailableError as error:
        return Answer(attempt, error)


def every_attempt(payment: Payment) -> Sequence[int]:
    """Return the attempts whose references the gateway may know, the newest first."""
    return range(payment.attempt or int(payment.status != Status.CREATED), 0, -1)


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
    """Settle the payment by a success of the status look-up, if it matches."""

    def decide(payment: Payment) -> Decision:
        mismatches = _compare(
            answer.gateway_id,
            (Reason.MERCHANT, answer.merchant_id, payment.merchant_id),
            (Reason.REFERENCE, answer.reference, payment.reference_of(attempt)),
            (Reason.AMOUNT, answer.amount, payment.amount),
        )
        return flagged(Outcome.REFUSED, *mismatches) if mismatches else _decide(payment, evidence)

    evidence = Evidence(
        settled_by=SettledBy.STATUS,
        attempt=attempt,
        code=SUCCESS_CODE,
        gateway_id=answer.gateway_id,
        channel=answer.channel,
        transaction_date=answer.transaction_date,
        confirmed_other=partial(confirmed_by_staff, payment.reference, answer.gateway_id),
    )
    read_again(payment)
    # A fact that is already known is not worth a row each time.
    if with_news(payment, decide(payment)).changes:
        settle(payment, decide, Kind.STATUS, answer.data, is_current=True)


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


def _is_authentic(notification: Notification) -> bool:
    """Ask the host's verifier, if there is one. Only True agrees; a verifier that raises or exits does not."""
    try:
        verifier = conf.hashcode_verifier
        return verifier is None or verifier(notification) is True
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  logged, and counts as disagreeing
        log.write("verifier_failed", raised=error)
        return False


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence of how one attempt of this very payment ended. ``attempt`` is 0 if it is not known."""

    settled_by: SettledBy
    attempt: int
    code: str
    gateway_id: str
    channel: str
    transaction_date: datetime | None
    message: str = ""
    #: The reference of another payment that staff have confirmed with the same transaction.
    confirmed_other: Callable[[], str] = str


def _decide(payment: Payment, evidence: Evidence) -> Decision:
    """Decide by the states that the documentation shows. The evidence matches the payment; nothing is written here."""
    status = Status(payment.status)
    if evidence.code == SUCCESS_CODE:
        return _decide_success(payment, status, evidence)
    if evidence.code == FAILURE_CODE:
        return _decide_failure(payment, status, evidence)
    return flagged(Outcome.CONFLICT, Fact.of(Reason.UNKNOWN_CODE, evidence.code))


def _decide_success(payment: Payment, status: Status, evidence: Evidence) -> Decision:
    if not status.is_paid:
        return success(payment, evidence)
    gateway_id = cut({"gateway_id": evidence.gateway_id})["gateway_id"]
    key = transaction_key(gateway_id)
    is_same_attempt = payment.settled_attempt in {None, evidence.attempt}
    is_same_id = not payment.gateway_key or not key or payment.gateway_key == key
    if not is_same_attempt or not is_same_id:
        paid_again = f"{payment.reference_of(evidence.attempt)} {gateway_id}"
        return flagged(Outcome.CONFLICT, Fact.of(Reason.PAID_TWICE, paid_again, gateway_id))
    # The first id that the gateway names is stored, so that a second payment can be told from it.
    is_news = key and not payment.gateway_key
    changes = {"gateway_id": gateway_id, "settled_attempt": evidence.attempt} if is_news else {}
    return Decision(Outcome.DUPLICATE, changes=changes)


def success(payment: Payment, evidence: Evidence) -> Decision:
    """Return the decision that a payment that was not paid before is paid now."""
    changes = _settled(Status.SUCCEEDED, evidence)
    gateway_id = changes["gateway_id"]
    facts = []
    if payment.status == Status.CANCELLED:
        facts.append(Fact.of(Reason.PAID_AFTER_CANCELLATION, gateway_id, gateway_id))
    if other := evidence.confirmed_other():
        facts.append(Fact.of(Reason.TRANSACTION_REUSED, f"{gateway_id} {other}", gateway_id))
    return Decision(
        Outcome.ACCEPTED,
        facts[0].reason if facts else "",
        describe(*facts),
        changes,
        ["payment_succeeded"],
        tuple(facts),
    )


def _decide_failure(payment: Payment, status: Status, evidence: Evidence) -> Decision:
    if status.is_paid:
        reference = payment.reference_of(evidence.attempt)
        return flagged(Outcome.CONFLICT, Fact.of(Reason.FAILURE_AFTER_SUCCESS, reference))
    # An attempt without a page leaves the customer with the page of the previous one.
    newest = payment.attempt if is_claimed(payment) else payment.opened_attempt or payment.attempt
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
