from collections.abc import Collection, Mapping
from importlib import import_module
from threading import Event
from typing import TYPE_CHECKING, Any

from django.core import checks
from django.utils.translation import gettext_lazy as _

from django_paiementpro import extensions  # Django takes the only configuration that it finds in this module
from django_paiementpro.delivery.after_response import watch_requests
from django_paiementpro.receipts.checks import check_receipts

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_paiementpro.models import Payment


class ReceiptsConfig(extensions.ExtensionConfig):
    """Numbered receipts for payments and refunds."""

    name = "django_paiementpro.receipts"
    label = "paiementpro_receipts"
    verbose_name = _("Paiement Pro: receipts")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        checks.register(check_receipts, "paiementpro_receipts")
        watch_requests()
        import_module("django_paiementpro.receipts.receivers").connect()

    def reconcile(self, stop: Event) -> Mapping[str, int]:
        done: Mapping[str, int] = _part().reconcile(stop)
        return done

    def blank_personal_data(self, payments: Collection[int]) -> None:
        _part().blank_personal_data(payments)

    def result_context(self, payment: "Payment") -> Mapping[str, Any]:
        context: Mapping[str, Any] = _part().result_context(payment)
        return context

    def admin_links(self, request: "HttpRequest", payment: "Payment") -> list[tuple[str, str]]:
        links: list[tuple[str, str]] = _part().admin_links(request, payment)
        return links


def _part() -> Any:
    """Return the module that does it, which needs the models."""
    return import_module("django_paiementpro.receipts.extension")
