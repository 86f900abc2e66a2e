"""
What may happen to a payment: one function a verb.

The law of this module: what proves something is stored in one short transaction, whose first statement is the
conditional UPDATE of the payment as it was read, followed by the INSERT of the event. Whoever loses the race reads
again and decides again. So it needs no lock and no SAVEPOINT, begins as a writer (which SQLite demands), and holds on
every database. The gateway is never called inside a transaction.
"""

import functools
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urljoin

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import OperationalError, router, transaction
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_paiementpro import gateway, outbox
from django_paiementpro.conf import conf
from django_paiementpro.enums import Kind, Outcome, Reason, SettledBy, Status
from django_paiementpro.exceptions import (
    GatewayError,
    GatewayRefusedError,
    GatewayUnavailableError,
    InvalidNotification,
)
from django_paiementpro.messages import FAILURE_CODE, SUCCESS_CODE, Notification, PageRequest, StatusAnswer
from django_paiementpro.models import Payment, PaymentEvent, PaymentQuerySet, cut
from django_paiementpro.phones import normalize_phone, region_of

logger = logging.getLogger("django_paiementpro")

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=Model)

# What a claim has beyond the time-outs, for the work around the call.
CLAIM_MARGIN = timedelta(seconds=5)
POLL_SECONDS = 0.1

# By how much the clocks of two servers may differ.
CLOCK_SKEW = timedelta(minutes=1)

# A payer who cannot pay in so many tries will not; and each attempt is one more reference to look up.
MAX_ATTEMPTS = 999

# How often the return page may ask the gateway about one payment.
CHECK_INTERVAL = timedelta(seconds=5)

# For how many seconds a payer who waits has attempts looked up; the one that hangs at their end comes on top.
PATIENCE = 3.0

# For how long the gateway is asked about a page whose answer was lost.
LOST_PAGE_AGE = timedelta(days=7)

MAX_REVIEW_REASON = 4000

# How long to stand back, in seconds, when the database has given up our transaction; at random, to let others pass.
CONFLICT_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.4, 0.4)

# What is sent to the gateway, and so has to be right before it is.
SENT_FIELDS = frozenset(
    {
        "reference",
        "merchant_id",
        "amount",
        "currency",
        "description",
        "channel",
        "customer_email",
        "customer_first_name",
        "customer_last_name",
        "customer_phone",
    }
)

# What a failed attempt leaves behind, undone when the payment is taken to the gateway again.
UNSETTLED: dict[str, Any] = {
    "settled_by": "",
    "settled_at": None,
    "settled_attempt": None,
    "gateway_id": "",
    "gateway_channel": "",
    "transaction_date": None,
    "response_code": "",
    "response_message": "",
}


def _outside_transactions(function: Callable[P, T]) -> Callable[P, T]:
    """Refuse, with ``RuntimeError``, to run inside the caller's ``atomic()``; a TestCase's own is exempt."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        with transaction.atomic(using=_database(), durable=True):
            pass
        return function(*args, **kwargs)

    return wrapper


@_outside_transactions
def initialize_payment(payment: Payment, request: HttpRequest | None = None) -> str:
    """
    Take the payment to the gateway, and return the page to send the payer to.

    A page that is still fresh is returned again. Of several callers at once one asks the gateway, and all return its
    page. Without ``PAIEMENTPRO_SITE_URL`` the request tells the host for the URLs that the gateway is given.
    Raises ``ValidationError`` where the payment cannot be taken there as it is (code ``not_payable`` where its state
    forbids it), ``GatewayRefusedError``, and ``GatewayUnavailableError``, after which one may try again.
    """
    while not (page := _fresh_page(payment)):
        page_request = _page_request(payment, request)
        if not _claim(payment):
            _await_other_claim(payment)
            continue
        # From here on the attempt is counted: its reference is never sent again, whatever becomes of the answer.
        try:
            url = gateway.open_page(page_request)
        except GatewayError as error:
            _record_no_page(payment, page_request, error)
            raise
        except BaseException:
            _free(payment)
            raise
        _record_page(payment, page_request, url)
    return page


def receive_notification(payment: Payment, notification: Notification, remote_address: str = "") -> PaymentEvent:
    """
    Record what the gateway says of a payment, once, and settle it where that proves something.

    A repeated notification changes nothing. One that does not fit the payment is ``refused`` and flagged. The signals
    go out after the commit: first the truth is stored, then the world is told.
    """
    is_authentic = _is_authentic(notification)

    def judge(payment: Payment) -> _Verdict:
        attempt = payment.attempt_of(notification.reference)
        mismatches = _mismatches(payment, notification)
        if not is_authentic:
            mismatches.append((Reason.HASHCODE, notification.hashcode[:64]))
        if attempt is None or mismatches:
            return _flagged(payment, Outcome.REFUSED, *mismatches)
        evidence = _Evidence(
            settled_by=SettledBy.NOTIFICATION,
            attempt=attempt,
            code=notification.response_code,
            gateway_id=notification.gateway_id,
            channel=notification.channel,
            transaction_date=notification.transaction_date,
            message=notification.message,
        )
        return _judge(payment, evidence)

    return _settle(payment, judge, Kind.NOTIFICATION, notification.data, remote_address)


def refuse_notification(payment: Payment, error: InvalidNotification, remote_address: str = "") -> PaymentEvent:
    """Record a notification that came through the payment's own URL but cannot be read. It changes no state."""

    def judge(payment: Payment) -> _Verdict:
        return _Verdict(Outcome.REFUSED, error.reason, error.detail)

    return _settle(payment, judge, Kind.NOTIFICATION, error.data, remote_address)


