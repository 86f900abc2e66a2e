"""What is done for payments and signals that wait, by ``paiementpro_reconcile``."""

import functools
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from threading import Event
from typing import Any, TypeVar, cast

from django.db import connections
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from django_paiementpro import log, outbox
from django_paiementpro.conf import conf
from django_paiementpro.enums import MAY_BE_PAID_LATE, Kind, Outcome, Status
from django_paiementpro.models import Payment, PaymentEvent, PaymentQuerySet, ReconciliationRun
from django_paiementpro.services.claims import CLOCK_SKEW, claim_check, give_back_check, is_claimed
from django_paiementpro.services.evidence import receive_answer, report_silence
from django_paiementpro.services.keys import forget_keys
from django_paiementpro.services.pool import ATTEMPTS_AT_ONCE, LookUp, Pool
from django_paiementpro.services.runs import beat, begin_run, finish_run, leave_event, leave_run, take_event
from django_paiementpro.services.staff import flag_reused_transaction, recently_confirmed
from django_paiementpro.services.transitions import Decision, as_read, commit, database, outside_transactions, store

M = TypeVar("M", bound=Model)

# For how long the gateway is asked about a page whose answer was lost.
LOST_PAGE_AGE = timedelta(days=7)

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
    #: The gateway gave no answer any more, and was left alone.
    gateway_away: bool = False
    #: It was told to stop.
    stopped: bool = False


