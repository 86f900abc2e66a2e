"""What is done for payments and signals that wait, by ``paiementpro_reconcile``."""

import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from threading import Event
from typing import Any, TypeVar

from django.db import connections
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from django_paiementpro import log, outbox
from django_paiementpro.conf import conf
from django_paiementpro.enums import Kind, Outcome, Status
from django_paiementpro.models import Payment, PaymentEvent, PaymentQuerySet
from django_paiementpro.services.claims import CLOCK_SKEW, claim_check, give_back_check, is_claimed
from django_paiementpro.services.evidence import receive_answer, report_silence
from django_paiementpro.services.keys import forget_keys
from django_paiementpro.services.pool import LookUp, Pool
from django_paiementpro.services.runs import beat, begin_run, finish_run, leave_run
from django_paiementpro.services.staff import flag_reused_transaction, recently_confirmed
from django_paiementpro.services.transitions import Decision, as_read, commit, database, outside_transactions, store

M = TypeVar("M", bound=Model)

# For how long the gateway is asked about a page whose answer was lost.
LOST_PAGE_AGE = timedelta(days=7)

# For how long it is asked about a payment that has expired: some are paid at the last moment, and never notified.
EXPIRED_AGE = timedelta(days=3)

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
        reconciler = _Reconciler(run.started_at, since, stop or Event(), progress, functools.partial(beat, run))
        # Where an earlier run has not ended, a receiver may be what holds it: the gateway is asked first.
        left_off = reconciler.deliver(patience=DELIVERY_FIRST) if is_alone else 0
        if conf.status_url:
            reconciler.ask(workers, rate)
        reconciler.expire()
        if left_off is not None:
            reconciler.deliver(after=left_off)
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
    """Return the payments to ask the gateway about now: those that wait, and those that have expired of late."""
    waits = Q(status=Status.PENDING) | Q(status=Status.CREATED, attempt__gte=1, updated_at__gte=now - LOST_PAGE_AGE)
    # Not asked before, or by a clock that has been set back since.
    is_new = Q(checked_at=None) | Q(checked_at__gt=now + CLOCK_SKEW)
    is_old_news = Q(checked_at__lte=now - LONGEST_INTERVAL)
    for age, interval in INTERVALS:
        is_old_news |= Q(opened_at__gt=now - age, checked_at__lte=now - interval)
    # One about which nobody was there to answer when it expired has no date: it is asked about until somebody is.
    has_expired = Q(status=Status.EXPIRED) & (
        Q(checked_at=None) | Q(updated_at__gte=now - EXPIRED_AGE) & (is_new | Q(checked_at__lte=now - LONGEST_INTERVAL))
    )
    return (
        Payment.objects.primary()
        .alias(opened_at=Coalesce("initialized_at", "updated_at"))
        .filter((waits & (is_new | is_old_news | _is_overdue(now))) | has_expired)
    )


def overdue_payments(now: datetime) -> PaymentQuerySet:
    """Return the pending payments that nobody has paid in time."""
    return Payment.objects.primary().filter(_is_overdue(now), status=Status.PENDING)


def _is_overdue(now: datetime) -> Q:
    latest = now - conf.expires_after
    return Q(initialized_at__lte=latest) | Q(initialized_at=None, created_at__lte=latest)


def undelivered_events() -> QuerySet[PaymentEvent]:
    """Return the events whose signals are owed and that no process is delivering."""
    return PaymentEvent.objects.using(database()).filter(deliver_at__lte=timezone.now()).select_related("payment")


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


class _Reconciler:
    """One run. What goes wrong with one payment or event must not keep the others waiting."""

    def __init__(
        self, started_at: datetime, since: datetime, stop: Event, progress: Progress, beat: Callable[[], None]
    ) -> None:
        self.started_at = started_at
        self.since = since
        self.stop = stop
        self.progress = progress
        self.beat = beat
        self.totals = Reconciliation()
        self._checked_at: dict[Any, datetime | None] = {}

    def deliver(self, after: int = 0, patience: float = math.inf) -> int | None:
        """
        Deliver once more what is owed, the oldest first. It does not wait for the gateway.

        Return the event after which it was left off, for want of patience; None where all have had their turn.
        """
        # What this run settles has had its turn then.
        events = undelivered_events().filter(pk__gt=after, created_at__lte=self.started_at)
        started_at = time.monotonic()
        for event in self._each(SIGNALS, oldest_first(events), events.count()):
            with self._catching(event):
                is_delivered = outbox.deliver(event)
                self.totals.delivered += is_delivered is True
                self.totals.undelivered += is_delivered is False
            if time.monotonic() - started_at > patience:
                return event.pk
        return None

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
        """Expire what is overdue and was not asked about above: the gateway is away, or there is no look-up."""
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
        """Take the payments that no other run has taken, and remember when they were asked about before."""
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

        One that the gateway could not be asked about is asked about when it is back.
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
