"""Receivers that issue receipts, each payment's and each refund's once, however often they are called."""

from typing import Any

from django_paiementpro.db.connections import database
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.receipts import outgoing
from django_paiementpro.receipts.issuing import issue_owed
from django_paiementpro.signals import payment_refunded, payment_succeeded


def connect() -> None:
    payment_succeeded.connect(issue_for_payment, dispatch_uid="paiementpro_receipts.payment_succeeded")
    payment_refunded.connect(issue_for_refund, dispatch_uid="paiementpro_receipts.payment_refunded")


def issue_for_payment(payment: Payment, **kwargs: Any) -> None:
    for receipt in issue_owed(payment):
        outgoing.start(receipt)


def issue_for_refund(payment: Payment, event: PaymentEvent, **kwargs: Any) -> None:
    for receipt in issue_owed(payment, event.refunds.using(database()).order_by("pk")):
        outgoing.start(receipt)
