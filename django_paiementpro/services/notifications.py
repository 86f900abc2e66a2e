"""Notifications (webhooks): what the gateway says about a payment of its own accord."""

from django_paiementpro import log
from django_paiementpro.conf import conf
from django_paiementpro.db import sql
from django_paiementpro.db.connections import database
from django_paiementpro.enums import Kind, SettledBy, Status
from django_paiementpro.exceptions import InvalidNotification
from django_paiementpro.gateway.messages import Notification
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.normalization import transaction_key
from django_paiementpro.services.rules import decide_on_notification
from django_paiementpro.services.transactions import read_again
from django_paiementpro.services.transitions import store


def find_payment(url_key: str) -> Payment | None:
    """Return the payment that a signed URL names, or None."""
    return _find(url_key, "", [])


def _find(url_key: str, also: str, params: list[str]) -> Payment | None:
    payment = sql.find(Payment, {"reference": _reference_in(url_key)}, also, params)
    # To the letter: MariaDB compares without case.
    return payment if payment and payment.url_key == url_key else None


def _reference_in(url_key: str) -> str:
    return url_key.rpartition("-")[0]


def receive_notification(
    url_key: str, notification: Notification | InvalidNotification, remote_address: str = ""
) -> PaymentEvent | None:
    """
    Record what the gateway says about the payment that a signed URL names, and settle it if that proves something.

    A repeated notification changes nothing. One that does not match the payment is ``refused`` and flagged; one that
    cannot be read is ``refused``. Signals are sent after the commit. Returns None if there is no such payment.
    """
    # The host's verifier may take a while: nothing has been read yet.
    is_authentic = verify(notification)
    key = transaction_key(notification.gateway_id) if isinstance(notification, Notification) else ""
    also, params = (_CONFIRMED_OTHER, [key, _reference_in(url_key)]) if key else ("", [])
    payment = _find(url_key, also, params)
    if payment is None:
        return None
    # Asked in the statement that reads the payment anyway.
    confirmed_other = getattr(payment, "confirmed_other", None) or ""
    while True:
        decision = decide_on_notification(
            payment, notification, is_authentic=is_authentic, confirmed_other=confirmed_other
        )
        event = store(payment, decision, Kind.NOTIFICATION, notification.data, remote_address)
        if event:
            return event
        read_again(payment)
        confirmed_other = confirmed_by_staff(payment, key)


_CONFIRMED_OTHER = """(
    SELECT other.reference FROM paiementpro_payment other
    WHERE other.gateway_key = %s AND other.reference <> %s
      AND other.settled_by = 'staff' AND other.status IN ('succeeded', 'refunded')
    LIMIT 1
) AS confirmed_other"""


def confirmed_by_staff(payment: Payment, key: str) -> str:
    """Return the reference of another payment that staff have confirmed with this transaction, or an empty string."""
    if not key:
        return ""
    paid = [status for status in Status if status.is_paid]
    others = Payment.objects.using(database()).filter(gateway_key=key, settled_by=SettledBy.STAFF, status__in=paid)
    return others.exclude(pk=payment.pk).values_list("reference", flat=True).first() or ""


def verify(notification: Notification | InvalidNotification) -> bool:
    """Ask the host's verifier, if there is one. Only True agrees; a verifier that raises or exits does not."""
    if isinstance(notification, InvalidNotification):
        return False
    try:
        verifier = conf.hashcode_verifier
        return verifier is None or verifier(notification) is True
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  logged, and counts as disagreeing
        log.write("verifier_failed", raised=error)
        return False
