from django.apps import AppConfig

from django_paiementpro.signals import (
    payment_cancelled,
    payment_expired,
    payment_failed,
    payment_refunded,
    payment_succeeded,
)


class PaiementProPaymentsConfig(AppConfig):
    """Makes Paiement Pro a provider of django-payments."""

    name = "django_paiementpro.contrib.payments"
    label = "paiementpro_payments"
    verbose_name = "Paiement Pro: django-payments"

    def ready(self) -> None:
        from django_paiementpro.contrib.payments import receivers  # noqa: PLC0415  it needs the models

        payment_succeeded.connect(receivers.book, dispatch_uid="paiementpro_payments.book")
        payment_refunded.connect(receivers.book, dispatch_uid="paiementpro_payments.book_refund")
        payment_failed.connect(receivers.reject, dispatch_uid="paiementpro_payments.reject")
        payment_expired.connect(receivers.reject, dispatch_uid="paiementpro_payments.reject_expired")
        payment_cancelled.connect(receivers.cancel, dispatch_uid="paiementpro_payments.cancel")
