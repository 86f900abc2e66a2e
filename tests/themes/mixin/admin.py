"""What docs/en/howto/admin-themes.rst suggests for django-unfold."""

from django.contrib import admin
from unfold.admin import ModelAdmin

from django_paiementpro.admin import PaymentAdmin
from django_paiementpro.models import Payment

admin.site.unregister(Payment)


@admin.register(Payment)
class ShopPaymentAdmin(PaymentAdmin, ModelAdmin):
    """The payments of the shop, with unfold's widgets."""
