"""What comes from the gateway, for the scenarios: a page that is opened, and a notification."""

from typing import Any

from django.test import Client

from django_paiementpro.models import Payment


def opened(payment: Payment) -> Payment:
    """Say that the payer is on the gateway's page."""
    Payment.objects.filter(pk=payment.pk).update(status="pending", attempt=1)
    payment.refresh_from_db()
    return payment


def notify(payment: Payment, **fields: Any) -> int:
    """Notify that a payment was paid, and return the status of the answer."""
    values = {
        "merchantId": payment.merchant_id,
        "referenceNumber": payment.gateway_reference,
        "amount": payment.amount,
        "payId": f"CI{payment.pk}",
        "responsecode": 0,
        **fields,
    }
    client = Client(enforce_csrf_checks=True)
    status: int = client.post(payment.get_notification_url(), values, secure=True).status_code
    return status


def pay(payment: Payment) -> None:
    assert notify(opened(payment)) == 200
    payment.refresh_from_db()
    assert payment.status == "succeeded"
