"""The work of ``paiementpro_reconcile``: pending payments and undelivered signals."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from threading import Event, Lock
from typing import Any, TypeVar, cast

from django.db import close_old_connections
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from django_paiementpro import log
from django_paiementpro.conf import conf
from django_paiementpro.db.connections import database
from django_paiementpro.db.keyset import after, in_pages
from django_paiementpro.delivery import outbox
from django_paiementpro.delivery.after_response import collecting_work
from django_paiementpro.enums import MAY_BE_PAID_LATE, PAYABLE, Kind, Outcome, Status
from django_paiementpro.exceptions import GatewayUnavailableError
from django_paiementpro.extensions import extensions
from django_paiementpro.models import Payment, PaymentEvent, ReconciliationRun
from django_paiementpro.services.idempotency import forget_keys
from django_paiementpro.services.leases import CLOCK_SKEW, acquire_check, is_held, release_check
from django_paiementpro.services.rules import Decision
from django_paiementpro.services.runs import begin_run, finish_run, heartbeats, leave_event, take_event
from django_paiementpro.services.staff import flag_reused_transaction, recently_confirmed
from django_paiementpro.services.status import Reply, ask, every_attempt, receive_reply, report_silence
from django_paiementpro.services.transactions import outside_transactions
from django_paiementpro.services.transitions import store

M = TypeVar("M", bound=Model)

# For how long after its newest page was opened to ask about a payment that has failed, expired or been cancelled: some
# are still paid on that page, without a notification.
LATE_AGE = timedelta(days=3)

# For how long a payment that staff have confirmed is compared with those that the gateway has settled.
CONFIRMED_AGE = timedelta(days=7)

#: How long to wait between two look-ups of a payment, by how long ago its newest page was opened.
INTERVALS = (
    (timedelta(hours=1), timedelta(0)),  # each run asks
    (timedelta(hours=6), timedelta(minutes=30)),
    (timedelta(hours=24), timedelta(hours=3)),
)
LONGEST_INTERVAL = timedelta(days=1)

#: For how many seconds what is owed is delivered before the gateway is asked; what is left comes after.
DELIVERY_FIRST = 30.0

PAGE_SIZE = 500

#: After how many payments in a row without any response the gateway is taken to be unavailable.
AWAY_AFTER = 5

#: The same for responses of which none was usable: some of these may be the payments' own fault.
USELESS_AFTER = 25

#: How many of the newest attempts of a payment a run asks about, and how many of the older ones.
ATTEMPTS_AT_ONCE = 5

#: How often, in seconds, to look whether to stop.
ATTENTION = 0.5

MINUTE = 60.0


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
    #: Requests to the status service: one for each attempt of a payment.
    look_ups: int = 0
    #: Whether the gateway stopped answering, so that the remaining payments were not checked.
    gateway_away: bool = False
    #: Whether it was stopped.
    stopped: bool = False
    #: What the optional apps have done, in their own numbers.
    extensions: dict[str, int] = field(default_factory=dict)


#: Shows the progress: takes the name of a step, its rows, and how many there are.
Progress = Callable[[str, Iterator[Any], int], Iterable[Any]]

SIGNALS, PAYMENTS, EXPIRY = "signals", "payments", "expiry"


@outside_transactions
def reconcile(
    *,
    workers: int = 8,
    rate: int = 600,
    stop: Event | None = None,
    progress: Progress = lambda _step, rows, _count: rows,
) -> Reconciliation:
    """
    Deliver pending signals, ask the gateway about unsettled payments, and expire those that were not paid in time.

    ``workers`` threads ask about the newest payments first, and begin at most ``rate`` look-ups a minute; 0 means no
    limit. If the gateway is unavailable, it is no longer asked; the other steps continue. Setting ``stop`` ends the
    run after the work in progress. Concurrent runs share the work. Only the caller's thread uses the database.
    """
    run, since, is_alone = begin_run()
    with heartbeats(run):
        _correct_clocks(run.started_at)
        reconciler = _Reconciler(run, since, stop or Event(), progress)
        # What receivers defer is the extensions' part, which follows.
        with collecting_work(is_done=False):
            # If an earlier run has not ended, a receiver may be blocking it: ask the gateway first.
            are_delivered = is_alone and reconciler.deliver(patience=DELIVERY_FIRST)
            if conf.status_url:
                reconciler.ask(workers, rate)
            reconciler.expire()
            if not are_delivered:
                reconciler.deliver()
            reconciler.report_missing()
            reconciler.compare_confirmations()
        reconciler.run_extensions()
        forget_keys()
    totals = reconciler.totals
    totals.stopped = reconciler.stop.is_set()
    numbers = asdict(totals)
    numbers |= numbers.pop("extensions")
    finish_run(run, numbers)
    log.write("reconcile_finished", duration=(timezone.now() - run.started_at).total_seconds(), **numbers)
    return totals


def preview_reconciliation() -> dict[str, int]:
    """Return what a run would do now, in numbers: ``asked``, ``expired`` at most, and ``delivered`` at most."""
    now = timezone.now()
    return {
        "asked": due_payments(now).count() if conf.status_url else 0,
        "expired": overdue_payments(now).count(),
        "delivered": undelivered_events().count(),
    }


def due_payments(now: datetime) -> QuerySet[Payment]:
    """
    Return the payments to ask the gateway about now.

    They are pending, or may still be paid late, or are about to expire.
    """
    waits = Q(status__in=[Status.CREATED, Status.PENDING], attempt__gte=1)
    earliest = now - LATE_AGE
    may_be_paid_late = Q(status__in=MAY_BE_PAID_LATE, attempt__gte=1) & (
        Q(initialized_at__gte=earliest) | Q(initialized_at=None, updated_at__gte=earliest)
    )
    # Not asked before, or by a clock that has been set back since.
    is_due = Q(checked_at=None) | Q(checked_at__gt=now + CLOCK_SKEW) | Q(checked_at__lte=now - LONGEST_INTERVAL)
    for age, interval in INTERVALS:
        is_due |= Q(opened_at__gt=now - age, checked_at__lte=now - interval)
    # A payment that expired while the gateway was away has no date: it is checked until the gateway answers.
    is_payable = Q(status__in=PAYABLE, attempt__gte=1)
    is_unheard = Q(status=Status.EXPIRED, attempt__gte=1, checked_at=None)
    return (
        Payment.objects.using(database())
        .alias(opened_at=Coalesce("initialized_at", "updated_at"))
        .filter((waits & is_due) | (may_be_paid_late & is_due) | is_unheard | (is_payable & _is_overdue(now)))
    )


def _correct_clocks(now: datetime) -> None:
    """Change page dates in the future to now: the clock that set them was ahead, and they would expire too late."""
    ahead = Payment.objects.using(database()).filter(status=Status.PENDING, initialized_at__gt=now + CLOCK_SKEW)
    ahead.update(initialized_at=now)


def overdue_payments(now: datetime) -> QuerySet[Payment]:
    """Return the payments that were not paid in time: created, pending and failed ones."""
    return Payment.objects.using(database()).filter(_is_overdue(now), status__in=PAYABLE)


def _is_overdue(now: datetime) -> Q:
    """Return the condition that nothing has happened for too long: no page, and no refusal by operator or gateway."""
    latest = now - conf.expires_after
    refusals = PaymentEvent.objects.filter(
        payment=OuterRef("pk"), kind=Kind.INITIALIZE, outcome=Outcome.REFUSED, created_at__gt=latest
    )
    is_old = Q(initialized_at__lte=latest) | Q(initialized_at=None, created_at__lte=latest)
    return is_old & (Q(settled_at=None) | Q(settled_at__lte=latest)) & Q(~Exists(refusals))


def undelivered_events(before: datetime | None = None) -> QuerySet[PaymentEvent]:
    """Return the events whose signals are owed, now or since ``before``, and that no process is delivering."""
    events = PaymentEvent.objects.using(database()).filter(outbox.due(timezone.now(), before))
    return events.select_related("payment")


def newest_first(queryset: QuerySet[M], size: int = PAGE_SIZE) -> Iterator[M]:
    """Iterate over the rows in pages, the newest first."""
    return chain.from_iterable(in_pages(queryset, "-pk", size=size))


def oldest_first(queryset: QuerySet[M], size: int = PAGE_SIZE) -> Iterator[M]:
    """Iterate over the rows in pages, the oldest first."""
    return chain.from_iterable(in_pages(queryset, "pk", size=size))


def _place_of(event: PaymentEvent) -> tuple[datetime, int]:
    return cast("datetime", event.deliver_at), event.pk


@dataclass(slots=True)
class LookUp:
    """What the status service said about a payment. There are no replies if it was not asked after all."""

    payment: Payment
    replies: list[Reply] = field(default_factory=list)
    duration: float = 0.0
    bug: Exception | None = None
    #: How many attempts there were to ask about.
    attempts: int = 0

    @property
    def errors(self) -> list[GatewayUnavailableError]:
        return [reply.error for reply in self.replies if reply.error]

    @property
    def is_heard(self) -> bool:
        """Whether the service responded about every attempt, however usefully."""
        return len(self.replies) == self.attempts and not any(error.is_away for error in self.errors)

    @property
    def is_useless(self) -> bool:
        """Whether no response was usable."""
        return bool(self.replies) and len(self.errors) == len(self.replies)

    @property
    def is_away(self) -> bool:
        """Whether the service did not respond at all."""
        return self.is_useless and all(error.is_away for error in self.errors)


def attempts_to_ask_about(payment: Payment) -> list[int]:
    """
    Return the attempts that one run asks about: the newest few, and a few of the older ones.

    A customer may have made hundreds of attempts, which must not keep other payments waiting. The older ones are
    checked in rotation, some in each run.
    """
    every = every_attempt(payment)
    newest, older = every[:ATTEMPTS_AT_ONCE], every[ATTEMPTS_AT_ONCE:]
    left = [attempt for attempt in older if attempt < (payment.asked_attempt or payment.attempt)] or older
    return [*newest, *left[:ATTEMPTS_AT_ONCE]]


class RateLimiter:
    """Lets at most ``rate`` look-ups begin in any minute; any number if the rate is 0."""

    def __init__(self, rate: int, stop: Event) -> None:
        self._begun: deque[float] = deque(maxlen=rate)
        self._stop = stop
        self._lock = Lock()

    def wait(self) -> bool:
        """Wait for a turn. Return False once ``stop`` is set."""
        while not self._stop.is_set():
            pause = self._take_turn()
            if not pause:
                return True
            self._stop.wait(pause)
        return False

    def _take_turn(self) -> float:
        """Return for how many seconds to wait, or 0 once the turn is taken."""
        with self._lock:
            now = time.monotonic()
            if self._begun.maxlen and len(self._begun) == self._begun.maxlen and self._begun[0] + MINUTE > now:
                return self._begun[0] + MINUTE - now
            self._begun.append(now)
            return 0.0


class Workers:
    """
    Threads that ask the status service, while the caller's thread alone uses the database.

    Each thread works on one payment at a time. After ``stop``, only look-ups in progress are waited for. ``is_away`` is
    true if the threads stopped asking because the service did not respond.
    """

    def __init__(self, count: int, rate: int, stop: Event) -> None:
        self.count = count
        self.is_away = False
        self._stop = stop
        self._closed = Event()
        self._limiter = RateLimiter(rate, self._closed)
        self._silent = self._useless = 0

    def ask_about(self, payments: Iterator[Payment]) -> Iterator[LookUp]:
        """Ask about the payments, and yield the look-ups in the order in which they end."""
        waiting: set[Future[LookUp]] = set()
        with ThreadPoolExecutor(self.count, thread_name_prefix="paiementpro") as threads:
            try:
                while not self._must_end and (payment := next(payments, None)):
                    waiting.add(threads.submit(self._ask, payment))
                    if len(waiting) == self.count:
                        yield from self._ended(waiting)
                while waiting:
                    yield from self._ended(waiting)
            finally:
                self._closed.set()

    @property
    def _must_end(self) -> bool:
        return self._stop.is_set() or self.is_away

    def _ask(self, payment: Payment) -> LookUp:
        started_at = time.monotonic()
        attempts = attempts_to_ask_about(payment)
        look_up = LookUp(payment, attempts=len(attempts))
        try:
            look_up.replies.extend(ask(payment, may_ask=self._limiter.wait, attempts=attempts))
        except Exception as error:  # noqa: BLE001  the caller's thread reports it
            look_up.bug = error
        look_up.duration = time.monotonic() - started_at
        return look_up

    def _ended(self, waiting: set[Future[LookUp]]) -> Iterator[LookUp]:
        """Wait for one or more look-ups; ``stop`` may be set meanwhile."""
        done: set[Future[LookUp]] = set()
        while not done:
            if self._must_end:
                self._closed.set()  # those that wait for a turn give up
            done, _pending = wait(waiting, ATTENTION, FIRST_COMPLETED)
        waiting -= done
        for future in done:
            look_up = future.result()
            self._count_silence(look_up)
            yield look_up

    def _count_silence(self, look_up: LookUp) -> None:
        if not look_up.replies:
            return
        self._silent = self._silent + 1 if look_up.is_away else 0
        self._useless = self._useless + 1 if look_up.is_useless else 0
        if self._silent >= AWAY_AFTER or self._useless >= USELESS_AFTER:
            self.is_away = True


class _Reconciler:
    """One run. An error in one payment or event must not hold up the others."""

    def __init__(self, run: ReconciliationRun, since: datetime, stop: Event, progress: Progress) -> None:
        self.run = run
        self.started_at = run.started_at
        self.since = since
        self.stop = stop
        self.progress = progress
        self.totals = Reconciliation()
        self.missing: Counter[tuple[str, str]] = Counter()
        #: Where the delivery left off: the end of an event's last lease, and its key.
        self._delivered_to: tuple[datetime, int] | None = None
        self._checked_at: dict[Any, datetime | None] = {}

    def deliver(self, patience: float = math.inf) -> bool:
        """
        Retry undelivered signals, from where the last call left off, without waiting for the gateway.

        The least recently tried come first, so a receiver that hangs for one payment does not hold up the rest. Return
        False if ``patience`` seconds were not enough.
        """
        started_at = time.monotonic()
        is_late = False
        for event in self._each(SIGNALS, self._owing(), undelivered_events(self.started_at).count()):
            self._delivered_to = _place_of(event)
            with self._catching(event):
                is_delivered = self._deliver(event)
                self.totals.delivered += is_delivered is True
                self.totals.undelivered += is_delivered is False
            is_late = time.monotonic() - started_at > patience
            if is_late:
                break
        leave_event(self.run)
        return not is_late

    def _owing(self) -> Iterator[PaymentEvent]:
        """Iterate, page by page, over the events whose signals were undelivered before the run."""
        place, order = self._delivered_to, ("deliver_at", "pk")
        while True:
            # Events that are tried now move to the end, out of what is read here.
            events = undelivered_events(self.started_at).order_by(*order)
            page = list((events.filter(after(place, *order)) if place else events)[:PAGE_SIZE])
            if not page:
                return
            place = _place_of(page[-1])
            yield from page

    def _deliver(self, event: PaymentEvent) -> bool | None:
        owed = outbox.owed_to(event)
        self.missing.update((each.signal, each.receiver) for each in owed if not each.is_known)
        if any(each.is_known for each in owed) and not take_event(self.run, event):
            return False
        return outbox.deliver(event)

    def report_missing(self) -> None:
        """Log the receivers that are owed a signal and that this process does not know."""
        for (signal, receiver), count in sorted(self.missing.items()):
            log.write("receiver_missing", outcome=Outcome.FAILED, signal=signal, receiver=receiver, count=count)

    def ask(self, workers: int, rate: int) -> None:
        """Ask about the payments that are due, the newest first, and deliver the signals of those that are settled."""
        payments = due_payments(self.started_at)
        threads = Workers(workers, rate, self.stop)
        look_ups = threads.ask_about(self._leased(newest_first(payments)))
        for look_up in self.progress(PAYMENTS, look_ups, payments.count()):
            with self._catching(look_up.payment):
                self._receive(look_up)
        if threads.is_away:
            self.totals.gateway_away = True
            log.write("gateway_away", outcome=Outcome.FAILED)

    def expire(self) -> None:
        """Expire what is overdue and was not checked above: the gateway is away, or there is no look-up."""
        payments = overdue_payments(self.started_at)
        for payment in self._each(EXPIRY, newest_first(payments), payments.count()):
            with self._catching(payment):
                if acquire_check(payment, self.since):
                    self._expire(payment, is_answered=not conf.status_url)

    def compare_confirmations(self) -> None:
        """Look for transactions by which staff confirmed one payment while the gateway settled another with them."""
        for payment in recently_confirmed(self.started_at - CONFIRMED_AGE):
            with self._catching(payment):
                flag_reused_transaction(payment)

    def run_extensions(self) -> None:
        """Do the optional apps' part."""
        for extension in extensions():
            if self.stop.is_set():
                return
            try:
                self.totals.extensions.update(extension.reconcile(self.stop))
            except Exception as error:  # noqa: BLE001  logged
                self.totals.failed += 1
                log.write("reconcile_failed", raised=error, app=extension.label)
                close_old_connections()

    def _each(self, step: str, rows: Iterator[M], count: int) -> Iterator[M]:
        for row in self.progress(step, rows, count):
            if self.stop.is_set():
                return
            yield row

    def _leased(self, payments: Iterator[Payment]) -> Iterator[Payment]:
        """Take the payments that no other run has taken, and remember when they were checked before."""
        for payment in payments:
            if self.stop.is_set():
                return
            is_ours = False
            with self._catching(payment):
                self._checked_at[payment.pk] = payment.checked_at
                is_ours = acquire_check(payment, self.since)
            if is_ours:
                yield payment
            else:
                del self._checked_at[payment.pk]

    def _receive(self, look_up: LookUp) -> None:
        payment, checked_at = look_up.payment, self._checked_at.pop(look_up.payment.pk)
        if look_up.bug or not look_up.replies:
            release_check(payment, checked_at)
        if look_up.bug:
            raise look_up.bug
        if not look_up.replies:
            return
        for reply in look_up.replies:
            receive_reply(payment, reply)
        report_silence(payment, look_up.errors, look_up.duration)
        if look_up.is_heard and look_up.attempts > ATTEMPTS_AT_ONCE:
            asked = look_up.replies[-1].attempt
            Payment.objects.using(database()).filter(pk=payment.pk).update(asked_attempt=asked)
        self.totals.asked += 1
        self.totals.look_ups += len(look_up.replies)
        self.totals.unanswered += bool(look_up.errors)
        self.totals.settled += Status(payment.status).is_paid
        is_expired = self._is_overdue(payment) and self._expire(payment, is_answered=look_up.is_heard)
        if not is_expired and not look_up.is_heard:
            # The service did not respond: the next run asks again.
            release_check(payment, checked_at)

    def _is_overdue(self, payment: Payment) -> bool:
        """Return whether a payment was not paid in time. Most are too recent, which is found out without a query."""
        if payment.status not in PAYABLE or payment.waiting_time < conf.expires_after:
            return False
        return overdue_payments(timezone.now()).filter(pk=payment.pk).exists()

    def _expire(self, payment: Payment, *, is_answered: bool) -> bool:
        """
        Expire an overdue payment, unless it has moved on since it was read.

        One that could not be checked is checked when the gateway is back.
        """
        if is_held(payment):
            return False
        changes = {"status": Status.EXPIRED} | ({} if is_answered else {"checked_at": None})
        decision = Decision(Outcome.ACCEPTED, changes=changes, signals=["payment_expired"])
        is_expired = store(payment, decision, Kind.EXPIRY) is not None
        self.totals.expired += is_expired
        return is_expired

    @contextmanager
    def _catching(self, row: Model) -> Iterator[None]:
        try:
            yield
        except Payment.DoesNotExist:
            pass  # deleted since it was read
        except Exception as error:  # noqa: BLE001  logged
            self.totals.failed += 1
            log.write("reconcile_failed", raised=error, pk=row.pk)
            close_old_connections()
