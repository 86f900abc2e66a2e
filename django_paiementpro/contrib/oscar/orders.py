"""Oscar's orders, their sources and their stock. The functions that write expect the order to be locked."""

from collections import Counter
from decimal import Decimal
from typing import Any

from django.db.models import Sum
from django.urls import reverse
from django.utils.translation import gettext as _
from oscar.apps.order.exceptions import InvalidOrderStatus
from oscar.core.loading import get_class, get_model

from django_paiementpro.conf import conf
from django_paiementpro.models import Payment

EventHandler = get_class("order.processing", "EventHandler")
Line = get_model("order", "Line")
Order = get_model("order", "Order")
PaymentEventType = get_model("order", "PaymentEventType")
Source = get_model("payment", "Source")
SourceType = get_model("payment", "SourceType")
StockRecord = get_model("partner", "StockRecord")

#: The source type of our sources, and the payment method by which a shop with several of them chooses us.
CODE = "paiementpro"
NAME = "Paiement Pro"

#: The kind of transaction that takes an allocation back: the order was cancelled because its payment came to an end.
VOID = "Void"


def order_url(order: Any) -> str:
    """Return the path of the order's page, which its customer can open in any browser."""
    if order.user_id:
        return reverse("customer:order", kwargs={"order_number": order.number})
    signed = {"order_number": order.number, "hash": order.verification_hash()}
    return reverse("customer:anon-order", kwargs=signed)


def find_order(signed: str) -> Any:
    """Return the order of a ``verification_hash()``, or None."""
    number = signed.rpartition(":")[0]
    # The signature first: PostgreSQL cannot look up every text that a URL may have.
    return Order.objects.filter(number=number).first() if Order(number=number).check_verification_hash(signed) else None


def payment_values(order: Any) -> dict[str, Any]:
    """Return the values of an order's payment, as ``open_payment`` takes them."""
    address = order.billing_address or order.shipping_address or order.user
    phone = getattr(order.shipping_address, "phone_number", "")
    return {
        "description": _("Order %(number)s") % {"number": order.number},
        "currency": order.currency,
        "user": order.user,
        "customer_email": order.email,
        "customer_first_name": getattr(address, "first_name", ""),
        "customer_last_name": getattr(address, "last_name", ""),
        "customer_phone": str(phone or ""),
    }


def source_type() -> Any:
    kind, _created = SourceType.objects.get_or_create(code=CODE, defaults={"name": NAME})
    return kind


def our_sources(order: Any) -> Any:
    return order.sources.filter(source_type__code=CODE)


def source_of(order: Any, payment: Payment) -> Any:
    """Return the source that stands for a payment, allocated when it is created."""
    if source := our_sources(order).filter(reference=payment.reference).first():
        return source
    source = Source(order=order, source_type=source_type(), currency=payment.currency, reference=payment.reference)
    source.allocate(Decimal(payment.amount), payment.reference)
    return source


def paid_by_others(order: Any, payment: Payment) -> Decimal:
    """Return what was paid for an order besides this payment, by whatever method, less what was refunded."""
    others = order.sources.exclude(source_type__code=CODE, reference=payment.reference)
    sums = others.aggregate(debited=Sum("amount_debited"), refunded=Sum("amount_refunded"))
    return (sums["debited"] or Decimal(0)) - (sums["refunded"] or Decimal(0))


def record_event(order: Any, name: str, amount: int, reference: str, lines: Any = ()) -> None:
    kind, _created = PaymentEventType.objects.get_or_create(name=name)
    # Oscar refuses to record a line twice, but an order can be paid again after a refund.
    lines = [line for line in lines if line.is_payment_event_permitted(kind, line.quantity)]
    quantities = [line.quantity for line in lines]
    EventHandler().handle_payment_event(order, kind, Decimal(amount), lines, quantities, reference=reference)


def record_void(source: Any, payment: Payment) -> None:
    """Record that the order was cancelled because its payment came to an end."""
    source.transactions.create(txn_type=VOID, amount=payment.amount, reference=payment.reference, status=payment.status)


def change_status(order: Any, status: str) -> bool:
    """Change the status of the order, if its pipeline leads there."""
    try:
        EventHandler().handle_order_status_change(order, status)
    except InvalidOrderStatus:
        return False
    return True


def is_waiting(order: Any) -> bool:
    """Return whether the order is still to be paid, according to its pipeline."""
    return order.status != conf.oscar_cancelled_status and conf.oscar_paid_status in order.available_statuses()


def give_stock_back(order: Any) -> None:
    lines = list(order.lines.filter(num_allocated__gt=0, stockrecord__isnull=False))
    if lines:
        EventHandler().cancel_stock_allocations(order, lines, [line.num_allocated for line in lines])


def allocate_stock_again(order: Any) -> bool:
    """Allocate the stock that was released: all of it or, if any of it is gone, nothing."""
    lines = list(order.lines.filter(allocation_cancelled=True))
    wanted: Counter[int] = Counter()
    for line in lines:
        wanted[line.stockrecord_id] += line.quantity
    # In the order of their keys, as oscar does when it places an order, so that two cannot block each other.
    records = StockRecord.objects.select_for_update().filter(pk__in=[pk for pk in wanted if pk]).order_by("pk")
    stock = {record.pk: record for record in records}
    if any(pk not in stock or stock[pk].net_stock_level < quantity for pk, quantity in wanted.items()):
        return False
    for pk, quantity in wanted.items():
        stock[pk].allocate(quantity)
    for line in lines:
        Line.objects.filter(pk=line.pk).update(num_allocated=line.quantity, allocation_cancelled=False)
    return True
