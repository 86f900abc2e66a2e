"""django-payments."""

import uuid

from django.dispatch import receiver
from payments import PaymentStatus
from payments.signals import status_changed

from benchmarks.contenders.contender import Contender, heard
from benchmarks.contenders.wire import AMOUNT, Request, notification
from benchmarks.contenders.with_payments.models import Payment


class DjangoPayments(Contender):
    name = "django-payments"
    models = [Payment]

    def notifications(self, number: int) -> list[Request]:
        payments = Payment.objects.bulk_create(
            Payment(
                variant="gateway",
                token=str(uuid.uuid4()),
                currency="XOF",
                total=AMOUNT,
                description=f"Order {index}",
                billing_first_name="Awa",
                billing_last_name="Koné",
                billing_email=f"payer{index}@example.com",
            )
            for index in range(number)
        )
        return [notification(payment.get_process_url(), payment.token) for payment in payments]

    def forged(self) -> Request:
        payment = Payment(token=str(uuid.uuid4()))
        return notification(payment.get_process_url(), payment.token)

    def count_paid(self) -> int:
        return Payment.objects.filter(status=PaymentStatus.CONFIRMED).count()


@receiver(status_changed)
def hear(instance: Payment, **kwargs: object) -> None:
    if instance.status == PaymentStatus.CONFIRMED:
        heard[DjangoPayments.name] += 1
