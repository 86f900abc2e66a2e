"""
The app's signals, each with ``sender=Payment``, ``payment`` and ``event``.

They are sent after the transition has been committed. Delivery is at least once: a receiver that raises is retried by
each run of ``paiementpro_reconcile`` until it succeeds, so receivers should be idempotent.
"""

import inspect
import itertools
import weakref
from collections.abc import Callable, Hashable, Iterator
from threading import Lock
from typing import Any

from django.dispatch import Signal


class PaymentSignal(Signal):
    """
    A signal that can also be sent to one receiver at a time.

    A receiver is identified by its ``dispatch_uid``, or else by module and qualified name, with a number if several
    have the same, as closures do. Besides the ordinary registration each receiver has a signal of its own, so Django
    handles weak references, senders and async receivers.
    """

    def __init__(self) -> None:
        super().__init__()
        self._own: dict[str, tuple[Signal, _Reference]] = {}
        self._own_lock = Lock()

    def connect(
        self,
        receiver: Callable[..., Any],
        sender: object | None = None,
        weak: bool = True,
        dispatch_uid: Hashable | None = None,
    ) -> None:
        super().connect(receiver, sender=sender, weak=weak, dispatch_uid=dispatch_uid)
        with self._own_lock:
            if dispatch_uid is not None:
                name = str(dispatch_uid)
            else:
                name = next(name for name in _names(receiver) if self._is_free(name, receiver, sender))
            own, _ = self._own.get(name, (Signal(), None))
            own.connect(receiver, sender=sender, weak=weak, dispatch_uid=dispatch_uid)
            self._own[name] = (own, _reference(receiver))

    def _is_free(self, name: str, receiver: Callable[..., Any], sender: object | None) -> bool:
        """Return whether a name is unused, or already this receiver's."""
        if name not in self._own:
            return True
        own, reference = self._own[name]
        return reference() == receiver or not own.has_listeners(sender)

    def disconnect(
        self,
        receiver: Callable[..., Any] | None = None,
        sender: object | None = None,
        dispatch_uid: Hashable | None = None,
    ) -> bool:
        with self._own_lock:
            for own, _ in self._own.values():
                own.disconnect(receiver, sender=sender, dispatch_uid=dispatch_uid)
        return super().disconnect(receiver, sender=sender, dispatch_uid=dispatch_uid)

    def receiver_names(self, sender: object) -> list[str]:
        """Return the receivers for this sender, in the order of connection."""
        with self._own_lock:
            return [name for name, (own, _) in self._own.items() if own.has_listeners(sender)]

    def send_to(self, name: str, sender: object, **named: Any) -> BaseException | None:
        """Call one receiver. Return the exception it raised, None on success, or ``LookupError`` if it is gone."""
        with self._own_lock:
            own, _ = self._own[name]
        try:
            # Not send_robust(), which logs the message of the exception: it may hold a customer's data.
            answers = own.send(sender, **named)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  one receiver must not stop the others
            return error
        return None if answers else LookupError("the receiver is gone")


_Reference = Callable[[], object]


def _reference(receiver: Callable[..., Any]) -> _Reference:
    """Return a weak reference if possible."""
    if inspect.ismethod(receiver):
        return weakref.WeakMethod(receiver)
    try:
        return weakref.ref(receiver)
    except TypeError:
        return lambda: receiver


def _names(receiver: Callable[..., Any]) -> Iterator[str]:
    """Yield the possible names of a receiver, without end."""
    named = receiver if hasattr(receiver, "__qualname__") else type(receiver)
    name = f"{named.__module__}.{named.__qualname__}"
    return itertools.chain([name], map(f"{name}#{{}}".format, itertools.count(2)))


#: The payment was paid: deliver. Also sent for a late success of a failed, expired or cancelled payment.
payment_succeeded = PaymentSignal()

#: The gateway refused the payment. The customer may retry, and a success may follow.
payment_failed = PaymentSignal()

#: The payment was not paid in time: release what was reserved for it. A success may still follow.
payment_expired = PaymentSignal()

#: The shop gave the payment up: release what was reserved for it. A success may still follow, and is flagged.
payment_cancelled = PaymentSignal()

#: The payment needs review: see ``payment.open_findings``; ``event.message`` is a summary.
payment_flagged = PaymentSignal()

#: Staff recorded a full or partial refund or a chargeback: ``event.refunds.get()``. Sent once for each.
payment_refunded = PaymentSignal()

#: The signals by the names that the outbox stores.
SIGNALS: dict[str, PaymentSignal] = {
    "payment_succeeded": payment_succeeded,
    "payment_failed": payment_failed,
    "payment_expired": payment_expired,
    "payment_cancelled": payment_cancelled,
    "payment_flagged": payment_flagged,
    "payment_refunded": payment_refunded,
}
