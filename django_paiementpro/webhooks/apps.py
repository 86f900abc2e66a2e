from collections.abc import Collection, Mapping
from threading import Event
from typing import TYPE_CHECKING

from django.core import checks
from django.utils.translation import gettext_lazy as _

from django_paiementpro import extensions  # Django takes the only configuration that it finds in this module
from django_paiementpro.delivery.after_response import watch_requests
from django_paiementpro.webhooks.checks import check_private_addresses

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_paiementpro.models import Payment


class WebhooksConfig(extensions.ExtensionConfig):
    """Tells other systems about payments."""

    name = "django_paiementpro.webhooks"
    label = "paiementpro_webhooks"
    verbose_name = _("Paiement Pro: webhooks")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        watch_requests()
        checks.register(check_private_addresses, "paiementpro_webhooks", deploy=True)
        from django_paiementpro.webhooks import receivers  # noqa: PLC0415  it needs the models

        receivers.connect()

    def reconcile(self, stop: Event) -> Mapping[str, int]:
        from django_paiementpro.webhooks import alerts, retention, sending  # noqa: PLC0415  they need the models

        numbers = sending.send_due(stop)
        alerts.report_endpoints()
        retention.prune(stop)
        return numbers

    def blank_personal_data(self, payments: Collection[int]) -> None:
        from django_paiementpro.webhooks import retention  # noqa: PLC0415  it needs the models

        retention.blank(payments)

    def admin_links(self, request: "HttpRequest", payment: "Payment") -> list[tuple[str, str]]:
        from django_paiementpro.webhooks import retention  # noqa: PLC0415  it needs the models

        return retention.links_of(request, payment)
