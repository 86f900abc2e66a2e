"""This app."""

from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from benchmarks.contenders.contender import Contender, heard
from benchmarks.contenders.wire import AMOUNT, Request, notification
from django_paiementpro.models import Payment, PaymentEvent, SearchKey
from django_paiementpro.signals import payment_succeeded


class Ours(Contender):
    name = "ours"
    models = [SearchKey, PaymentEvent, Payment]

    def notifications(self, number: int) -> list[Request]:
        payments = make_payments(
            number,
            status="pending",
            attempt=1,
            opened_attempt=1,
            initialized_at=timezone.now(),
            payment_url="https://www.paiementpro.net/webservice/onlinepayment/processing_v2.php?sessionid=a1b2c3",
        )
        return [notification(payment.get_notification_url(), payment.reference) for payment in payments]

    def forged(self) -> Request:
        payment = Payment()
        signed = payment.get_notification_url()
        return notification(f"{signed[:-4]}AAA/", payment.reference)

    def count_paid(self) -> int:
        return Payment.objects.filter(status="succeeded").count()


@receiver(payment_succeeded)
def hear(payment: Payment, **kwargs: object) -> None:
    heard[Ours.name] += 1


def make_payments(number: int, **others: Any) -> list[Payment]:
    """Store this number of payments by one customer."""
    return Payment.objects.bulk_create(
        Payment(
            amount=AMOUNT,
            description=f"Order {index}",
            customer_email="payer@example.com",
            customer_first_name="Awa",
            customer_last_name="Koné",
            customer_phone="0707123456",
            **others,
        )
        for index in range(number)
    )
