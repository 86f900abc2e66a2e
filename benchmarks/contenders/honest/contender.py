"""The view written by hand that makes the same promises as this app."""

import secrets

from django.dispatch import receiver

from benchmarks.contenders.contender import Contender, heard
from benchmarks.contenders.floor.contender import make_pending_payments
from benchmarks.contenders.honest.models import Event, Payment
from benchmarks.contenders.honest.outbox import payment_succeeded
from benchmarks.contenders.honest.views import signer
from benchmarks.contenders.wire import Request, notification


class HonestFloor(Contender):
    name = "honest floor"
    models = [Event, Payment]

    def notifications(self, number: int) -> list[Request]:
        payments = make_pending_payments(Payment, number)
        return [notification(f"/honest/{signer.sign(payment.reference)}/", payment.reference) for payment in payments]

    def forged(self) -> Request:
        reference = secrets.token_hex(12)
        return notification(f"/honest/{signer.sign(reference)[:-3]}AAA/", reference)

    def count_paid(self) -> int:
        return Payment.objects.filter(status="succeeded").count()


@receiver(payment_succeeded)
def hear(payment: Payment, **kwargs: object) -> None:
    heard[HonestFloor.name] += 1
