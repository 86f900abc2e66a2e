from django.db import transaction
from django.db.models import Sum
from django.dispatch import receiver
from django_scopes import scope, scopes_disabled
from pretix.base.models import Order, OrderPayment, Quota
from pretix.base.signals import register_payment_providers
from pretix_paiementpro.payment import PaiementPro

from django_paiementpro.services import flag_payment
from django_paiementpro.signals import (
    payment_cancelled,
    payment_expired,
    payment_failed,
    payment_refunded,
    payment_succeeded,
)


@receiver(register_payment_providers, dispatch_uid="pretix_paiementpro.provider")
def register(sender, **kwargs):
    return PaiementPro


def order_payment(payment):
    """Return the payment of pretix, or None. Receivers run outside of any scope."""
    if not payment.is_for(OrderPayment):
        return None
    with scopes_disabled():
        payments = OrderPayment.objects.select_related("order__event__organizer")
        return payments.filter(pk=payment.object_id).first()


@receiver(payment_succeeded, dispatch_uid="pretix_paiementpro.confirm")
def confirm(sender, payment, **kwargs):
    bought = order_payment(payment)
    if bought is None:
        return
    with scope(organizer=bought.order.event.organizer):
        try:
            bought.confirm()
        except Quota.QuotaExceededException as error:
            flag_payment(payment, f"Paid, but {bought.order.code} cannot be issued: {error}")
        else:
            bought.order.refresh_from_db()
            if bought.order.status == Order.STATUS_CANCELED:
                flag_payment(payment, f"Paid, but {bought.order.code} has been cancelled.")


@receiver(payment_failed, dispatch_uid="pretix_paiementpro.fail")
@receiver(payment_expired, dispatch_uid="pretix_paiementpro.fail_expired")
@receiver(payment_cancelled, dispatch_uid="pretix_paiementpro.fail_cancelled")
def fail(sender, payment, **kwargs):
    bought = order_payment(payment)
    if bought is None or bought.state == OrderPayment.PAYMENT_STATE_CANCELED:
        return
    with scope(organizer=bought.order.event.organizer):
        bought.fail()


@receiver(payment_refunded, dispatch_uid="pretix_paiementpro.refund")
def refund(sender, payment, **kwargs):
    """Tell pretix what went back; its staff decide there what becomes of the tickets."""
    bought = order_payment(payment)
    if bought is None:
        return
    with scope(organizer=bought.order.event.organizer), transaction.atomic():
        OrderPayment.objects.select_for_update().get(pk=bought.pk)
        payment.refresh_from_db(fields=["refunded_amount"])
        known = bought.refunds.aggregate(sum=Sum("amount"))["sum"] or 0
        if payment.refunded_amount > known:
            bought.create_external_refund(amount=payment.refunded_amount - known)
