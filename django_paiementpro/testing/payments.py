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
    Expire a payment, as ``paiementpro_reconcile`` does if it is not paid in time. Return it, refreshed.

    All that has happened to it is made older than ``PAIEMENTPRO_EXPIRES_AFTER``, and a reconciliation runs without
    calling the gateway. ``payment_expired`` is sent; a later ``pay`` is a late success. Raises ``AssertionError`` if
    the payment is neither created, pending nor failed.
    """
    before = timezone.now() - conf.expires_after - timedelta(seconds=1)
    payment.refresh_from_db()
    dates = {name: before for name in ("created_at", "initialized_at", "settled_at") if getattr(payment, name)}
    Payment.objects.filter(pk=payment.pk).update(**dates)
    payment.events.update(created_at=before)
    with override_settings(PAIEMENTPRO_STATUS_URL=None), deliver_signals():
        services.reconcile()
    payment.refresh_from_db()
    if payment.status != Status.EXPIRED:
        raise AssertionError(f"the payment is {payment.status}, not expired: paid and cancelled payments do not expire")
    return payment
