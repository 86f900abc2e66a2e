from datetime import timedelta

from django.apps import AppConfig
from django.utils.module_loading import import_string

from django_paiementpro import outbox
from django_paiementpro.signals import SIGNALS

#: What a process that dies leaves behind, to be taken up within the soak: the app's own lease is five minutes.
LEASE = timedelta(seconds=15)

RECEIVERS = ("fulfil", "thank", "book")


class SoakedConfig(AppConfig):
    name = "benchmarks.soaked"

    def ready(self) -> None:
        outbox.LEASE = LEASE
        for signal in ("payment_succeeded", "payment_failed"):
            for name in RECEIVERS:
                SIGNALS[signal].connect(import_string(f"benchmarks.soaked.receivers.{name}"))
