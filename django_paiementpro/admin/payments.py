from typing import TYPE_CHECKING

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from django_paiementpro.enums import Channel, Reason
from django_paiementpro.models import Payment, PaymentEvent

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Payment]
    TabularInline = admin.TabularInline[PaymentEvent, Payment]
else:
    ModelAdmin = admin.ModelAdmin
    TabularInline = admin.TabularInline


class ReadOnlyMixin:
    """What the gateway has said is nobody's to edit."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class PaymentEventInline(ReadOnlyMixin, TabularInline):
    model = PaymentEvent
    fields = readonly_fields = (
        "created_at",
        "kind",
        "outcome",
        "reason",
        "message",
        "fields_received",
        "remote_address",
    )
    extra = 0

    @admin.display(description=_("data"))
    def fields_received(self, event: PaymentEvent) -> str:
        """Show the data a field a line, where JSON on one line would push the page aside."""
        return format_html_join("", "<div style='overflow-wrap: anywhere'>{}: {}</div>", sorted(event.data.items()))


@admin.register(Payment)
class PaymentAdmin(ReadOnlyMixin, ModelAdmin):
    list_display = ("reference", "amount_display", "status", "review", "means", "customer_email", "created_at")
    list_filter = ("status", "needs_review", "settled_by", "channel")
    search_fields = ("reference", "gateway_id", "customer_email", "customer_phone", "customer_last_name", "object_id")
    show_full_result_count = False
    # Its page is the checkout: a curious click of the staff would ask the gateway for a page.
    view_on_site = False
    inlines = (PaymentEventInline,)
    fields = readonly_fields = (
        *("reference", "status", "amount_display", "description", "order"),
        *("review", "settled_by", "created_at", "initialized_at", "settled_at"),
        *("customer_first_name", "customer_last_name", "customer_email", "customer_phone", "user"),
        *("merchant_id", "channel", "attempt", "gateway_id", "gateway_channel", "transaction_date"),
        *("response_code", "response_message", "return_context"),
    )

    @admin.display(description=pgettext_lazy("paid for", "order"))
    def order(self, payment: Payment) -> object:
        return payment.content_object

    @admin.display(description=_("to review"), ordering="-needs_review")
    def review(self, payment: Payment) -> str:
        """Say why, in words; what was found comes behind the colon."""
        if not payment.needs_review:
            return ""
        lines = []
        for line in payment.review_reason.splitlines():
            code, _colon, detail = line.partition(": ")
            lines.append(f"{Reason(code).label}: {detail}" if code in Reason.values else line)
        return "; ".join(lines)

    @admin.display(description=_("means of payment"), ordering="gateway_channel")
    def means(self, payment: Payment) -> str:
        """Show what was used, or else what was asked for."""
        channel = payment.gateway_channel or payment.channel
        return str(dict(Channel.choices).get(channel, channel))
