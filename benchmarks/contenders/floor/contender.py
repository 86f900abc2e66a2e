"""The views written by hand that promise less than this app."""

import secrets
from typing import TypeVar

from django.dispatch import receiver

from benchmarks.contenders.contender import Contender, heard
from benchmarks.contenders.floor.models import BasePayment, Notice, Payment
from benchmarks.contenders.floor.views import paid
from benchmarks.contenders.wire import AMOUNT, MERCHANT, Request, notification

P = TypeVar("P", bound=BasePayment)


class Floor(Contender):
    name = "floor"
    models = [Notice, Payment]

    def notifications(self, number: int) -> list[Request]:
        return [notification(f"/{self.name}/", payment.reference) for payment in make_pending_payments(Payment, number)]

    def forged(self) -> Request:
        return notification(f"/{self.name}/", secrets.token_hex(12))

    def count_paid(self) -> int:
        return Payment.objects.filter(status="succeeded").count()


class Least(Floor):
    name = "least"


@receiver(paid)
def hear(by: str, **kwargs: object) -> None:
    heard[by] += 1


def make_pending_payments(model: type[P], number: int) -> list[P]:
    return model._default_manager.bulk_create(
        model(
            reference=secrets.token_hex(12),
            merchant_id=MERCHANT,
            amount=AMOUNT,
            description=f"Order {index}",
            customer_email=f"payer{index}@example.com",
            customer_name="Awa Koné",
            customer_phone="0707123456",
        )
        for index in range(number)
    )
