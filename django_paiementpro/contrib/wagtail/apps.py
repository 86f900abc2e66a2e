from django.apps import AppConfig


class PaiementProWagtailConfig(AppConfig):
    """Shows payments in Wagtail's admin. Wagtail imports ``wagtail_hooks``."""

    name = "django_paiementpro.contrib.wagtail"
    label = "paiementpro_wagtail"
    verbose_name = "Paiement Pro: Wagtail"
