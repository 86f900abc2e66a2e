"""
What the shop does when the gateway has spoken.

A receiver may be called twice for one payment, and by two processes at once: each of these does its work once all the
same. One that raises is called again until it has gone through.
"""

from typing import Any

from django.core.mail import mail_admins
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from django_paiementpro.models import Payment, PaymentEvent
from shop.models import Order


def fulfil_order(sender: type[Payment], payment: Payment, **kwargs: Any) -> None:
    """Mark the order paid and take its goods from the stock, once."""
    if not payment.is_for(Order):
        return
    with transaction.atomic():
        # The lock makes callers take turns; what the first has stored tells the others that it is done.
        order = Order.objects.select_for_update().filter(pk=payment.object_id).first()
        if order is None or order.paid_with_id == payment.pk:
            return
        if order.paid_with_id is None:
            # Money may come late: to an order that was cancelled, or whose goods another buyer has had.
            is_deliverable = order.is_open and order.product.take(order.quantity)
            order.status = Order.Status.PAID if is_deliverable else Order.Status.TO_REFUND
            order.paid_with, order.paid_at = payment, timezone.now()
            order.save(update_fields=["status", "paid_with", "paid_at"])
            if is_deliverable:
                return
        # In the transaction: where the mail cannot be sent, nothing is stored, and all of it is tried again.
        mail_admins(
            _("%(order)s: to be refunded") % {"order": order},
            _("Payment %(payment)s has come, but the order cannot have it: please refund the buyer.")
            % {"payment": payment},
        )


def close_refunded_order(sender: type[Payment], payment: Payment, **kwargs: Any) -> None:
    """
    Close the order once it is fully refunded; after a partial refund it stays as it is.

    Staff decide whether the goods return to stock.
    """
    if payment.status == Payment.Status.REFUNDED:
        Order.objects.filter(paid_with=payment).update(status=Order.Status.REFUNDED)


def warn_staff(sender: type[Payment], payment: Payment, event: PaymentEvent, **kwargs: Any) -> None:
    """Ask staff to look at what no program should decide."""
    mail_admins(_("Payment %(payment)s: please review it") % {"payment": payment}, event.message)
