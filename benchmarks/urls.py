from django.contrib import admin
from django.urls import include, path

from benchmarks.plain import site

urlpatterns = [
    path("admin/", admin.site.urls),
    path("plain/", site.urls),
    path("paiementpro/", include("django_paiementpro.urls")),
]
