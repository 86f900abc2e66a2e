"""A host without an admin."""

from django.urls import include, path

urlpatterns = [
    path("paiementpro/", include("django_paiementpro.urls")),
    path("receipts/", include("django_paiementpro.receipts.urls")),
    path("shop/", include("shop.urls")),
]
