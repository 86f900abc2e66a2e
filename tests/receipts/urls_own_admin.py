"""A host whose own admin has the receipts, and not the payments."""

from django.contrib.admin import AdminSite
from django.urls import include, path

from django_paiementpro.receipts.admin import ReceiptAdmin
from django_paiementpro.receipts.models import Receipt

office = AdminSite(name="office")
office.register(Receipt, ReceiptAdmin)

urlpatterns = [
    path("office/", office.urls),
    path("paiementpro/", include("django_paiementpro.urls")),
    path("receipts/", include("django_paiementpro.receipts.urls")),
    path("shop/", include("shop.urls")),
]
