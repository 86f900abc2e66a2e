from importlib import import_module

from django.apps import AppConfig


class PaiementProOscarApiCheckoutConfig(AppConfig):
    """Records what becomes of the payments of ``methods.PaiementPro``."""

    name = "django_paiementpro.contrib.oscar_api_checkout"
    label = "paiementpro_oscar_api_checkout"
    verbose_name = "Paiement Pro: django-oscar-api-checkout"

    def ready(self) -> None:
        import_module("django_paiementpro.contrib.oscar_api_checkout.receivers").connect()
        import_module("django_paiementpro.contrib.oscar_api_checkout.checks").register()
