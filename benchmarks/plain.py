"""The contender: a simple admin with the same columns, filters and search."""

from django.contrib import admin

from django_paiementpro.admin import PaymentAdmin as OurPaymentAdmin
from django_paiementpro.models import Payment, PaymentEvent

site = admin.AdminSite(name="plain")


class PaymentEventInline(admin.TabularInline):
    model = PaymentEvent
    extra = 0


@admin.register(Payment, site=site)
class PaymentAdmin(admin.ModelAdmin):
    # Django's own templates: this app has others for the same model.
    change_list_template = "admin/change_list.html"
    change_form_template = "admin/change_form.html"
    list_display = (
        *("reference", "order", "amount_display", "status", "gateway_channel", "customer", "created_at"),
        "settled_at",
    )
    list_filter = ("status", "needs_review", "settled_by", "merchant_id", "gateway_channel")
    list_select_related = ("content_type",)
    list_per_page = OurPaymentAdmin.list_per_page
    date_hierarchy = "created_at"
    search_fields = (
        *("reference", "gateway_id", "customer_email", "customer_phone", "customer_first_name"),
        *("customer_last_name", "object_id"),
    )
    inlines = (PaymentEventInline,)

    def order(self, payment: Payment) -> str:
        return f"{payment.content_type} {payment.object_id}"

    def customer(self, payment: Payment) -> str:
        return f"{payment.customer_first_name} {payment.customer_last_name}"
