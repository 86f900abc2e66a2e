"""Receivers that take a moment, and fail one time in ten."""

import random
import time
from typing import Any

from django.utils import timezone

from benchmarks.soaked.models import Call
from django_paiementpro.models import Payment, PaymentEvent

FAILS = 0.1
SECONDS = 0.004


class DownError(Exception):
    """What the host would call is down."""


def fulfil(payment: Payment, event: PaymentEvent, **kwargs: Any) -> None:
    _call("fulfil", payment, event)


def thank(payment: Payment, event: PaymentEvent, **kwargs: Any) -> None:
    _call("thank", payment, event)


def book(payment: Payment, event: PaymentEvent, **kwargs: Any) -> None:
    _call("book", payment, event)


def _call(receiver: str, payment: Payment, event: PaymentEvent) -> None:
    call = Call.objects.create(
        reference=payment.reference, signal=event.signals[0], receiver=receiver, began_at=timezone.now()
    )
    time.sleep(random.uniform(0, SECONDS))
    has_failed = random.random() < FAILS
    Call.objects.filter(pk=call.pk).update(ended_at=timezone.now(), has_failed=has_failed)
    if has_failed:
        raise DownError