#: Shows how far it is: the step's name, its rows, and how many they are.
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
    Deliver what is owed to the host, ask the gateway about payments that wait, and expire those that nobody has paid.

    So many ``workers`` ask at once, the newest payments first, and begin at most ``rate`` look-ups a minute, any number
    where it is 0. Where the gateway is plainly away, it is not asked any more; the rest goes on. ``stop`` ends it after
    what has begun. Two runs at once share the work. All of the database's work is done by the caller's thread.
    """
    run, since, is_alone = begin_run()
    try:
        _correct_clocks(run.started_at)
        reconciler = _Reconciler(run, since, stop or Event(), progress)
        # Where an earlier run has not ended, a receiver may be what holds it: the gateway is asked first.
        are_delivered = is_alone and reconciler.deliver(patience=DELIVERY_FIRST)
        if conf.status_url:
            reconciler.ask(workers, rate)
        reconciler.expire()
        if not are_delivered:
            reconciler.deliver()
        reconciler.report_missing()
        reconciler.compare_confirmations()
        forget_keys()
        totals = reconciler.totals
        totals.stopped = reconciler.stop.is_set()
        finish_run(run, asdict(totals))
    finally:
        leave_run(run)
    log.write("reconcile_finished", duration=(timezone.now() - run.started_at).total_seconds(), **asdict(totals))
    return totals


def foresee() -> dict[str, int]:
    """Return what a run would do now, in numbers: ``asked``, ``expired`` at most, and ``delivered`` at most."""
    now = timezone.now()
    return {
        "asked": due_payments(now).count() if conf.status_url else 0,
        "expired": overdue_payments(now).count(),
        "delivered": undelivered_events().count(),
    }


def due_payments(now: datetime) -> PaymentQuerySet:
    """Return the payments to ask the gateway about now: those that wait, and those that may still be paid late."""
    waits = Q(status=Status.PENDING) | Q(status=Status.CREATED, attempt__gte=1, updated_at__gte=now - LOST_PAGE_AGE)
    earliest = now - LATE_AGE
    may_be_paid_late = Q(status__in=MAY_BE_PAID_LATE, attempt__gte=1) & (
        Q(initialized_at__gte=earliest) | Q(initialized_at=None, updated_at__gte=earliest)
    )
    # Not asked before, or by a clock that has been set back since.
    is_due = Q(checked_at=None) | Q(checked_at__gt=now + CLOCK_SKEW) | Q(checked_at__lte=now - LONGEST_INTERVAL)
    for age, interval in INTERVALS:
        is_due |= Q(opened_at__gt=now - age, checked_at__lte=now - interval)
    # A payment that expired while the gateway was away has no date: it is checked until the gateway answers.
    is_unheard = Q(status=Status.EXPIRED, checked_at=None)
    return (
        Payment.objects.primary()
        .alias(opened_at=Coalesce("initialized_at", "updated_at"))
        .filter((waits & (is_due | _is_overdue(now))) | (may_be_paid_late & is_due) | is_unheard)
    )


def _correct_clocks(now: datetime) -> None:
    """Date pages in the future as of now: the clock that opened them ran ahead, and they would not expire for long."""
    ahead = Payment.objects.primary().filter(status=Status.PENDING, initialized_at__gt=now + CLOCK_SKEW)
    ahead.update(initialized_at=now)


def overdue_payments(now: datetime) -> PaymentQuerySet:
    """Return the pending payments that nobody has paid in time."""
    return Payment.objects.primary().filter(_is_overdue(now), status=Status.PENDING)


def _is_overdue(now: datetime) -> Q:
    latest = now - conf.expires_after
    return Q(initialized_at__lte=latest) | Q(initialized_at=None, created_at__lte=latest)


def undelivered_events(before: datetime | None = None) -> QuerySet[PaymentEvent]:
    """Return the events whose signals are owed, now or since ``before``, and that no process is delivering."""
    events = PaymentEvent.objects.using(database()).filter(outbox.due(timezone.now(), before))
    return events.select_related("payment")


def newest_first(queryset: QuerySet[M], size: int = PAGE_SIZE) -> Iterator[M]:
    """Walk through rows in pages, so that memory is bounded and no cursor stays open meanwhile."""
    return _in_pages(queryset.order_by("-pk"), "pk__lt", size)


def oldest_first(queryset: QuerySet[M], size: int = PAGE_SIZE) -> Iterator[M]:
    """Do the same the other way round."""
    return _in_pages(queryset.order_by("pk"), "pk__gt", size)


def _in_pages(queryset: QuerySet[M], beyond: str, size: int) -> Iterator[M]:
    page = list(queryset[:size])
    while page:
        yield from page
        page = list(queryset.filter(**{beyond: page[-1].pk})[:size])


def _place_of(event: PaymentEvent) -> tuple[datetime, int]:
    return cast("datetime", event.deliver_at), event.pk


class _Reconciler:
    """One run. What goes wrong with one payment or event must not keep the others waiting."""

    def __init__(self, run: ReconciliationRun, since: datetime, stop: Event, progress: Progress) -> None:
        self.run = run
        self.started_at = run.started_at
        self.since = since
        self.stop = stop
        self.progress = progress
        self.beat = functools.partial(beat, run)
        self.totals = Reconciliation()
        self.missing: Counter[tuple[str, str]] = Counter()
        #: Where the delivery left off: the end of an event's last lease, and its key.
        self._delivered_to: tuple[datetime, int] | None = None
        self._checked_at: dict[Any, datetime | None] = {}

    def deliver(self, patience: float = math.inf) -> bool:
        """
        Deliver once more what is owed, from where the last call left off. It does not wait for the gateway.

        What was tried least recently comes first: a receiver that hangs for one payment keeps no other waiting. Return
        False if the patience, in seconds, ran out.
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
        """Walk through the events that have owed something since before the run, in pages."""
        after = self._delivered_to
        while True:
            # Events that are tried now move to the end, out of what is read here.
            events = undelivered_events(self.started_at).order_by("deliver_at", "pk")
            if after:
                events = events.filter(Q(deliver_at__gt=after[0]) | Q(deliver_at=after[0], pk__gt=after[1]))
            page = list(events[:PAGE_SIZE])
            if not page:
                return
            after = _place_of(page[-1])
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
        """Ask about the payments that are due, the newest first; what is settled is delivered there and then."""
        payments = due_payments(self.started_at)
        pool = Pool(workers, rate, self.stop, self.beat)
        look_ups = pool.look_up(self._claimed(newest_first(payments)))
        for look_up in self.progress(PAYMENTS, look_ups, payments.count()):
            with self._catching(look_up.payment):
                self._receive(look_up)
        if pool.is_away:
            self.totals.gateway_away = True
            log.write("gateway_away", outcome=Outcome.FAILED)

    def expire(self) -> None:
        """Expire what is overdue and was not checked above: the gateway is away, or there is no look-up."""
        payments = overdue_payments(self.started_at)
        for payment in self._each(EXPIRY, newest_first(payments), payments.count()):
            with self._catching(payment):
                if claim_check(payment, self.since):
                    self._expire(payment, is_answered=not conf.status_url)

    def compare_confirmations(self) -> None:
        """Look for transactions by which staff confirmed one payment while the gateway settled another with them."""
        for payment in recently_confirmed(self.started_at - CONFIRMED_AGE):
            with self._catching(payment):
                flag_reused_transaction(payment)

    def _each(self, step: str, rows: Iterator[M], count: int) -> Iterator[M]:
        for row in self.progress(step, rows, count):
            if self.stop.is_set():
                return
            self.beat()
            yield row

    def _claimed(self, payments: Iterator[Payment]) -> Iterator[Payment]:
        """Take the payments that no other run has taken, and remember when they were checked before."""
        for payment in payments:
            self.beat()
            if self.stop.is_set():
                return
            is_ours = False
            with self._catching(payment):
                self._checked_at[payment.pk] = payment.checked_at
                is_ours = claim_check(payment, self.since)
            if is_ours:
                yield payment
            else:
                del self._checked_at[payment.pk]

    def _receive(self, look_up: LookUp) -> None:
        payment, checked_at = look_up.payment, self._checked_at.pop(look_up.payment.pk)
        if look_up.bug or not look_up.answers:
            give_back_check(payment, checked_at)
        if look_up.bug:
            raise look_up.bug
        if not look_up.answers:
            return
        for answer in look_up.answers:
            receive_answer(payment, answer)
        report_silence(payment, look_up.errors, look_up.duration)
        if look_up.is_heard and look_up.attempts > ATTEMPTS_AT_ONCE:
            asked = look_up.answers[-1].attempt
            Payment.objects.primary().filter(pk=payment.pk).update(asked_attempt=asked)
        self.totals.asked += 1
        self.totals.look_ups += len(look_up.answers)
        self.totals.unanswered += bool(look_up.errors)
        self.totals.settled += Status(payment.status).is_paid
        is_expired = self._expire(payment, is_answered=look_up.is_heard)
        if not is_expired and not look_up.is_heard:
            # That nobody was there is no answer: the next run asks again.
            give_back_check(payment, checked_at)

    def _expire(self, payment: Payment, *, is_answered: bool) -> bool:
        """
        Expire a pending payment whose newest page is too old, unless it has moved on since it was read.

        One that could not be checked is checked when the gateway is back.
        """
        if payment.status != Status.PENDING or payment.waiting_time < conf.expires_after or is_claimed(payment):
            return False
        changes = {"status": Status.EXPIRED} | ({} if is_answered else {"checked_at": None})
        decision = Decision(Outcome.ACCEPTED, changes=changes, signals=["payment_expired"])
        work = functools.partial(store, payment, as_read(payment), Kind.EXPIRY, decision)
        is_expired = commit(work) is not None
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
            connections[database()].close_if_unusable_or_obsolete()
