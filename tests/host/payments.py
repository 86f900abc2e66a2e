"""What a host makes of what a client of the REST API says."""

from collections.abc import Mapping
from typing import Any

from django.http import Http404, HttpRequest

from django_paiementpro.models import Payment
from tests.host.models import Order


def new_payment(request: HttpRequest, data: Mapping[str, Any]) -> Payment:
    """Return a payment of the order with this key, and of its customer."""
    try:
        order = Order.objects.get(pk=data["order"])
    except (Order.DoesNotExist, ValueError, OverflowError) as error:
        raise Http404 from error
    return Payment(
        content_object=order,
        amount=order.total,
        description=f"Order {order.pk}",
        customer_email="awa@example.com",
        customer_first_name="Awa",
        customer_last_name="Koné",
        customer_phone="07 07 12 34 56",
    )
