"""
Record in oscar's terms what becomes of a payment, and authorize the order once all of it has been paid.

Each receiver locks the order, checks whether the fact is recorded, and records it. Money is always recorded. If
the order can no longer be fulfilled, the payment is flagged, for staff to decide.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import Sum
from django.http import HttpRequest
from django.utils.translation import gettext as _
from oscar.apps.order.signals import order_status_changed
from oscar.core.loading import get_model
from oscarapicheckout.settings import ORDER_STATUS_AUTHORIZED, ORDER_STATUS_CANCELED, ORDER_STATUS_PENDING
from oscarapicheckout.signals import order_payment_authorized, order_placed
from oscarapicheckout.states import PENDING
from oscarapicheckout.utils import CHECKOUT_PAYMENT_STEPS, list_payment_method_states, mark_payment_method_completed

from django_paiementpro.contrib.oscar.orders import (
    VOID,
    allocate_stock_again,
    change_status,
    give_stock_back,
    our_sources,
    record_void,
)
from django_paiementpro.contrib.oscar_api_checkout.methods import PaiementPro
from django_paiementpro.contrib.oscar_api_checkout.orders import cancel_open_payments, paid_amount, payments_of
from django_paiementpro.enums import PAID, PAYABLE
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.services import flag_payment
from django_paiementpro.signals import payment_cancelled, payment_expired, payment_refunded, payment_succeeded

Order = get_model("order", "Order")
Source = get_model("payment", "Source")
Transaction = get_model("payment", "Transaction")


def connect() -> None:
    name = "paiementpro_oscar_api_checkout"
    payment_succeeded.connect(record_payment, dispatch_uid=f"{name}.record_payment")
    payment_refunded.connect(record_refund, dispatch_uid=f"{name}.record_refund")
    payment_expired.connect(release_order, dispatch_uid=f"{name}.release_order")
    payment_cancelled.connect(release_order, dispatch_uid=f"{name}.release_order")
    order_payment_authorized.connect(cancel_payments, dispatch_uid=f"{name}.cancel_payments")
    order_placed.connect(forget_ended_payments, dispatch_uid=f"{name}.forget_ended_payments")
    order_status_changed.connect(cancel_payments_of_cancelled, dispatch_uid=f"{name}.cancel_payments_of_cancelled")


@contextmanager
def _locked_source(payment: Payment) -> Iterator[Any]:
    """Lock the order of a payment, and return its source; None if it is for something else, or has been deleted."""
    with transaction.atomic():
        sources = Source.objects.filter(pk=payment.object_id if payment.is_for(Source) else None)
        order = Order.objects.select_for_update().filter(sources__in=sources).first()
        source = sources.first() if order else None
        if source:
            source.order = order
        yield source


def record_payment(payment: Payment, **kwargs: Any) -> None:
    """Allocate and debit the source, and authorize the order if nothing of it is left to pay."""
    with _locked_source(payment) as source:
        if source is None:
            if payment.is_for(Source):
                flag_payment(payment, _("The order has been deleted."))
            return
        if source.transactions.filter(txn_type=Transaction.DEBIT, reference=payment.reference).exists():
            return
        amount = Decimal(payment.amount)
        source.allocate(amount, payment.reference)
        source.debit(amount, payment.reference, payment.gateway_id)
        PaiementPro().make_debit_event(source.order, amount, payment.reference)
        if problem := _take_on(source.order, source):
            _flag(payment, problem, source.order)


def _flag(payment: Payment, problem: str, order: Any) -> None:
    amounts = {"paid": int(paid_amount(order)), "total": int(order.total_incl_tax)}
    flag_payment(payment, problem % {"number": order.number, "status": order.status, **amounts})


def _take_on(order: Any, source: Any) -> str:
    """Authorize the order if it is paid. Return what staff have to look at, or an empty string."""
    left = order.total_incl_tax - paid_amount(order)
    is_possible = ORDER_STATUS_AUTHORIZED in order.available_statuses()
    if order.status == ORDER_STATUS_CANCELED:
        is_ours = Transaction.objects.filter(source__order=order, txn_type=VOID).exists()
        if left > 0 or not is_possible or not is_ours:
            return _("Order %(number)s is cancelled, but has been paid.")
        if not allocate_stock_again(order):
            return _("Order %(number)s has been paid, but its goods are gone.")
    elif left > 0:
        return _check_rest(order, left)
    elif order.status == ORDER_STATUS_AUTHORIZED:
        return _("Order %(number)s has been paid already.")
    elif not is_possible:
        return _("Order %(number)s was “%(status)s” when it was paid.")
    _authorize(order, source)
    return ""


def _check_rest(order: Any, left: Decimal) -> str:
    """Cancel the open payments if they exceed what is left: the order has changed since this one."""
    open_payments = payments_of(our_sources(order)).payable()
    if (open_payments.aggregate(sum=Sum("amount"))["sum"] or 0) <= left:
        return ""
    cancel_open_payments(our_sources(order))
    return _("Order %(number)s is paid in part: %(paid)s of %(total)s.")


def _authorize(order: Any, source: Any) -> None:
    """Authorize the order. oscarapicheckout does that through a session, which a notification does not have."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore()  # never saved
    request.user = order.user or AnonymousUser()
    mark_payment_method_completed(order, request, source.label, order.total_incl_tax, source_id=source.pk)


