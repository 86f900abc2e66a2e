from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_paiementpro.admin import PaymentInline
from shop.models import Order, Product
from shop.templatetags.shop import francs


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["name_fr", "price_in_francs", "stock"]
    prepopulated_fields = {"slug": ["name_fr"]}

    @admin.display(description=_("price"), ordering="price")
    def price_in_francs(self, product: Product) -> str:
        return francs(product.price)


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders, read-only where payments write."""

    list_display = ["__str__", "status", "product", "quantity", "total_in_francs", "last_name", "created_at"]
    list_filter = ["status", "product"]
    list_select_related = ["product"]
    search_fields = ["=pk", "first_name", "last_name", "email", "phone"]
    fields = [
        ("status", "paid_at"),
        ("product", "quantity", "total_in_francs"),
        ("first_name", "last_name"),
        ("email", "phone"),
        "created_at",
    ]
    readonly_fields = ["total_in_francs", "created_at"]
    inlines = [PaymentInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Order | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Order | None = None) -> bool:
        return False

    @admin.display(description=_("total"), ordering="total")
    def total_in_francs(self, order: Order) -> str:
        return francs(order.total)
