"""Receivers as a host may write them; they record their calls in the database."""

from typing import Any

from django.db.models import F

from django_paiementpro.models import Payment
from tests.host.models import Order


def count_call(payment: Payment, **kwargs: Any) -> None:
    """Count each call in the row named by the payment's return context."""
    Order.objects.filter(pk=payment.return_context["calls"]).update(times_paid=F("times_paid") + 1)


def fulfil(payment: Payment, **kwargs: Any) -> None:
    """Fulfil the order once; a second call changes nothing."""
    Order.objects.filter(pk=payment.object_id, times_paid=0).update(times_paid=1)