def check_payment(payment: Payment) -> Status:
    """
    Ask the gateway about every attempt, settle on proof, and return where the payment stands.

    Nothing but a success that fits the payment proves anything: the look-up has denied payments that were made
    (FIELD_GUIDE section 7). No answer is no proof either, and raises nothing. Without ``PAIEMENTPRO_STATUS_URL``
    nothing is asked.
    """
    _look_up(payment)
    _read_again(payment)
    return Status(payment.status)


def check_waiting_payment(payment: Payment) -> Status:
    """Do the same for a payer who waits, in a few seconds, unless the gateway has been asked a few seconds ago."""
    if conf.status_url and _claim_check(payment, timezone.now() - CHECK_INTERVAL):
        _look_up(payment, PATIENCE)
        _read_again(payment)
    return Status(payment.status)


def cancel_payment(payment: Payment, reason: str) -> PaymentEvent:
    """
    Give a payment up: it is not taken to the gateway again.

    A page that is open at the gateway may still be paid; such a success is one, and is flagged.
    Raises ``ValidationError`` unless the payment is created, pending or failed.
    """

    def judge(payment: Payment) -> _Verdict:
        if not Status(payment.status).is_payable:
            raise ValidationError(_("This payment can no longer be cancelled."), code="not_cancellable")
        return _Verdict(Outcome.ACCEPTED, message=reason, changes={"status": Status.CANCELLED})

    return _settle(payment, judge, Kind.HOST)


@dataclass(slots=True)
class Reconciliation:
    """What a run of ``paiementpro_reconcile`` has done, in numbers of payments and of events."""

    asked: int = 0
    settled: int = 0
    expired: int = 0
    unanswered: int = 0
    delivered: int = 0
    undelivered: int = 0
    failed: int = 0


def unsettled_payments() -> PaymentQuerySet:
    """Return what reconciliation looks at: pending payments, and created ones of late that may have a page."""
    is_lost = Q(status=Status.CREATED, attempt__gte=1, updated_at__gte=timezone.now() - LOST_PAGE_AGE)
    return Payment.objects.primary().filter(Q(status=Status.PENDING) | is_lost)


def undelivered_events() -> QuerySet[PaymentEvent]:
    """Return the events whose signals are owed and that no process is delivering."""
    return PaymentEvent.objects.using(_database()).filter(deliver_at__lte=timezone.now()).select_related("payment")


def newest_first(queryset: QuerySet[M], size: int = 500) -> Iterator[M]:
    """Walk through rows in pages, so that memory is bounded and no cursor stays open meanwhile."""
    return _in_pages(queryset.order_by("-pk"), "pk__lt", size)


def oldest_first(queryset: QuerySet[M], size: int = 500) -> Iterator[M]:
    """Do the same the other way round."""
    return _in_pages(queryset.order_by("pk"), "pk__gt", size)


