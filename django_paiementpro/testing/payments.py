from datetime import timedelta
from typing import Any

from django.test import override_settings
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.conf import conf
from django_paiementpro.enums import Status
from django_paiementpro.models import Payment
from django_paiementpro.testing.signals import deliver_signals


def make_payment(**values: Any) -> Payment:
    """
    Store a payment that the gateway would take: 12 500 francs, of a payer who does not exist.

    The values are those of ``Payment``'s fields: ``make_payment(content_object=order, amount=order.total)``. It is
    ``created``, as a payment is before its payer has been to the checkout; ``status="pending", attempt=1`` is one
    whose page has been opened. What the gateway would refuse is stored all the same.
    """
    return Payment.objects.create(
        **{
            "amount": 12500,
            "description": "Order 1",
            "customer_email": "awa@example.com",
            "customer_first_name": "Awa",
            "customer_last_name": "Koné",
            "customer_phone": "07 07 12 34 56",
            **values,
        }
    )


def expire(payment: Payment) -> Payment:
    """
    Let a pending payment expire, as ``paiementpro_reconcile`` does when nobody has paid in time; return it, read again.

    Its page is made older than ``PAIEMENTPRO_EXPIRES_AFTER``, and a reconciliation is run, which asks no gateway.
    ``payment_expired`` is sent; a ``pay`` that follows is a success that comes late. Raises ``AssertionError`` where
    the payment is not pending: no page of a ``created`` one has been opened, so that none can grow old.
    """
    opened_at = timezone.now() - conf.expires_after - timedelta(seconds=1)
    Payment.objects.filter(pk=payment.pk).update(initialized_at=opened_at)
    with override_settings(PAIEMENTPRO_STATUS_URL=None), deliver_signals():
        services.reconcile()
    payment.refresh_from_db()
    if payment.status != Status.EXPIRED:
        raise AssertionError(f"the payment is {payment.status}, not expired: only a pending one expires")
    return payment
