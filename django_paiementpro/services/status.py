"""What the gateway's status look-up says about a payment when it is asked."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from django.utils import timezone

from django_paiementpro import log
from django_paiementpro.conf import conf
from django_paiementpro.enums import Kind, Outcome, Status
from django_paiementpro.exceptions import GatewayUnavailableError
from django_paiementpro.gateway import client
from django_paiementpro.gateway.connections import call_seconds
from django_paiementpro.gateway.messages import StatusAnswer
from django_paiementpro.models import Payment
from django_paiementpro.normalization import transaction_key
from django_paiementpro.services.bulkhead import Bulkhead, Silence, breaker_of
from django_paiementpro.services.leases import CLOCK_SKEW, acquire_check
from django_paiementpro.services.notifications import confirmed_by_staff
from django_paiementpro.services.rules import decide_on_answer
from django_paiementpro.services.transactions import outside_transactions, read_again
from django_paiementpro.services.transitions import store, with_news

# How often the return page may ask the gateway about one payment.
CHECK_INTERVAL = timedelta(seconds=5)

# For how long after its newest page was opened the return page asks about a payment that has failed or was cancelled.
OPEN_PAGE_AGE = timedelta(hours=1)

# For how many seconds attempts are looked up while a payer waits.
PATIENCE = 3.0

# The shortest time-out of a look-up, in seconds, even if less patience is left.
SHORTEST_TIMEOUT = 0.5

# How many threads of a process may look up a payment for a payer or for staff at once; the others serve
# notifications.
WEB_LOOK_UPS = 2

_bulkhead = Bulkhead()


@outside_transactions
def check_payment(payment: Payment) -> Status:
    """
    Ask the gateway about every attempt, settle on proof, and return where the payment stands.

    Only a success that matches the payment proves anything: the look-up has denied payments that were made
    (see "What is known of the gateway"). A missing answer proves nothing either, and raises no error. Without
    ``PAIEMENTPRO_STATUS_URL`` nothing is asked.
    """
    receive_replies(payment, ask(payment), time.monotonic())
    read_again(payment)
    return Status(payment.status)


def check_waiting_payment(payment: Payment) -> Status:
    """
    Ask the gateway for a customer who is waiting, within a few seconds, and return where the payment stands.

    A payment that has failed or was cancelled is asked about too while its page may still be open. The gateway is not
    asked if it was asked about this payment a few seconds ago, if its status service did not respond a moment ago, or
    if enough threads of this process are waiting for it already.
    """
    is_open = not payment.is_final or (
        payment.status in {Status.FAILED, Status.CANCELLED} and payment.attempt and payment.waiting_time < OPEN_PAGE_AGE
    )
    if conf.status_url and is_open:
        started_at = time.monotonic()
        if replies := _ask_for_payer(payment):
            receive_replies(payment, replies, started_at)
            read_again(payment)
    return Status(payment.status)


def look_up_place() -> AbstractContextManager[bool]:
    """Take one of this process's slots for look-ups from web threads, and yield whether one was free."""
    return _bulkhead.enter(WEB_LOOK_UPS)


def forget_silence() -> None:
    """Call the gateway and its status service for payers again, even if they did not respond a moment ago."""
    _silence_of.cache_clear()
    breaker_of.cache_clear()


@lru_cache(maxsize=16)
def _silence_of(url: str) -> Silence:
    """Return what this process remembers about the silence of a status service."""
    return Silence()


def is_just_checked(payment: Payment) -> bool:
    """Return whether the payment was checked in the last few seconds."""
    now = timezone.now()
    return payment.checked_at is not None and now - CHECK_INTERVAL < payment.checked_at <= now + CLOCK_SKEW


@dataclass(frozen=True, slots=True)
class Reply:
    """What the status service said about one attempt, or why there is no usable answer."""

    attempt: int
    content: StatusAnswer | GatewayUnavailableError

    @property
    def error(self) -> GatewayUnavailableError | None:
        return self.content if isinstance(self.content, GatewayUnavailableError) else None


@outside_transactions
def _ask_for_payer(payment: Payment) -> list[Reply]:
    """Return the replies about the newest attempts. Nothing is settled here: a receiver must not occupy the slot."""
    replies = []
    silence = _silence_of(conf.status_url or "")
    with look_up_place() as is_free:
        if is_free and silence.is_over() and acquire_check(payment, timezone.now() - CHECK_INTERVAL):
            for reply in ask(payment, PATIENCE, silence.is_over):
                silence.note(is_silent=reply.error is not None and reply.error.is_away)
                replies.append(reply)
    return replies


def receive_replies(payment: Payment, replies: Iterable[Reply], started_at: float) -> list[GatewayUnavailableError]:
    """Settle on proof, and return the errors that kept the gateway from answering."""
    errors = []
    for reply in replies:
        receive_reply(payment, reply)
        if reply.error:
            errors.append(reply.error)
    report_silence(payment, errors, time.monotonic() - started_at)
    return errors


def ask(
    payment: Payment,
    patience: float = math.inf,
    may_ask: Callable[[], bool] = lambda: True,
    attempts: Sequence[int] | None = None,
) -> Iterator[Reply]:
    """
    Ask about the given attempts, or all of them, newest first. Any thread may do so: it does not use the database.

    It stops after ``patience`` seconds, after the time-outs of one call if there was no answer, or when ``may_ask``
    returns False.
    """
    if not conf.status_url:
        return
    started_at = time.monotonic()
    deadline = started_at + patience
    for attempt in every_attempt(payment) if attempts is None else attempts:
        if not may_ask():
            return
        reply = _ask_about(payment, attempt, max(deadline - time.monotonic(), SHORTEST_TIMEOUT))
        yield reply
        if reply.error:
            deadline = min(deadline, started_at + call_seconds())
        if time.monotonic() > deadline:
            return


def _ask_about(payment: Payment, attempt: int, patience: float) -> Reply:
    try:
        return Reply(attempt, client.look_up(payment.reference_of(attempt), patience))
    except GatewayUnavailableError as error:
        return Reply(attempt, error)


def every_attempt(payment: Payment) -> Sequence[int]:
    """Return the attempts whose references the gateway may know, the newest first."""
    return range(payment.attempt or int(payment.status != Status.CREATED), 0, -1)


def receive_reply(payment: Payment, reply: Reply) -> None:
    """Settle the payment if the reply proves something."""
    if isinstance(reply.content, StatusAnswer) and reply.content.is_success:
        _receive_success(payment, reply.attempt, reply.content)


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


def _receive_success(payment: Payment, attempt: int, answer: StatusAnswer) -> None:
    """Settle the payment by a success of the status look-up, if it matches."""
    key = transaction_key(answer.gateway_id)
    while True:
        read_again(payment)
        other = "" if Status(payment.status).is_paid else confirmed_by_staff(payment, key)
        decision = with_news(payment, decide_on_answer(payment, attempt, answer, confirmed_other=other))
        # A fact that is already known is not worth a row each time.
        if not decision.changes or store(payment, decision, Kind.STATUS, answer.data):
            return
