"""
The signals that a host listens to: each with ``sender=Payment``, ``payment`` and ``event``.

They are sent after the transition has been committed. A receiver that raises is called again by each run of
``paiementpro_reconcile`` until it has gone through; it may so, rarely, be called twice, never not at all.
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

    A receiver is known by its ``dispatch_uid``, else by module and qualified name; where several live ones have the
    same, as closures have, by their order too. Beside the ordinary registration, each has a signal to itself, which
    leaves weak references, senders and async receivers to Django.
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
        """Whether a name is nobody's, or this receiver's already."""
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
        """Return who listens to this sender, in the order of connection."""
        with self._own_lock:
            return [name for name, (own, _) in self._own.items() if own.has_listeners(sender)]

    def send_to(self, name: str, sender: object, **named: Any) -> BaseException | None:
        """Call one receiver. Return what it raised, None if it succeeded, ``LookupError`` if it has gone."""
        with self._own_lock:
            own, _ = self._own[name]
        try:
            # Not send_robust(), which logs what the receiver's exception says: that may name a payer.
            answers = own.send(sender, **named)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  what ends this receiver must not end the others
            return error
        return None if answers else LookupError("the receiver has gone")


_Reference = Callable[[], object]


def _reference(receiver: Callable[..., Any]) -> _Reference:
    """Return a weak reference, where there can be one."""
    if inspect.ismethod(receiver):
        return weakref.WeakMethod(receiver)
    try:
        return weakref.ref(receiver)
    except TypeError:
        return lambda: receiver


def _names(receiver: Callable[..., Any]) -> Iterator[str]:
    """Return the names that a receiver may have, the likeliest first, without end."""
    named = receiver if hasattr(receiver, "__qualname__") else type(receiver)
    name = f"{named.__module__}.{named.__qualname__}"
    return itertools.chain([name], map(f"{name}#{{}}".format, itertools.count(2)))


#: The money has moved; deliver. Also for a success that comes late, to a failed, expired or cancelled payment.
payment_succeeded = PaymentSignal()

#: The gateway said no. The payer may try again, and a success may still come.
payment_failed = PaymentSignal()

#: Nobody paid in time. A success may still come.
payment_expired = PaymentSignal()

#: There is something for staff to review: ``payment.open_findings`` holds it, and ``event.message`` is a summary.
payment_flagged = PaymentSignal()

#: Staff recorded a refund or a chargeback, in full or in part: ``event.refunds.get()``. Sent once for each.
payment_refunded = PaymentSignal()

#: The signals under the names that the outbox stores.
SIGNALS: dict[str, PaymentSignal] = {
    "payment_succeeded": payment_succeeded,
    "payment_failed": payment_failed,
    "payment_expired": payment_expired,
    "payment_flagged": payment_flagged,
    "payment_refunded": payment_refunded,
}
