from django.apps import AppConfig
from django.core import checks
from django.utils.translation import gettext_lazy as _

from django_paiementpro.sandbox.checks import check_switch


class SandboxConfig(AppConfig):
    name = "django_paiementpro.sandbox"
    label = "paiementpro_sandbox"
    verbose_name = _("Paiement Pro sandbox")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        checks.register(check_switch, "paiementpro_sandbox")
