"""
Record in oscar's terms what becomes of an order's payment.

Each receiver locks the order, checks whether the fact is recorded, and records it: signals may arrive twice and in any
order. Money is always recorded. If the order can no longer be fulfilled, the payment is flagged, for staff to decide.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from django.contrib.sites.models import Site
from django.db import transaction
from django.utils.translation import gettext as _
from oscar.apps.order.signals import order_status_changed
from oscar.core.loading import get_class, get_model

from django_paiementpro.conf import conf
from django_paiementpro.contrib.oscar.orders import (
    VOID,
    allocate_stock_again,
    change_status,
    give_stock_back,
    is_waiting,
    order_url,
    paid_by_others,
    record_event,
    record_void,
    source_of,
)
from django_paiementpro.enums import PAID, PAYABLE
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.services import flag_payment
from django_paiementpro.services.orders import cancel_payable
from django_paiementpro.signals import payment_cancelled, payment_expired, payment_refunded, payment_succeeded

Order = get_model("order", "Order")
OrderDispatcher = get_class("order.utils", "OrderDispatcher")
Transaction = get_model("payment", "Transaction")

logger = logging.getLogger("oscar.checkout")


def connect() -> None:
    name = "paiementpro_oscar"
    payment_succeeded.connect(record_payment, dispatch_uid=f"{name}.record_payment")
    payment_succeeded.connect(send_confirmation, dispatch_uid=f"{name}.send_confirmation")
    payment_refunded.connect(record_refund, dispatch_uid=f"{name}.record_refund")
    payment_expired.connect(release_order, dispatch_uid=f"{name}.release_order")
    payment_cancelled.connect(release_order, dispatch_uid=f"{name}.release_order")
    order_status_changed.connect(cancel_payments, dispatch_uid=f"{name}.cancel_payments")


@contextmanager
def _locked_order(payment: Payment) -> Iterator[Any]:
    """Lock the order of a payment; None if it is for something else, or has been deleted."""
    with transaction.atomic():
        yield payment.is_for(Order) and Order.objects.select_for_update().filter(pk=payment.object_id).first()


def record_payment(payment: Payment, **kwargs: Any) -> None:
    """Debit the source, and move the order to its paid status."""
    with _locked_order(payment) as order:
        if not order:
            if payment.is_for(Order):
                flag_payment(payment, _("The order has been deleted."))
            return
        source = source_of(order, payment)
        if source.amount_debited:
            return
        if not source.amount_allocated:
            source.allocate(Decimal(payment.amount), payment.reference)
        source.debit(Decimal(payment.amount), payment.reference, payment.gateway_id)
        others = paid_by_others(order, payment)
        is_complete = _completes(payment, order, others)
        record_event(order, "Paid", payment.amount, payment.reference, order.lines.all() if is_complete else ())
        problem = _take_on(order, source) if is_complete else ""
        paid, total = others + payment.amount - payment.refunded_amount, order.total_incl_tax
        if paid < total:
            problem = _("Order %(number)s is paid in part: %(paid)s of %(total)s.")
        elif others and paid > total:
            problem = problem or _("Order %(number)s has been paid already.")
        if problem:
            amounts = {"paid": int(paid), "total": int(total)}
            flag_payment(payment, problem % {"number": order.number, "status": order.status, **amounts})


def _completes(payment: Payment, order: Any, others: Decimal) -> bool:
    """Return whether the order is paid by this payment, together with others that did not suffice."""
    return bool(others < order.total_incl_tax <= others + payment.amount - payment.refunded_amount)


def _take_on(order: Any, source: Any) -> str:
    """Move a paid order to its next status. Return why that is impossible, or an empty string."""
    paid = conf.oscar_paid_status
    cancel_payable(order, _("Another payment replaces it."))
    if order.status != conf.oscar_cancelled_status:
        return "" if change_status(order, paid) else _("Order %(number)s was “%(status)s” when it was paid.")
    # Cancelled by staff, or for good: staff decide.
    if paid not in order.available_statuses() or not source.transactions.filter(txn_type=VOID).exists():
        return _("Order %(number)s is cancelled, but has been paid.")
    if not allocate_stock_again(order):
        return _("Order %(number)s has been paid, but its goods are gone.")
    change_status(order, paid)
    return ""


def send_confirmation(payment: Payment, **kwargs: Any) -> None:
    """Mail the customer oscar's confirmation. A receiver of its own, so that it is retried if the mail fails."""
    order = payment.is_for(Order) and Order.objects.filter(pk=payment.object_id).first()
    if not order or not order.email or order.status == conf.oscar_cancelled_status:
        return
    if not _completes(payment, order, paid_by_others(order, payment)):
        return
    path = order_url(order)
    context = {
        "user": order.user,
        "order": order,
        "lines": order.lines.all(),
        "status_path": path,
        "status_url": f"http://{Site.objects.get_current().domain}{path}",  # oscar's templates look for it
    }
    OrderDispatcher(logger=logger).send_order_placed_email_for_user(order, context)


def record_refund(payment: Payment, event: PaymentEvent, **kwargs: Any) -> None:
    """Record each refund in the source."""
    refund = event.refunds.get()
    reference = f"{payment.reference}/{refund.pk}"
    with _locked_order(payment) as order:
        if not order:
            return
        source = source_of(order, payment)
        if source.transactions.filter(txn_type=Transaction.REFUND, reference=reference).exists():
            return
        source.refund(Decimal(refund.amount), reference, refund.kind)
        record_event(order, "Refunded", refund.amount, reference)


def release_order(payment: Payment, **kwargs: Any) -> None:
    """Cancel an order that was not paid, and release its stock, unless another payment has paid it or still may."""
    with _locked_order(payment) as order:
        if not order or Payment.objects.for_object(order).filter(status__in=[*PAID, *PAYABLE]).exists():
            return
        if is_waiting(order) and change_status(order, conf.oscar_cancelled_status):
            source = source_of(order, payment)
            source.amount_allocated -= payment.amount
            source.save()
            record_void(source, payment)
        if order.status == conf.oscar_cancelled_status:
            give_stock_back(order)


def cancel_payments(order: Any, new_status: str, **kwargs: Any) -> None:
    """Cancel the payments of an order that is cancelled, so that it can no longer be paid."""
    if new_status == conf.oscar_cancelled_status:
        cancel_payable(order, _("The order was cancelled."))
