"""
The delivery of signals: stored with the transition, sent after the commit, receiver by receiver.

An event that owes signals is inserted already leased by the process that settles, which delivers on commit. Each
receiver that goes through is remembered under the lease, and renews it. A process that dies leaves a lease that runs
out; ``paiementpro_reconcile`` takes it up. The lease is its own token: only who knows its end can renew it.

Where ``PAIEMENTPRO_DELIVERY`` is ``"task"``, the process that settles hands the token to a worker instead, which takes
the lease over. A task that comes twice, or after others have taken the event up, so finds that the token is not good
any more; one that never comes is the case of the process that dies.
"""

import time
from datetime import datetime, timedelta

from django.db import router, transaction
from django.utils import timezone

from django_paiementpro import log, statements
from django_paiementpro.conf import conf
from django_paiementpro.engines import get_engine
from django_paiementpro.enums import Outcome
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.signals import SIGNALS

LEASE = timedelta(minutes=5)


def owe(event: PaymentEvent, signals: list[str]) -> None:
    """Have a new event owe signals, already leased by this process. Signals that nobody listens to are not kept."""
    event.signals = [name for name in signals if is_heard(name)]
    event.deliver_at = _lease() if event.signals else None


def send_on_commit(event: PaymentEvent, *, may_queue: bool = True) -> None:
    """Send what a new event owes after the commit, in this process or, where the host wants it, in a worker."""
    if event.deliver_at:
        lease = event.deliver_at
        transaction.on_commit(lambda: _send(event, lease, may_queue), using=_database(), robust=True)


def owe_again(event: PaymentEvent, signals: list[str]) -> None:
    """Owe the signals of a stored event to all receivers again, from now on."""
    event.signals, event.delivered, event.deliver_at = signals, [], timezone.now()
    changes = {"signals": event.signals, "delivered": event.delivered, "deliver_at": event.deliver_at}
    statements.update(PaymentEvent, {"pk": event.pk, "deliver_at": None}, changes)


def is_heard(signal: str) -> bool:
    """Return whether any receiver is connected."""
    return SIGNALS[signal].has_listeners(Payment)


def deliver(event: PaymentEvent) -> bool | None:
    """
    Send once more what a stored event still owes. Return False where something is owed yet.

    A receiver may fail again, and a signal that nobody listens to now waits. Return None where another process is at
    it, or has been.
    """
    if not _waiting(event) and _is_unheard(event):
        return False
    leased_until, lease = event.deliver_at, _lease()
    events = PaymentEvent.objects.using(_database()).filter(pk=event.pk, deliver_at=leased_until)
    if leased_until is None or leased_until > timezone.now() or not events.update(deliver_at=lease):
        return None
    event.deliver_at = lease
    return _deliver(event)


def deliver_leased(pk: int, lease: str) -> bool:
    """
    Take over the lease that a delivery was queued under, and deliver. Return False where something is owed yet.

    Does nothing where the event has another lease by now, or none. The lease is its end as ISO 8601 text.
    """
    events = PaymentEvent.objects.using(_database()).filter(pk=pk)
    own_lease = _lease()
    if not events.filter(deliver_at=datetime.fromisoformat(lease)).update(deliver_at=own_lease):
        return False
    event = events.select_related("payment").get()
    event.deliver_at = own_lease
    return _deliver(event)


def _send(event: PaymentEvent, lease: datetime, may_queue: bool) -> None:
    """Deliver what has just been committed, or have a worker do it."""
    if may_queue and conf.delivery == "task":
        _enqueue(event, lease)
    else:
        _deliver(event)


def _enqueue(event: PaymentEvent, lease: datetime) -> None:
    """Queue the delivery. Where that fails, the lease is given back, so that the next reconciliation delivers."""
    started_at = time.monotonic()
    try:
        get_engine().enqueue(event.pk, lease.isoformat())
    except Exception as error:  # noqa: BLE001  engines raise what they like
        # Not what it says: that may name the broker, and how to get in.
        log.write(
            "delivery_not_queued",
            event.payment,
            outcome=Outcome.FAILED,
            duration=time.monotonic() - started_at,
            error=log.class_of(error),
        )
        _mark(event, timezone.now())


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
            raised=error,
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
    leased = {"pk": event.pk, "deliver_at": event.deliver_at}
    changes = {"delivered": event.delivered, "deliver_at": deliver_at}
    # On its own, this commit need not be on disk before the gateway is answered: losing it means one more delivery.
    is_durable = not transaction.get_autocommit(_database())
    if not statements.update(PaymentEvent, leased, changes, is_durable=is_durable):
        log.write("lease_lost", event.payment)
        return False
    event.deliver_at = deliver_at
    return True


def _lease() -> datetime:
    return timezone.now() + LEASE


def _database() -> str:
    return router.db_for_write(PaymentEvent)
