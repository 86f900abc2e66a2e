"""Receivers that take a moment, and fail one time in ten."""

import random
import time
from datetime import timedelta
from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from benchmarks.soaked.models import Call
from django_paiementpro.delivery import outbox
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.services import runs
from django_paiementpro.signals import payment_failed, payment_succeeded

#: What a process that dies leaves behind, to be taken up within the soak: the app's own lease is five minutes, and its
#: own runs count as being at work for two minutes after their last heartbeat.
outbox.LEASE = timedelta(seconds=15)
runs.HEARTBEAT = timedelta(seconds=2)
runs.STALE_AFTER = timedelta(seconds=10)

RECEIVERS = ("fulfil", "thank", "book")

FAILS = 0.1
SECONDS = 0.004


class DownError(Exception):
    """What the host would call is down."""


@receiver([payment_succeeded, payment_failed])
def fulfil(payment: Payment, event: PaymentEvent, **kwargs: Any) -> None:
    _call("fulfil", payment, event)


@receiver([payment_succeeded, payment_failed])
def thank(payment: Payment, event: PaymentEvent, **kwargs: Any) -> None:
    _call("thank", payment, event)


@receiver([payment_succeeded, payment_failed])
def book(payment: Payment, event: PaymentEvent, **kwargs: Any) -> None:
    _call("book", payment, event)


def _call(name: str, payment: Payment, event: PaymentEvent) -> None:
    call = Call.objects.create(
        reference=payment.reference, signal=event.signals[0], receiver=name, began_at=timezone.now()
    )
    time.sleep(random.uniform(0, SECONDS))
    has_failed = random.random() < FAILS
    Call.objects.filter(pk=call.pk).update(ended_at=timezone.now(), has_failed=has_failed)
    if has_failed:
        raise DownError
