"""
The delivery of signals: stored with the transition, sent after the commit, receiver by receiver.

An event that owes signals is inserted already leased by the process that settles, which delivers on commit. Each
receiver that succeeds is recorded under the lease, and renews it. If the process dies, its lease expires, and
``paiementpro_reconcile`` delivers. The lease is its own token: only a process that knows its end can renew it.

Signals are owed to the receivers that were connected when the event was stored, and to those connected now. The process
that delivers may lack some of them, after a deployment or if it does not import the module that connects them. Their
signals are kept until a process that knows them delivers, or staff stop waiting for them
(``services.discard_signals``).

If ``PAIEMENTPRO_DELIVERY`` is ``"task"``, the process that settles passes the token to a worker, which takes over the
lease. A task that runs twice, or after another process has delivered, finds that the token is no longer valid. A task
that never runs is like a process that dies.
"""

import time
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.models import Q
from django.utils import timezone

from django_paiementpro import log
from django_paiementpro.conf import conf
from django_paiementpro.db import sql
from django_paiementpro.db.connections import database, drop, ending_transactions, has_open_transaction
from django_paiementpro.delivery.after_response import collecting_work
from django_paiementpro.delivery.backends import get_backend
from django_paiementpro.enums import Outcome
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.signals import SIGNALS

LEASE = timedelta(minutes=5)

#: No lease ends later than this from now, even if the clocks of two servers differ by a minute. One that does was made
#: by a clock that has been set back since, and is ignored.
LONGEST_LEASE = LEASE + timedelta(minutes=1)

#: How long to wait, in seconds, before a delivery is marked again on a new connection.
MARK_PAUSES = (0.0, 0.2)


class Owed(NamedTuple):
    """A signal that a receiver has not handled yet. ``receiver`` is empty if the signal waits for a first one."""

    signal: str
    receiver: str
    #: False if it is not connected in this process.
    is_known: bool

    def __str__(self) -> str:
        return f"{self.signal} {self.receiver}"


def owe(event: PaymentEvent, signals: list[str]) -> None:
    """
    Make a new event owe signals, under a lease of this process. Signals without a receiver are not kept.

    The payments of ``paiementpro_verify_account`` send none: nothing was sold.
    """
    event.receivers = [] if event.payment.is_verification else _connected(signals)
    heard = {_parted(entry)[0] for entry in event.receivers}
    event.signals = [name for name in signals if name in heard]
    event.deliver_at = _lease() if event.signals else None


def send(event: PaymentEvent, lease: datetime, *, may_queue: bool = True) -> None:
    """
    Send the signals of an event that has just been committed: in this process or, if the host wants it, in a worker.

    Failed deliveries are retried by the next reconciliation.
    """
    try:
        if may_queue and conf.delivery == "task":
            _enqueue(event, lease)
        else:
            _deliver(event)
    except Exception as error:  # noqa: BLE001  the transition is committed: the caller has succeeded
        log.write("delivery_failed", event.payment, outcome=Outcome.FAILED, raised=error)


def owe_again(event: PaymentEvent, signals: list[str]) -> None:
    """Owe the signals of a stored event to all receivers again, from now on; nothing for an account verification."""
    if event.payment.is_verification:
        return
    changes = {"signals": signals, "receivers": _connected(signals), "delivered": [], "deliver_at": timezone.now()}
    vars(event).update(changes)
    sql.update(PaymentEvent, {"pk": event.pk, "deliver_at": None}, changes)


def is_heard(signal: str) -> bool:
    """Return whether any receiver is connected."""
    return bool(_receivers_of(signal))


def owed_to(event: PaymentEvent) -> list[Owed]:
    """Return the receivers that have not handled their signal, in the order of connection, the unknown ones last."""
    owed = []
    for signal in event.signals:
        connected = _receivers_of(signal)
        seen = [receiver for name, _, receiver in map(_parted, event.receivers + event.delivered) if name == signal]
        owed += [Owed(signal, name, name in connected) for name in dict.fromkeys([*connected, *seen]) or [""]]
    return sorted((each for each in owed if str(each) not in event.delivered), key=lambda each: not each.is_known)


def missing(event: PaymentEvent) -> list[Owed]:
    """Return what is owed to receivers that this process does not know."""
    return [each for each in owed_to(event) if not each.is_known]


def discard_missing(event: PaymentEvent) -> bool:
    """Stop owing a stored event to receivers that this process does not know. Return False if it has changed."""
    gone = set(map(str, missing(event)))
    had = {_parted(entry)[0] for entry in event.delivered}
    changes = {
        "signals": [signal for signal in event.signals if is_heard(signal) or signal in had],
        "receivers": [entry for entry in event.receivers if entry not in gone],
        "deliver_at": event.deliver_at if len(owed_to(event)) > len(gone) else None,
    }
    return sql.update(PaymentEvent, {"pk": event.pk, "deliver_at": event.deliver_at}, changes) > 0


def due(now: datetime, before: datetime | None = None) -> Q:
    """Return the condition that an event owes something, now or since ``before``, and has no lease."""
    is_free = Q(deliver_at__lte=before or now) | Q(deliver_at__gt=now + LONGEST_LEASE)
    # Most events owe nothing: this keeps them out of an index that is read in its order.
    return is_free & Q(deliver_at__isnull=False)


def is_due(event: PaymentEvent) -> bool:
    """Return whether the event owes something, and has no lease."""
    now = timezone.now()
    return event.deliver_at is not None and not now < event.deliver_at <= now + LONGEST_LEASE


