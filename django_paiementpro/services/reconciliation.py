"""What is done for payments and signals that wait, by ``paiementpro_reconcile``."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from django_paiementpro import outbox
from django_paiementpro.conf import conf
from django_paiementpro.enums import Kind, Outcome, Status
from django_paiementpro.models import Payment, PaymentEvent, PaymentQuerySet
from django_paiementpro.services.claims import claim_check, is_claimed
from django_paiementpro.services.evidence import look_up
from django_paiementpro.services.transitions import Verdict, as_read, commit, database, store

M = TypeVar("M", bound=Model)

# For how long the gateway is asked about a page whose answer was lost.
LOST_PAGE_AGE = timedelta(days=7)


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
    return PaymentEvent.objects.using(database()).filter(deliver_at__lte=timezone.now()).select_related("payment")


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
    if not claim_check(payment, since):
        return
    if conf.status_url:
        totals.asked += 1
        totals.unanswered += bool(look_up(payment))
        totals.settled += Status(payment.status).is_paid
    totals.expired += _expire(payment)


def reconcile_event(event: PaymentEvent, totals: Reconciliation) -> None:
    """Deliver once more what an event owes."""
    if outbox.deliver(event):
        totals.delivered += 1
    else:
        totals.undelivered += 1


def _expire(payment: Payment) -> bool:
    """Expire a pending payment whose newest page is too old, unless it has moved on since it was read."""
    opened_at = payment.initialized_at or payment.created_at
    if payment.status != Status.PENDING or opened_at + conf.expires_after > timezone.now() or is_claimed(payment):
        return False
    verdict = Verdict(Outcome.ACCEPTED, changes={"status": Status.EXPIRED}, signals=["payment_expired"])
    return commit(functools.partial(store, payment, as_read(payment), Kind.EXPIRY, verdict, None, "")) is not None
