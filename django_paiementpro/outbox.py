"""
The delivery of signals: stored with the transition, sent after the commit, receiver by receiver.

An event that owes signals is inserted already leased by the process that settles, which delivers on commit. Each
receiver that goes through is remembered under the lease, and renews it. A process that dies leaves a lease that runs
out; ``paiementpro_reconcile`` takes it up. The lease is its own token: only who knows its end can renew it.
"""

import time
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from django_paiementpro import log
from django_paiementpro.enums import Outcome
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.signals import SIGNALS

LEASE = timedelta(minutes=5)


def post(event: PaymentEvent, signals: list[str]) -> None:
    """
    Insert the event with the signals that it owes, inside the transaction of what it tells of.

    Signals that nobody listens to are not kept. The rest are sent after the commit, by this process if it lives.
    """
    event.signals = [name for name in signals if is_heard(name)]
    if event.signals:
        event.deliver_at = _lease()
    event.save(force_insert=True)
    if event.signals:
        transaction.on_commit(lambda: _deliver(event), using=event._state.db, robust=True)


def is_heard(signal: str) -> bool:
    """Return whether any receiver is connected."""
    return SIGNALS[signal].has_listeners(Payment)


def deliver(event: PaymentEvent) -> bool:
    """
    Send once more what a stored event still owes. Return False where something is owed yet.

    Another process may be at it, a receiver may fail again, and a signal that nobody listens to now waits.
    """
    if not _waiting(event) and _is_unheard(event):
        return False
    leased_until, lease = event.deliver_at, _lease()
    events = PaymentEvent.objects.using(event._state.db).filter(pk=event.pk, deliver_at=leased_until)
    if leased_until is None or leased_until > timezone.now() or not events.update(deliver_at=lease):
        return False
    event.deliver_at = lease
    return _deliver(event)


def _deliver(event: PaymentEvent) -> bool:
    """Call each receiver that has not had its signal, under a lease that is ours. Return whether nothing is owed."""
    waiting = _waiting(event)
    is_owed = _is_unheard(event)
    for position, (signal, receiver) in enumerate(waiting, start=1):
        started_at = time.monotonic()
        error = SIGNALS[signal].send_to(receiver, Payment, payment=event.payment, event=event)
        is_failed = error is not None
        log.write(
            "receiver_failed" if is_failed else "signal_delivered",
            event.payment,
            outcome=Outcome.FAILED if is_failed else Outcome.ACCEPTED,
            duration=time.monotonic() - started_at,
            exc_info=error,
            signal=signal,
            receiver=receiver,
        )
        if is_failed:
            is_owed = True
        else:
            event.delivered = [*event.delivered, f"{signal} {receiver}"]
            if position < len(waiting) and not _mark(event, _lease()):
                return False
    # A receiver that failed may be called again by whoever comes next.
    return _mark(event, timezone.now() if is_owed else None) and not is_owed


def _waiting(event: PaymentEvent) -> list[tuple[str, str]]:
    """Return signal and receiver of those connected now that have not had it."""
    return [
        (signal, receiver)
        for signal in event.signals
        for receiver in SIGNALS[signal].receiver_names(Payment)
        if f"{signal} {receiver}" not in event.delivered
    ]


def _is_unheard(event: PaymentEvent) -> bool:
    return not all(map(is_heard, event.signals))


def _mark(event: PaymentEvent, deliver_at: datetime | None) -> bool:
    """Store who has had it, and until when the lease runs. Return False where the lease has been lost."""
    events = PaymentEvent.objects.using(event._state.db).filter(pk=event.pk, deliver_at=event.deliver_at)
    if not events.update(delivered=event.delivered, deliver_at=deliver_at):
        log.write("lease_lost", event.payment)
        return False
    event.deliver_at = deliver_at
    return True


def _lease() -> datetime:
    return timezone.now() + LEASE
