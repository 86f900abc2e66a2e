"""Columns of the list, the payment's page and the inline."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

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
from django_paiementpro.models import Finding, Payment, PaymentEvent, Refund

#: How many events the page shows, the newest ones.
MAX_EVENTS = 200


def date_column(name: str, description: Any) -> Callable[[Any, Any], str]:
    """Return a column with a moment or a day of an object, the day first; empty if it is None."""

    @admin.display(description=description, ordering=name)
    def column(_admin: Any, obj: Any) -> str:
        value = getattr(obj, name)
        if value is None:
            return ""
        return wording.moment(value) if isinstance(value, datetime) else wording.day(value)

    return column


class ReadOnlyMixin:
    """Payments record what the gateway reported: they cannot be added, edited or deleted."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ColumnsMixin:
    """Columns that run no queries; prefetch ``findings``."""

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
        name, model = order_name(payment), _order_model(payment)
        if model is None or not self.admin_site.is_registered(model):
            return name
        view = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
        url = reverse(view, args=[quote(str(payment.object_id))], current_app=self.admin_site.name)
        return format_html('<a href="{}">{}</a>', url, name)

    @admin.display(description=_("payment method"))
    def channel_display(self, payment: Payment) -> str:
        """Return the payment method that was used, or else the one requested."""
        return wording.channel_name(payment)

    created = date_column("created_at", _("created"))
    settled = date_column("settled_at", _("settled"))
    opened = date_column("initialized_at", _("page opened"))
    dated = date_column("transaction_date", _("date at the gateway"))
    blanked = date_column("blanked_at", _("personal data erased"))

    @admin.display(description=_("customer"))
    def customer(self, payment: Payment) -> SafeString:
        if not payment.has_customer:
            return format_html('<span class="pp-quiet">{}</span>', "–")
        name = f"{payment.customer_first_name} {payment.customer_last_name}"
        return format_html('{}<br><span class="pp-quiet">{}</span>', name, payment.customer_phone)


def order_name(payment: Payment) -> str:
    """Return what the payment is for: the kind of order and its key. The order itself is not read."""
    model = _order_model(payment)
    return f"{capfirst(model._meta.verbose_name)} {payment.object_id}" if model else payment.object_id or ""


def _order_model(payment: Payment) -> type[Model] | None:
    """Return the model of the order; None if there is no order, or if its app has been removed."""
    if not payment.object_id or payment.content_type_id is None:
        return None
    # Content types are cached.
    return ContentType.objects.get_for_id(payment.content_type_id).model_class()


def open_findings_of(payment: Payment) -> list[Finding]:
    """Return the open findings of a payment, from its prefetched ``findings`` if there are any."""
    return [finding for finding in payment.findings.all() if finding.reviewed_at is None]


def newest_events(payment: Payment) -> tuple[list[PaymentEvent], bool]:
    """Return the events that the page shows, oldest first, and whether there are more."""
    events = list(payment.events.order_by("-pk")[: MAX_EVENTS + 1])
    for event in events:
        event.payment = payment
    return events[:MAX_EVENTS][::-1], len(events) > MAX_EVENTS


def refunds_of(payment: Payment) -> list[Refund]:
    refunds = list(payment.refunds.select_related("user")) if payment.refunded_amount else []
    for refund in refunds:
        refund.payment = payment
    return refunds


def status_badge(status: str) -> SafeString:
    return format_html('<span class="pp-badge pp-{}">{}</span>', status, Status(status).label)