def _in_pages(queryset: QuerySet[M], beyond: str, size: int) -> Iterator[M]:
    page = list(queryset[:size])
    while page:
        yield from page
        page = list(queryset.filter(**{beyond: page[-1].pk})[:size])


def reconcile_payment(payment: Payment, since: datetime, totals: Reconciliation) -> None:
    """
    Ask the gateway about an unsettled payment, and expire it where nobody has paid in time.

    One that another run has taken up after ``since`` is left to it.
    """
    if not _claim_check(payment, since):
        return
    if conf.status_url:
        totals.asked += 1
        totals.unanswered += bool(_look_up(payment))
        totals.settled += Status(payment.status).is_paid
    totals.expired += _expire(payment)


def reconcile_event(event: PaymentEvent, totals: Reconciliation) -> None:
    """Deliver once more what an event owes."""
    if outbox.deliver(event):
        totals.delivered += 1
    else:
        totals.undelivered += 1


# What checkout is made of.


def _fresh_page(payment: Payment) -> str:
    """Return the page if it may be offered again, else nothing. A failed payment's page has had its try."""
    is_fresh = (
        payment.status == Status.PENDING
        and payment.initialized_at is not None
        and payment.initialized_at + conf.session_lifetime > timezone.now()
    )
    return payment.payment_url if is_fresh else ""


def _page_request(payment: Payment, request: HttpRequest | None) -> PageRequest:
    """Return what the gateway is to be told in the next attempt. Raises ``ValidationError``."""
    if not Status(payment.status).is_payable:
        raise ValidationError(_("This payment can no longer be paid."), code="not_payable")
    if payment.attempt >= MAX_ATTEMPTS:
        raise ValidationError(_("This payment has been tried too often."), code="too_many_attempts")
    others = {model_field.name for model_field in Payment._meta.get_fields()} - SENT_FIELDS
    payment.full_clean(exclude=others, validate_unique=False, validate_constraints=False)
    return PageRequest(
        merchant_id=payment.merchant_id,
        amount=payment.amount,
        description=payment.description,
        channel=payment.channel,
        currency_number=conf.currencies[payment.currency],
        reference=payment.reference_of(payment.attempt + 1),
        customer_email=payment.customer_email,
        customer_first_name=payment.customer_first_name,
        customer_last_name=payment.customer_last_name,
        customer_phone=normalize_phone(payment.customer_phone, region_of(payment.channel)),
        notification_url=_absolute_url(payment.get_notification_url(), request),
        return_url=_absolute_url(payment.get_return_url(), request),
        return_context=payment.return_context,
    )


def _absolute_url(path: str, request: HttpRequest | None) -> str:
    if conf.site_url:
        return urljoin(conf.site_url, path)
    if request is None:
        raise ImproperlyConfigured(
            'PAIEMENTPRO_SITE_URL: write the public base of this site, like "https://example.com": '
            "without a request nothing else tells it"
        )
    return request.build_absolute_uri(path)


def _claim(payment: Payment) -> bool:
    """Count the attempt and take the payment for as long as the call may last; False where others were first."""
    now = timezone.now()
    claimed_until = now + _longest_claim()
    # One that ends later than any can was made by a clock that has been set back since.
    is_free = Q(claimed_until=None) | Q(claimed_until__lte=now) | Q(claimed_until__gt=claimed_until + CLOCK_SKEW)
    changes = {"attempt": payment.attempt + 1, "claimed_until": claimed_until, "updated_at": now}
    if not _as_read(payment).filter(is_free).update(**changes):
        return False
    payment.apply(changes)
    return True


def _longest_claim() -> timedelta:
    return timedelta(seconds=gateway.call_seconds()) + CLAIM_MARGIN


def _await_other_claim(payment: Payment) -> None:
    """Wait while another process asks for the page. Raises what it met where it brought none."""
    _read_again(payment)
    attempt = payment.attempt if _is_claimed(payment) else None
    while _is_claimed(payment):
        time.sleep(POLL_SECONDS)
        _read_again(payment)
    is_given_up = payment.attempt == attempt and payment.claimed_until is None
    if is_given_up and Status(payment.status).is_payable and not _fresh_page(payment):
        event = payment.events.using(_database()).filter(kind=Kind.INITIALIZE).last()
        if event and event.outcome == Outcome.REFUSED:
            raise GatewayRefusedError(event.message)
        raise GatewayUnavailableError("no answer from the gateway to another process")


