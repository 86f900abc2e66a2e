from django.conf import settings
from django.contrib import admin
from django.urls import include, path

# The admin's index, with the number of payments to review.
admin.site.index_template = "admin/paiementpro/index.html"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("django_paiementpro.api.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("paiementpro/", include("django_paiementpro.urls")),
    path("paiementpro/", include("django_paiementpro.monitoring.urls")),
    path("pay/", include("django_paiementpro.links.urls")),
    path("receipts/", include("django_paiementpro.receipts.urls")),
    path("", include("shop.urls")),
]

if settings.LOCAL_SANDBOX:
    urlpatterns.insert(0, path("sandbox/", include("django_paiementpro.sandbox.urls")))
