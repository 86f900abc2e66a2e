"""How an order is paid through the REST API."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from django_paiementpro.models import Payment
from shop.models import Order


def new_payment(request: HttpRequest, data: Mapping[str, Any]) -> Payment:
    """Return the payment of a buyer's own order: ``PAIEMENTPRO_PAYMENT_FACTORY``."""
    if not data["order"].isdecimal():
        raise Http404
    with transaction.atomic():
        order = get_object_or_404(Order.objects.of_buyer(request).select_for_update(), pk=data["order"])
        if not order.is_payable:
            raise ValidationError(_("This order can no longer be paid."))
        payment = order.open_payment(return_to=data["return_to"])
        if payment.needs_review:
            raise ValidationError(_("We are looking at your payment: do not pay again."))
        return payment