def _is_claimed(payment: Payment) -> bool:
    now = timezone.now()
    return payment.claimed_until is not None and now < payment.claimed_until <= now + _longest_claim() + CLOCK_SKEW


def _record_page(payment: Payment, page_request: PageRequest, url: str) -> None:
    """Store the page, unless the payment has moved on in the meantime: then the caller decides again."""
    now = timezone.now()
    changes = {
        **UNSETTLED,
        "status": Status.PENDING,
        "payment_url": url,
        "initialized_at": now,
        "opened_attempt": payment.attempt,
        "claimed_until": None,
        "updated_at": now,
    }

    def store() -> bool:
        # A flag that was raised meanwhile is no reason to throw the page away.
        ours = Payment.objects.primary().filter(pk=payment.pk, status=payment.status, attempt=payment.attempt)
        is_stored = bool(ours.update(**changes))
        if not is_stored:
            _free(payment)
        _insert_event(payment, Kind.INITIALIZE, _Verdict(Outcome.ACCEPTED), page_request.for_audit())
        return is_stored

    if _commit(store):
        payment.apply(changes)
        logger.info("page_opened", extra={"reference": payment.reference, "attempt": payment.attempt})
    else:
        _read_again(payment)


def _record_no_page(payment: Payment, page_request: PageRequest, error: GatewayError) -> None:
    if isinstance(error, GatewayRefusedError):
        verdict, log_event = _Verdict(Outcome.REFUSED, message=error.message), "page_refused"
    else:
        verdict, log_event = _Verdict(Outcome.FAILED, message=str(error)), "page_unavailable"

    def store() -> None:
        _free(payment)
        _insert_event(payment, Kind.INITIALIZE, verdict, page_request.for_audit())

    _commit(store)
    logger.warning(
        log_event,
        extra={"reference": payment.reference, "attempt": payment.attempt, "error": str(error)},
    )


def _free(payment: Payment) -> None:
    Payment.objects.primary().filter(pk=payment.pk, attempt=payment.attempt).update(claimed_until=None)
    payment.apply({"claimed_until": None})


# What a settlement is made of.


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the gateway says of one attempt of this very payment, by whichever way it said so."""

    settled_by: SettledBy
    attempt: int
    code: str
    gateway_id: str
    channel: str
    transaction_date: datetime | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a piece of evidence means for a payment as it was read."""

    outcome: Outcome
    reason: str = ""
    message: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    signals: list[str] = field(default_factory=list)


def _judge(payment: Payment, evidence: _Evidence) -> _Verdict:
    """Decide by the states that README.rst draws. The evidence fits the payment; nothing is written here."""
    status = Status(payment.status)
    if evidence.code == SUCCESS_CODE:
        return _judge_success(payment, status, evidence)
    if evidence.code == FAILURE_CODE:
        return _judge_failure(payment, status, evidence)
    return _flagged(payment, Outcome.CONFLICT, (Reason.UNKNOWN_CODE, evidence.code))


def _judge_success(payment: Payment, status: Status, evidence: _Evidence) -> _Verdict:
    gateway_id = cut({"gateway_id": evidence.gateway_id})["gateway_id"]
    if status.is_paid:
        is_same_attempt = payment.settled_attempt in {None, evidence.attempt}
        is_same_id = not payment.gateway_id or not gateway_id or payment.gateway_id == gateway_id
        if not is_same_attempt or not is_same_id:
            paid_again = f"{payment.reference_of(evidence.attempt)} {gateway_id}".strip()
            return _flagged(payment, Outcome.CONFLICT, (Reason.PAID_TWICE, paid_again))
        # The first to name the gateway's id is believed, so that a second payment can be told from it.
        is_news = gateway_id and not payment.gateway_id
        changes = {"gateway_id": gateway_id, "settled_attempt": evidence.attempt} if is_news else {}
        return _Verdict(Outcome.DUPLICATE, changes=changes)
    changes = _settled(Status.SUCCEEDED, evidence)
    if status != Status.CANCELLED:
        return _Verdict(Outcome.ACCEPTED, changes=changes, signals=["payment_succeeded"])
    flagged = _flagged(payment, Outcome.ACCEPTED, (Reason.PAID_AFTER_CANCELLATION, gateway_id))
    return _Verdict(
        flagged.outcome,
        flagged.reason,
        flagged.message,
        {**changes, **flagged.changes},
        ["payment_succeeded", *flagged.signals],
    )


