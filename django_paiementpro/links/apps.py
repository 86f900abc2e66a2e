from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from django.core import checks
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_paiementpro import extensions  # Django takes the only configuration that it finds in this module
from django_paiementpro.links.checks import check_links
from django_paiementpro.signals import payment_succeeded

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_paiementpro.models import Payment


class LinksConfig(extensions.ExtensionConfig):
    """Payment links, for shops that sell by chat."""

    name = "django_paiementpro.links"
    label = "paiementpro_links"
    verbose_name = _("Paiement Pro: payment links")
    default_auto_field = "django.db.models.BigAutoField"
    sells = True

    def ready(self) -> None:
        from django_paiementpro.links import receivers, services  # noqa: PLC0415  they need the models

        self._services = services
        payment_succeeded.connect(receivers.flag_late_money, dispatch_uid="paiementpro_links.flag_late_money")
        checks.register(check_links, "paiementpro_links")

    def blank_personal_data(self, payments: Collection[int]) -> None:
        self._services.blank_customers(payments)

    def erase_person(self, email: str, phone: str, *, dry_run: bool = False) -> Mapping[str, int]:
        count = self._services.erase_customer(email, phone, dry_run=dry_run)
        return {str(self.get_model("PaymentLink")._meta.verbose_name_plural): count}

    def result_context(self, payment: "Payment") -> Mapping[str, Any]:
        message = self._services.success_message_of(payment)
        return {"success_message": message} if message else {}

    def keeps_payer(self, payment: "Payment") -> bool:
        return self._services.is_paid_by_link(payment)

    def admin_links(self, request: "HttpRequest", payment: "Payment") -> list[tuple[str, str]]:
        if not payment.is_for(self.get_model("PaymentLink")):
            return []
        if not request.user.has_perm("paiementpro_links.view_paymentlink"):
            return []
        name, site = "admin:paiementpro_links_paymentlink_change", getattr(request, "current_app", None)
        try:
            url = reverse(name, args=[payment.object_id], current_app=site)
        except NoReverseMatch:  # an admin site of the host's own, without links
            return []
        return [(gettext("The payment link of this payment"), url)]
