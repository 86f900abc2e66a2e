from django.apps import AppConfig
from django.core import checks
from django.utils.translation import gettext_lazy as _

from django_paiementpro.checks import check_deployment, check_installation


class PaiementProConfig(AppConfig):
    name = "django_paiementpro"
    label = "paiementpro"
    verbose_name = _("Paiement Pro")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        checks.register(check_installation, "paiementpro")
        checks.register(check_deployment, "paiementpro", deploy=True)
