from importlib import import_module
from importlib.util import find_spec

from django.apps import AppConfig
from django.core import checks

from django_paiementpro.monitoring.checks import check_health_token


class MonitoringConfig(AppConfig):
    """Serves the health view, and exports metrics if OpenTelemetry is installed."""

    name = "django_paiementpro.monitoring"
    label = "paiementpro_monitoring"
    verbose_name = "Paiement Pro: monitoring"

    def ready(self) -> None:
        checks.register(check_health_token, "paiementpro_monitoring")
        if _is_installed("opentelemetry.metrics"):
            import_module("django_paiementpro.monitoring.opentelemetry").register()


def _is_installed(module: str) -> bool:
    """Return whether a module can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        # Its package is missing.
        return False
