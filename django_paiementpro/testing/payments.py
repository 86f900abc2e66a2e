from datetime import timedelta
from typing import Any

from django.test import override_settings
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.conf import conf
from django_paiementpro.enums import Status
from django_paiementpro.models import Payment
from django_paiementpro.testing.signals import deliver_signals

#: The values of an ordinary payment.
ORDINARY = {
    "amount": 12500,
    "description": "Order 1",
    "customer_email": "awa@example.com",
    "customer_first_name": "Awa",
    "customer_last_name": "Koné",
    "customer_phone": "07 07 12 34 56",
}


def make_payment(**values: Any) -> Payment:
    """
    Store a valid payment of 12,500 francs.

    The values override its fields: ``make_payment(content_object=order, amount=order.total)``. Its status is
    ``created``, as before the first checkout; with ``status="pending", attempt=1`` its page has been opened. Values are
    not validated.
    """
    return Payment.objects.create(**{**ORDINARY, **values})


def expire(payment: Payment) -> Payment:
    """
    Expire a pending payment, as ``paiementpro_reconcile`` does if it is not paid in time. Return it, refreshed.

    Its page is made older than ``PAIEMENTPRO_EXPIRES_AFTER``, and a reconciliation runs without calling the gateway.
    ``payment_expired`` is sent; a later ``pay`` is a late success. Raises ``AssertionError`` if the payment is not
    pending.
    """
    opened_at = timezone.now() - conf.expires_after - timedelta(seconds=1)
    Payment.objects.filter(pk=payment.pk).update(initialized_at=opened_at)
    with override_settings(PAIEMENTPRO_STATUS_URL=None), deliver_signals():
        services.reconcile()
    payment.refresh_from_db()
    if payment.status != Status.EXPIRED:
        raise AssertionError(f"the payment is {payment.status}, not expired: only pending payments expire here")
    return payment
