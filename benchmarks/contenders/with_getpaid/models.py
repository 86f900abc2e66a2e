"""What a host of django-getpaid writes. There is no signal, so the host has to detect payments itself."""

from decimal import Decimal
from typing import Any

from django.db import models, transaction
from django.dispatch import Signal
from getpaid.abstracts import AbstractOrder, AbstractPayment
from getpaid_core.enums import PaymentStatus

paid = Signal()


class Order(AbstractOrder):
    total = models.DecimalField(decimal_places=2, max_digits=20)
    currency = models.CharField(max_length=3, default="XOF")

    def __str__(self) -> str:
        return f"Order {self.pk}"

    def get_absolute_url(self) -> str:
        return "/"

    def get_total_amount(self) -> Decimal:
        return self.total

    def get_description(self) -> str:
        return str(self)


class Payment(AbstractPayment):
    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> "Payment":
        payment = super().from_db(*args, **kwargs)
        payment.was_paid = payment.status == PaymentStatus.PAID
        return payment

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        if self.status == PaymentStatus.PAID and not self.was_paid:
            transaction.on_commit(lambda: paid.send(Payment, payment=self))
