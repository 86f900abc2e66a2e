"""The payments of oscar's orders, each of which belongs to a ``Source``: an order may be paid in parts."""

from decimal import Decimal
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db.models import Sum
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from oscar.core.loading import get_model
from oscarapicheckout import settings

from django_paiementpro.contrib.oscar.orders import our_sources
from django_paiementpro.models import Payment, PaymentQuerySet
from django_paiementpro.services.orders import cancel_payments

Source = get_model("payment", "Source")


def payments_of(sources: Any) -> PaymentQuerySet:
    keys = [str(pk) for pk in sources.values_list("pk", flat=True)]
    kind = ContentType.objects.get_for_model(Source)
    return Payment.objects.get_queryset().filter(content_type=kind, object_id__in=keys)


def cancel_open_payments(sources: Any) -> None:
    """Cancel what can still be paid. A payment whose money arrives at this moment is recorded instead."""
    cancel_payments(payments_of(sources).payable(), _("The order no longer needs this payment."))


def paid_amount(order: Any) -> Decimal:
    """Return how much has been paid for the order: what oscarapicheckout calculates, less our refunds."""
    calculator: Any = settings.ORDER_AUTHORIZED_AMOUNT_CALCULATOR
    amount: Decimal = (calculator if callable(calculator) else import_string(calculator))(order)
    refunded: Decimal | None = our_sources(order).aggregate(sum=Sum("amount_refunded"))["sum"]
    return amount - (refunded or 0)
