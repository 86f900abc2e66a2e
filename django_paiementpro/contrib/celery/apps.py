from django.apps import AppConfig


class PaiementProCeleryConfig(AppConfig):
    """Delivers signals with Celery if ``PAIEMENTPRO_DELIVERY`` is ``"task"``."""

    name = "django_paiementpro.contrib.celery"
    label = "paiementpro_celery"
    verbose_name = "Paiement Pro: Celery"
