"""Deliver signals at least once: immediately after the commit, or by ``deliver_overdue`` if that failed."""

from datetime import datetime, timedelta

from django.dispatch import Signal
from django.utils import timezone

from benchmarks.contenders.honest.models import Event, Payment

LEASE = timedelta(minutes=5)

payment_succeeded = Signal()
payment_failed = Signal()

SIGNALS = {"payment_succeeded": payment_succeeded, "payment_failed": payment_failed}


def new_lease() -> datetime:
    return timezone.now() + LEASE


def deliver(event: Event) -> None:
    """Send the signal of an event whose lease is held, and mark it as delivered unless a receiver failed."""
    results = SIGNALS[event.signal].send_robust(Payment, payment=event.payment, event=event)
    has_failed = any(isinstance(result, Exception) for _, result in results)
    leased = Event.objects.filter(pk=event.pk, deliver_at=event.deliver_at)
    leased.update(deliver_at=timezone.now() if has_failed else None)


def deliver_overdue() -> None:
    """Deliver what another process left behind or a receiver refused. Run it from cron."""
    for event in Event.objects.filter(deliver_at__lte=timezone.now()).select_related("payment"):
        lease = new_lease()
        if Event.objects.filter(pk=event.pk, deliver_at=event.deliver_at).update(deliver_at=lease):
            event.deliver_at = lease
            deliver(event)
