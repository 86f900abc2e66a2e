from django.db import transaction
from django.dispatch import receiver
from salesman.core.utils import get_salesman_model

from django_paiementpro.services import flag_payment
from django_paiementpro.signals import payment_expired, payment_failed, payment_refunded, payment_succeeded

Order = get_salesman_model("Order")
OrderPayment = get_salesman_model("OrderPayment")


@receiver(payment_succeeded, dispatch_uid="shop.book_payment")
@receiver(payment_refunded, dispatch_uid="shop.book_refund")
def book_payment(sender, payment, **kwargs):
    """Book what was paid, less what went back, once."""
    if not payment.is_for(Order):
        return
    with transaction.atomic():
        order = Order.objects.select_for_update().get(pk=payment.object_id)
        payment.refresh_from_db(fields=["refunded_amount"])
        kept = payment.amount - payment.refunded_amount
        booked, is_new = OrderPayment.objects.get_or_create(
            order=order,
            transaction_id=payment.reference,
            defaults={"amount": kept, "payment_method": "paiementpro"},
        )
        if booked.amount != kept:
            booked.amount = kept
            booked.save(update_fields=["amount"])
        if is_new and order.status not in Order.Status.get_payable():
            flag_payment(payment, f"Paid, but order {order.ref} is {order.status_display}.")
        elif kept == 0:
            change_status(order, Order.Status.REFUNDED)
        elif is_new and order.is_paid:
            change_status(order, Order.Status.PROCESSING)


@receiver(payment_failed, dispatch_uid="shop.fail_order")
@receiver(payment_expired, dispatch_uid="shop.fail_expired_order")
def fail_order(sender, payment, **kwargs):
    """Let the customer pay again."""
    if not payment.is_for(Order):
        return
    with transaction.atomic():
        order = Order.objects.select_for_update().get(pk=payment.object_id)
        if order.status in Order.Status.get_payable():
            change_status(order, Order.Status.FAILED)


def change_status(order, status):
    order.status = status
    order.save(update_fields=["status"])