def record_refund(payment: Payment, event: PaymentEvent, **kwargs: Any) -> None:
    """Record each refund in the source."""
    refund = event.refunds.get()
    reference = f"{payment.reference}/{refund.pk}"
    with _locked_source(payment) as source:
        if source is None or source.transactions.filter(txn_type=Transaction.REFUND, reference=reference).exists():
            return
        source.refund(Decimal(refund.amount), reference, refund.kind)
        PaiementPro().make_refund_event(source.order, Decimal(refund.amount), reference)


def release_order(payment: Payment, **kwargs: Any) -> None:
    """Cancel an order of which nothing was paid, and release its stock, unless a part of it may still be paid."""
    with _locked_source(payment) as source:
        if source is None:
            return
        order = source.order
        payments = payments_of(our_sources(order))
        if payments.payable().exists():
            return
        is_waiting = order.status == ORDER_STATUS_PENDING
        if payments.filter(status__in=PAID).exists():
            if is_waiting:
                _flag(payment, _("Order %(number)s is paid in part: %(paid)s of %(total)s."), order)
            return
        if is_waiting and change_status(order, ORDER_STATUS_CANCELED):
            record_void(source, payment)
        if order.status == ORDER_STATUS_CANCELED:
            give_stock_back(order)


def cancel_payments(order: Any, **kwargs: Any) -> None:
    """Cancel the open payments of an order that is paid by others."""
    cancel_open_payments(our_sources(order))


def cancel_payments_of_cancelled(order: Any, new_status: str, **kwargs: Any) -> None:
    """Cancel the payments of an order that is cancelled, so that it can no longer be paid."""
    if new_status == ORDER_STATUS_CANCELED:
        cancel_open_payments(our_sources(order))


def forget_ended_payments(order: Any, request: Any, **kwargs: Any) -> None:
    """
    Take our payments that have ended out of the customer's session, before the order is paid.

    When a declined order is checked out again for the same amount, oscarapicheckout would hand out their links again.
    """
    ended = payments_of(our_sources(order)).exclude(status__in=PAYABLE)
    paths = tuple(payment.get_checkout_url() for payment in ended)
    steps = request.session.get(CHECKOUT_PAYMENT_STEPS, {})
    for key, state in list_payment_method_states(request).items():
        action = state.get_required_action() if state.status == PENDING else None
        if action and str(action.get("url", "")).endswith(paths):
            del steps[key]
            request.session.modified = True
