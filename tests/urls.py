from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("django_paiementpro.api.urls")),
    path("api/", include("django_paiementpro.links.api.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("paiementpro/", include("django_paiementpro.urls")),
    path("paiementpro/", include("django_paiementpro.monitoring.urls")),
    path("pay/", include("django_paiementpro.links.urls")),
    path("receipts/", include("django_paiementpro.receipts.urls")),
    path("sandbox/", include("django_paiementpro.sandbox.urls")),
    path("shop/", include("shop.urls")),
]