def deliver(event: PaymentEvent) -> bool | None:
    """
    Retry the undelivered signals of a stored event. Return False if something is still owed.

    A receiver may fail again, and one that this process does not know waits. Return None if another process is
    delivering it, or has delivered it.
    """
    owed = owed_to(event)
    if owed and not owed[0].is_known:
        return False  # nothing to do here: without a lease, other processes can deliver it
    lease = _lease()
    events = PaymentEvent.objects.using(database()).filter(pk=event.pk, deliver_at=event.deliver_at)
    if not is_due(event) or not events.update(deliver_at=lease):
        return None
    event.deliver_at = lease
    return _deliver(event)


def deliver_leased(pk: int, lease: str) -> bool:
    """
    Take over the lease that a delivery was queued under, and deliver. Return False if something is still owed.

    Does nothing if the event has another lease by now, or none. The lease is its end as ISO 8601 text.
    """
    events = PaymentEvent.objects.using(database()).filter(pk=pk)
    own_lease = _lease()
    if not events.filter(deliver_at=datetime.fromisoformat(lease)).update(deliver_at=own_lease):
        return False
    event = events.select_related("payment").get()
    event.deliver_at = own_lease
    return _deliver(event)


def _enqueue(event: PaymentEvent, lease: datetime) -> None:
    """Queue the delivery. If that fails, the lease is given back, so that the next reconciliation delivers."""
    started_at = time.monotonic()
    try:
        get_backend().enqueue(event.pk, lease.isoformat())
    except Exception as error:  # noqa: BLE001  backends raise anything
        # Without its message: that may contain the broker's address and password.
        log.write(
            "delivery_not_queued",
            event.payment,
            outcome=Outcome.FAILED,
            duration=time.monotonic() - started_at,
            error=log.class_of(error),
        )
        _mark(event, timezone.now())


def _deliver(event: PaymentEvent) -> bool:
    """Call each receiver that has not handled its signal, under our lease. Return whether nothing is owed."""
    with collecting_work():
        return _call_receivers(event)


def _call_receivers(event: PaymentEvent) -> bool:
    owed = owed_to(event)
    known = [each for each in owed if each.is_known]
    is_owed = len(known) < len(owed)
    for each in known:
        started_at = time.monotonic()
        with ending_transactions() as left_open:
            error = SIGNALS[each.signal].send_to(each.receiver, Payment, payment=event.payment, event=event)
        duration = time.monotonic() - started_at
        error = error or next(iter(left_open), None)
        if error is None:
            event.delivered = [*event.delivered, str(each)]
        else:
            is_owed = True
        try:
            is_ours = _mark(event, _rest(is_owed=is_owed) if each is known[-1] else _lease())
        finally:
            log.write(
                "signal_delivered" if error is None else "receiver_failed",
                event.payment,
                outcome=Outcome.ACCEPTED if error is None else Outcome.FAILED,
                duration=duration,
                raised=error,
                signal=each.signal,
                receiver=each.receiver,
            )
        if not is_ours:
            return False
    return not is_owed if known else _mark(event, _rest(is_owed=is_owed)) and not is_owed


def _rest(*, is_owed: bool) -> datetime | None:
    """Return what follows the last lease: any process may deliver what is still owed."""
    return timezone.now() if is_owed else None


def _parted(entry: str) -> tuple[str, str, str]:
    """Split a stored ``signal receiver``."""
    return entry.partition(" ")


def _connected(signals: list[str]) -> list[str]:
    return [f"{signal} {receiver}" for signal in signals for receiver in _receivers_of(signal)]


def _receivers_of(signal: str) -> list[str]:
    """Return the receivers connected now; none for a signal that this version of the app does not have."""
    return SIGNALS[signal].receiver_names(Payment) if signal in SIGNALS else []


def _mark(event: PaymentEvent, deliver_at: datetime | None) -> bool:
    """Store which receivers have succeeded, and when the lease ends. Return False if the lease has been lost."""
    leased = {"pk": event.pk, "deliver_at": event.deliver_at}
    changes = {"delivered": event.delivered, "deliver_at": deliver_at}
    if not _update(leased, changes):
        log.write("lease_lost", event.payment)
        return False
    event.deliver_at = deliver_at
    return True


def _update(leased: dict[str, Any], changes: dict[str, Any]) -> bool:
    """Store the changes. If the connection is lost, do so on another, unless that would leave a transaction behind."""
    connection = connections[database()]
    is_first = True
    for pause in MARK_PAUSES:
        try:
            return _update_once(leased, changes) or (not is_first and _is_stored(leased, changes))
        except (OperationalError, InterfaceError):
            if has_open_transaction(connection):
                raise
            drop(connection)
        is_first = False
        time.sleep(pause)
    return _update_once(leased, changes) or _is_stored(leased, changes)


def _update_once(leased: dict[str, Any], changes: dict[str, Any]) -> bool:
    # On its own, this commit need not be on disk before the gateway is answered: losing it means one more delivery.
    is_durable = not transaction.get_autocommit(database())
    return sql.update(PaymentEvent, leased, changes, is_durable=is_durable) > 0


def _is_stored(leased: dict[str, Any], changes: dict[str, Any]) -> bool:
    """Return whether the changes were stored by an earlier try, whose answer was lost with the connection."""
    event = PaymentEvent.objects.using(database()).filter(pk=leased["pk"], deliver_at=changes["deliver_at"]).first()
    return event is not None and event.delivered == changes["delivered"]


def _lease() -> datetime:
    return timezone.now() + LEASE
