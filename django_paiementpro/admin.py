from typing import TYPE_CHECKING

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

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
    fields = readonly_fields = ("created_at", "kind", "outcome", "reason", "message", "data", "remote_address")
    extra = 0


@admin.register(Payment)
class PaymentAdmin(ReadOnlyMixin, ModelAdmin):
    list_display = ("reference", "amount_display", "status", "needs_review", "channel", "customer_email", "created_at")
    list_filter = ("status", "needs_review", "settled_by", "channel")
    search_fields = ("reference", "gateway_id", "customer_email", "customer_phone", "customer_last_name", "object_id")
    show_full_result_count = False
    inlines = (PaymentEventInline,)
    fields = readonly_fields = (
        *("reference", "status", "amount_display", "description", "content_object"),
        *("needs_review", "review_reason", "settled_by", "created_at", "initialized_at", "settled_at"),
        *("customer_first_name", "customer_last_name", "customer_email", "customer_phone", "user"),
        *("merchant_id", "channel", "attempt", "gateway_id", "gateway_channel", "transaction_date"),
        *("response_code", "response_message", "return_context"),
    )
