"""Receivers that record their start, end and process."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.dispatch import receiver
from django.utils import timezone

from django_paiementpro.models import Payment
from django_paiementpro.signals import payment_succeeded
from tests.host.models import ReceiverCall

WORK_SECONDS = 0.05


@contextmanager
def written_down(name: str, payment: Payment) -> Iterator[None]:
    call = ReceiverCall.objects.create(
        receiver=name, reference=payment.reference, process=os.getpid(), started_at=timezone.now()
    )
    yield
    ReceiverCall.objects.filter(pk=call.pk).update(ended_at=timezone.now())


@receiver(payment_succeeded)
def quick(payment: Payment, **kwargs: Any) -> None:
    with written_down("quick", payment):
        pass


@receiver(payment_succeeded)
def slow(payment: Payment, **kwargs: Any) -> None:
    with written_down("slow", payment):
        time.sleep(WORK_SECONDS)
        while Path(settings.HOLD).exists():
            time.sleep(0.01)
