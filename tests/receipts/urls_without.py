"""A host that has forgotten the URLs of the receipts."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("paiementpro/", include("django_paiementpro.urls")),
    path("shop/", include("shop.urls")),
]
