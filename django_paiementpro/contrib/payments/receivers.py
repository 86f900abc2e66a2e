"""Report to django-payments what becomes of our payments."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from payments import PaymentStatus, get_payment_model

from django_paiementpro.enums import PAID, PAYABLE
from django_paiementpro.models import Payment
from django_paiementpro.services import flag_payment
from django_paiementpro.services.orders import cancel_payable

WAITING = {PaymentStatus.WAITING, PaymentStatus.INPUT}
UNPAID = WAITING | {PaymentStatus.REJECTED, PaymentStatus.ERROR, PaymentStatus.CANCELLED}


def book(sender: type[Payment], payment: Payment, **kwargs: Any) -> None:
    """Record what was paid, less what went back. A success that comes late counts in any state."""
    if not payment.is_for(get_payment_model()):
        return
    with transaction.atomic():
        bought = _locked(payment)
        payment.refresh_from_db(fields=["refunded_amount"])
        kept = payment.amount - payment.refunded_amount
        is_booked = bought is not None and bought.transaction_id == payment.reference
        if not is_booked and (problem := _problem(bought, payment)):
            if kept:
                flag_payment(payment, problem)
            return
        if is_booked and bought.captured_amount == kept:
            return
        bought.transaction_id, bought.captured_amount = payment.reference, kept
        bought.save(update_fields=["transaction_id", "captured_amount"])
        status = PaymentStatus.CONFIRMED if kept else PaymentStatus.REFUNDED
        if bought.status != status:
            bought.change_status(status)
        cancel_payable(bought, _("Another payment replaces it."))


def reject(sender: type[Payment], payment: Payment, event: Any, **kwargs: Any) -> None:
    _close(payment, PaymentStatus.REJECTED, WAITING, payment.response_message)


def cancel(sender: type[Payment], payment: Payment, event: Any, **kwargs: Any) -> None:
    _close(payment, PaymentStatus.CANCELLED, UNPAID - {PaymentStatus.CANCELLED}, event.message)


def _problem(bought: Any, payment: Payment) -> str:
    """Return why money cannot be booked, or an empty string."""
    if bought is None:
        return _("Paid, but the shop has deleted its own payment.")
    if bought.status not in UNPAID:
        return _("Paid, but the shop’s own payment has been paid otherwise.")
    if bought.total != payment.amount:
        return _("Paid, but the shop’s own payment is of another amount now.")
    return ""


def _close(payment: Payment, status: str, current: set[str], message: str) -> None:
    """Change the status, unless it is not one of ``current``, or another of our payments has taken over."""
    if not payment.is_for(get_payment_model()):
        return
    with transaction.atomic():
        bought = _locked(payment)
        if bought is None or bought.status not in current:
            return
        others = Payment.objects.for_object(bought).exclude(pk=payment.pk)
        if not others.filter(status__in=PAYABLE + PAID).exists():
            bought.change_status(status, message)


def _locked(payment: Payment) -> Any:
    """Return the payment of django-payments with its row locked, or None if it has been deleted."""
    return get_payment_model()._base_manager.select_for_update().filter(pk=payment.object_id).first()
