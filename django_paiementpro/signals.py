"""
The signals that a host listens to: each with ``sender=Payment``, ``payment`` and ``event``.

They are sent after the transition has been committed. A receiver that raises is called again by each run of
``paiementpro_reconcile`` until it has gone through; it may so, rarely, be called twice, never not at all.
"""

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any

from django.dispatch import Signal


class PaymentSignal(Signal):
    """
    A signal that can also be sent to one receiver at a time.

    A receiver is known by its ``dispatch_uid``, else by module and qualified name. Beside the ordinary registration,
    each has a signal to itself, which leaves weak references, senders and async receivers to Django.
    """

    def __init__(self) -> None:
        super().__init__()
        self._by_name: dict[str, Signal] = {}
        self._by_name_lock = Lock()

    def connect(
        self,
        receiver: Callable[..., Any],
        sender: object | None = None,
        weak: bool = True,
        dispatch_uid: Hashable | None = None,
    ) -> None:
        super().connect(receiver, sender=sender, weak=weak, dispatch_uid=dispatch_uid)
        name = _name(receiver, dispatch_uid)
        with self._by_name_lock:
            own = self._by_name.setdefault(name, Signal())
            own.connect(receiver, sender=sender, weak=weak, dispatch_uid=dispatch_uid)

    def disconnect(
        self,
        receiver: Callable[..., Any] | None = None,
        sender: object | None = None,
        dispatch_uid: Hashable | None = None,
    ) -> bool:
        with self._by_name_lock:
            for own in self._by_name.values():
                own.disconnect(receiver, sender=sender, dispatch_uid=dispatch_uid)
        return super().disconnect(receiver, sender=sender, dispatch_uid=dispatch_uid)

    def receiver_names(self, sender: object) -> list[str]:
        """Return who listens to this sender, in the order of connection."""
        with self._by_name_lock:
            return [name for name, own in self._by_name.items() if own.has_listeners(sender)]

    def send_to(self, name: str, sender: object, **named: Any) -> list[Exception]:
        """Call one receiver; return what it raised, which is nothing where it went through."""
        with self._by_name_lock:
            own = self._by_name[name]
        try:
            answers = own.send_robust(sender, **named)
        except Exception as error:  # noqa: BLE001  Django stumbles over a receiver without a name that raises
            return [error]
        return [answer for _, answer in answers if isinstance(answer, Exception)]


def _name(receiver: Callable[..., Any], dispatch_uid: Hashable | None) -> str:
    if dispatch_uid is not None:
        return str(dispatch_uid)
    named = receiver if hasattr(receiver, "__qualname__") else type(receiver)
    return f"{named.__module__}.{named.__qualname__}"


#: The money has moved; deliver. Also for a success that comes late, to a failed, expired or cancelled payment.
payment_succeeded = PaymentSignal()

#: The gateway said no. The payer may try again, and a success may still come.
payment_failed = PaymentSignal()

#: Nobody paid in time. A success may still come.
payment_expired = PaymentSignal()

#: A person must look: ``payment.review_reason`` says at what.
payment_flagged = PaymentSignal()

#: Staff recorded a refund that was made in the gateway's back office.
payment_refunded = PaymentSignal()

#: The signals under the names that the outbox stores.
SIGNALS: dict[str, PaymentSignal] = {
    "payment_succeeded": payment_succeeded,
    "payment_failed": payment_failed,
    "payment_expired": payment_expired,
    "payment_flagged": payment_flagged,
    "payment_refunded": payment_refunded,
}
