"""django-getpaid."""

import uuid

from django.dispatch import receiver
from django.urls import reverse
from getpaid_core.enums import PaymentStatus

from benchmarks.contenders.contender import Contender, heard
from benchmarks.contenders.wire import AMOUNT, Request, notification
from benchmarks.contenders.with_getpaid.models import Order, Payment, paid
from benchmarks.contenders.with_getpaid.processor import SIGNATURE, signature_of


class DjangoGetpaid(Contender):
    name = "django-getpaid"
    models = [Payment, Order]

    def notifications(self, number: int) -> list[Request]:
        orders = Order.objects.bulk_create(Order(total=AMOUNT) for _ in range(number))
        payments = Payment.objects.bulk_create(
            Payment(
                order=order,
                amount_required=AMOUNT,
                currency="XOF",
                backend="benchmarks.contenders.with_getpaid.processor",
                status=PaymentStatus.PREPARED,
                external_id=uuid.uuid4().hex,
                description=f"Order {order.pk}",
            )
            for order in orders
        )
        return [self._signed(payment) for payment in payments]

    def forged(self) -> Request:
        """Return a forged notification of an existing payment: getpaid looks it up first."""
        payment = Payment.objects.first() or Payment()
        return self._signed(payment).with_header(SIGNATURE, "0" * 64)

    def count_paid(self) -> int:
        return Payment.objects.filter(status=PaymentStatus.PAID).count()

    def _signed(self, payment: Payment) -> Request:
        request = notification(reverse("getpaid:callback", args=[payment.pk]), payment.external_id or "")
        return request.with_header(SIGNATURE, signature_of(request.body))


@receiver(paid)
def hear(**kwargs: object) -> None:
    heard[DjangoGetpaid.name] += 1
