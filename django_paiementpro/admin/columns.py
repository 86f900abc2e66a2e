"""Columns of the list, the payment's page and the inline."""

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from django_paiementpro.admin import wording
from django_paiementpro.enums import Status
from django_paiementpro.models import Finding, Payment


class ReadOnlyMixin:
    """Payments say what the gateway said: they cannot be added, edited or deleted."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ColumnsMixin:
    """Columns that need no query of their own; ``findings`` should be prefetched."""

    admin_site: admin.AdminSite

    @admin.display(description=_("amount"))
    def amount_display(self, payment: Payment) -> str:
        """Return the amount, and how much of it was refunded."""
        if not payment.refunded_amount:
            return payment.amount_display
        return format_html(
            '{}<br><span class="pp-quiet">{}</span>',
            payment.amount_display,
            _("%(amount)s refunded") % {"amount": payment.refunded_amount_display},
        )

    @admin.display(description=_("status"))
    def badge(self, payment: Payment) -> SafeString:
        """Return the status as a coloured badge, with the reasons for a review."""
        badge = status_badge(payment.status)
        if not payment.needs_review:
            return badge
        review = format_html('<span class="pp-badge pp-review">{}</span>', _("To review"))
        return format_html(
            '{} {}<br><span class="pp-quiet">{}</span>', badge, review, wording.reasons_of(open_findings_of(payment))
        )

    @admin.display(description=pgettext_lazy("paid for", "order"))
    def order(self, payment: Payment) -> str:
        """Return the order's name, linked to its page in this admin if it has one. The order itself is not read."""
        if not payment.object_id or payment.content_type_id is None:
            return ""
        # Content types are cached.
        model = ContentType.objects.get_for_id(payment.content_type_id).model_class()
        if model is None:  # its app has been removed
            return payment.object_id
        name = f"{capfirst(model._meta.verbose_name)} {payment.object_id}"
        if not self.admin_site.is_registered(model):
            return name
        view = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
        url = reverse(view, args=[quote(payment.object_id)], current_app=self.admin_site.name)
        return format_html('<a href="{}">{}</a>', url, name)

    @admin.display(description=_("payment method"))
    def channel_display(self, payment: Payment) -> str:
        """Return the payment method that was used, or else the one requested."""
        return wording.channel_name(payment)

    @admin.display(description=_("created"), ordering="created_at")
    def created(self, payment: Payment) -> str:
        return wording.moment(payment.created_at)

    @admin.display(description=_("settled"), ordering="settled_at")
    def settled(self, payment: Payment) -> str:
        return wording.moment(payment.settled_at) if payment.settled_at else ""

    @admin.display(description=_("customer"))
    def customer(self, payment: Payment) -> SafeString:
        if not payment.has_customer:
            return format_html('<span class="pp-quiet">{}</span>', "–")
        name = f"{payment.customer_first_name} {payment.customer_last_name}"
        return format_html('{}<br><span class="pp-quiet">{}</span>', name, payment.customer_phone)


def open_findings_of(payment: Payment) -> list[Finding]:
    """Return the open findings of a payment, from its prefetched ``findings`` if there are any."""
    return [finding for finding in payment.findings.all() if finding.reviewed_at is None]


def status_badge(status: str) -> SafeString:
    return format_html('<span class="pp-badge pp-{}">{}</span>', status, Status(status).label)
