from collections.abc import Mapping
from importlib import import_module
from threading import Event

from django.conf import settings
from django.core import checks
from django.utils.translation import gettext_lazy as _

from django_paiementpro import extensions  # Django takes the only configuration that it finds in this module
from django_paiementpro.checks import check_database, check_deployment, check_installation


class PaiementProConfig(extensions.ExtensionConfig):
    name = "django_paiementpro"
    label = "paiementpro"
    verbose_name = _("Paiement Pro")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        checks.register(check_installation, "paiementpro")
        checks.register(check_deployment, "paiementpro", deploy=True)
        checks.register(check_database, checks.Tags.database)
        if _has_alerts():
            import_module("django_paiementpro.alerts.watch").watch_requests()

    def reconcile(self, stop: Event) -> Mapping[str, int]:
        """Mail the alerts; last, since the mail server may be slow."""
        return {"alerts": import_module("django_paiementpro.alerts.sending").send_alerts()} if _has_alerts() else {}


def _has_alerts() -> bool:
    """Return whether alerts are mailed. What mails them is imported only then."""
    return bool(getattr(settings, "PAIEMENTPRO_ALERT_EMAILS", None))
