from importlib import import_module

from django.apps import AppConfig


def connect() -> None:
    """Connect the receivers and the checks, once the models are loaded."""
    import_module("django_paiementpro.contrib.oscar.receivers").connect()
    import_module("django_paiementpro.contrib.oscar.checks").register()


class PaiementProOscarConfig(AppConfig):
    """For shops with their own fork of oscar's checkout; others use ``checkout.apps.CheckoutConfig`` instead."""

    name = "django_paiementpro.contrib.oscar"
    label = "paiementpro_oscar"
    verbose_name = "Paiement Pro: django-oscar"

    def ready(self) -> None:
        connect()
