from django.apps import AppConfig
from django.core import checks

from django_paiementpro.contrib.getpaid.checks import check_validators
from django_paiementpro.signals import (
    payment_cancelled,
    payment_expired,
    payment_failed,
    payment_refunded,
    payment_succeeded,
)


class PaiementProGetpaidConfig(AppConfig):
    """Makes Paiement Pro a backend of django-getpaid."""

    name = "django_paiementpro.contrib.getpaid"
    label = "paiementpro_getpaid"
    verbose_name = "Paiement Pro: django-getpaid"

    def ready(self) -> None:
        # They need the models.
        from getpaid.registry import registry  # noqa: PLC0415

        from django_paiementpro.contrib.getpaid import processor, receivers  # noqa: PLC0415

        registry.register(processor.PaiementProProcessor)
        checks.register(check_validators)
        payment_succeeded.connect(receivers.book, dispatch_uid="paiementpro_getpaid.book")
        payment_refunded.connect(receivers.book, dispatch_uid="paiementpro_getpaid.book_refund")
        payment_failed.connect(receivers.fail, dispatch_uid="paiementpro_getpaid.fail")
        payment_expired.connect(receivers.fail, dispatch_uid="paiementpro_getpaid.fail_expired")
        payment_cancelled.connect(receivers.fail, dispatch_uid="paiementpro_getpaid.fail_cancelled")