def _judge_failure(payment: Payment, status: Status, evidence: _Evidence) -> _Verdict:
    if status.is_paid:
        reference = payment.reference_of(evidence.attempt)
        return _flagged(payment, Outcome.CONFLICT, (Reason.FAILURE_AFTER_SUCCESS, reference))
    # An attempt that brought no page leaves the payer with the page of the one before.
    newest = payment.attempt if _is_claimed(payment) else payment.opened_attempt or payment.attempt
    is_earlier_attempt = evidence.attempt < newest
    if status.is_final or is_earlier_attempt:
        return _Verdict(Outcome.DUPLICATE)
    return _Verdict(Outcome.ACCEPTED, changes=_settled(Status.FAILED, evidence), signals=["payment_failed"])


def _settled(status: Status, evidence: _Evidence) -> dict[str, Any]:
    return cut(
        {
            "status": status,
            "settled_by": evidence.settled_by,
            "settled_at": timezone.now(),
            "settled_attempt": evidence.attempt,
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


def _flagged(payment: Payment, outcome: Outcome, *findings: tuple[Reason, str]) -> _Verdict:
    """Flag the payment. What it is flagged for already is recorded, but nobody is told twice."""
    lines = _lines(findings)
    known = payment.review_reason.splitlines() if payment.needs_review else []
    news = [line for line in lines if line not in known]
    verdict = _Verdict(outcome, findings[0][0], "; ".join(lines))
    if news:
        verdict.changes["needs_review"] = True
        verdict.changes["review_reason"] = "\n".join([*known, *news])[:MAX_REVIEW_REASON]
        verdict.signals.append("payment_flagged")
    return verdict


def _lines(findings: Iterable[tuple[Reason, str]]) -> list[str]:
    """Return a line for each finding: the reason's code, and what was found, in no language."""
    return [f"{reason}: {' '.join(detail.split())[:200]}" for reason, detail in findings]


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
    except Exception:
        logger.exception("verifier_failed")
        return False


def _settle(
    payment: Payment,
    judge: Callable[[Payment], _Verdict],
    kind: Kind,
    data: Any = None,
    remote_address: str = "",
) -> PaymentEvent:
    """
    Judge the payment as read, and store the verdict if the payment is still as read; else read and judge again.

    The event joins the transition in one commit, and the signals wait with it.
    """
    while True:
        verdict = judge(payment)
        event = _commit(functools.partial(_store, payment, _as_read(payment), kind, verdict, data, remote_address))
        if event is not None:
            return event
        _read_again(payment)


def _store(
    payment: Payment, as_read: PaymentQuerySet, kind: Kind, verdict: _Verdict, data: Any, remote_address: str
) -> PaymentEvent | None:
    """Store the transition, if the payment is still as it was when it was judged, and the event with it."""
    if verdict.changes:
        changes = {**verdict.changes, "updated_at": timezone.now()}
        if not as_read.update(**changes):
            return None
        payment.apply(changes)
        logger.info(
            "payment_changed",
            extra={"reference": payment.reference, "status": str(payment.status), "kind": str(kind)},
        )
    return _insert_event(payment, kind, verdict, data, remote_address)


def _insert_event(
    payment: Payment, kind: Kind, verdict: _Verdict, data: Any = None, remote_address: str = ""
) -> PaymentEvent:
    event = PaymentEvent(
        payment=payment,
        kind=kind,
        outcome=verdict.outcome,
        reason=verdict.reason,
        message=verdict.message,
        data=dict(data or {}),
        remote_address=remote_address[:64],
    )
    outbox.post(event, verdict.signals)
    return event


@_outside_transactions
def _look_up(payment: Payment, patience: float | None = None) -> list[GatewayUnavailableError]:
    """
    Ask about every attempt, the newest first, and settle on proof. Return what kept the gateway from answering.

    After so many seconds of patience, or after the time-outs of one call where there was no answer, no more is asked.
    """
    errors: list[GatewayUnavailableError] = []
    if not conf.status_url:
        return errors
    started_at = time.monotonic()
    newest = payment.attempt or int(payment.status != Status.CREATED)
    for attempt in range(newest, 0, -1):
        try:
            answer = gateway.look_up(payment.reference_of(attempt))
        except GatewayUnavailableError as error:
            errors.append(error)
        else:
            if answer.is_success:
                _receive_status(payment, attempt, answer)
        limit = patience if patience is not None else gateway.call_seconds() if errors else float("inf")
        if time.monotonic() - started_at > limit:
            break
    if errors:
        logger.warning(
            "status_unavailable", extra={"reference": payment.reference, "error": str(errors[-1]), "count": len(errors)}
        )
    return errors


def _receive_status(payment: Payment, attempt: int, answer: StatusAnswer) -> None:
    """Settle by a success of the status look-up, once it is this payment's."""
    compared = [
        (Reason.MERCHANT, answer.merchant_id, payment.merchant_id),
        (Reason.REFERENCE, answer.reference, payment.reference_of(attempt)),
        (Reason.AMOUNT, answer.amount, payment.amount),
    ]
    mismatches = [(reason, f"{found} ≠ {expected}") for reason, found, expected in compared if found != expected]
    evidence = _Evidence(
        settled_by=SettledBy.STATUS,
        attempt=attempt,
        code=SUCCESS_CODE,
        gateway_id=answer.gateway_id,
        channel=answer.channel,
        transaction_date=answer.transaction_date,
    )

    def judge(payment: Payment) -> _Verdict:
        if mismatches:
            return _Verdict(Outcome.REFUSED, mismatches[0][0], "; ".join(_lines(mismatches)))
        return _judge(payment, evidence)

    # What is known already is not worth a line each time that it is asked.
    verdict = judge(payment)
    if verdict.outcome != Outcome.DUPLICATE or verdict.changes:
        _settle(payment, judge, Kind.STATUS, answer.data)


def _claim_check(payment: Payment, unless_since: datetime) -> bool:
    """Take the look-up of a payment, unless somebody else has asked since then."""
    now = timezone.now()
    # A look-up in the future was noted by a clock that has been set back since.
    is_due = Q(checked_at=None) | Q(checked_at__lte=unless_since) | Q(checked_at__gt=now + CLOCK_SKEW)
    if not _as_read(payment).filter(is_due).update(checked_at=now):
        return False
    payment.apply({"checked_at": now})
    return True


def _expire(payment: Payment) -> bool:
    """Expire a pending payment whose newest page is too old, unless it has moved on since it was read."""
    opened_at = payment.initialized_at or payment.created_at
    if payment.status != Status.PENDING or opened_at + conf.expires_after > timezone.now() or _is_claimed(payment):
        return False
    verdict = _Verdict(Outcome.ACCEPTED, changes={"status": Status.EXPIRED}, signals=["payment_expired"])
    return _commit(functools.partial(_store, payment, _as_read(payment), Kind.EXPIRY, verdict, None, "")) is not None


def _commit(work: Callable[[], T]) -> T:
    """
    Do the work in one transaction, and once more where the database has given it up for another's.

    It does so for deadlocks, and for conflicts where the host has chosen a stricter isolation than the default. The
    work may run several times: what it compares with is bound before, not what an earlier run has left in memory.
    """
    database = _database()
    if not transaction.get_connection(database).in_atomic_block:
        for longest_pause in CONFLICT_PAUSES:
            try:
                with transaction.atomic(using=database):
                    return work()
            except OperationalError:
                logger.warning("transaction_given_up")
            time.sleep(random.uniform(0, longest_pause))  # noqa: S311  no secret
    with transaction.atomic(using=database):
        return work()


def _as_read(payment: Payment) -> PaymentQuerySet:
    """Return the payment's row if all that decisions rest on is as it was read."""
    return Payment.objects.primary().filter(
        pk=payment.pk,
        status=payment.status,
        attempt=payment.attempt,
        gateway_id=payment.gateway_id,
        review_reason=payment.review_reason,
    )


def _read_again(payment: Payment) -> None:
    """Read what is stored now: inside a caller's transaction under a lock, as a snapshot would never change."""
    rows = Payment.objects.primary()
    if transaction.get_connection(_database()).in_atomic_block:
        rows = rows.select_for_update()
    payment.refresh_from_db(from_queryset=rows)


def _database() -> str:
    return router.db_for_write(Payment)
