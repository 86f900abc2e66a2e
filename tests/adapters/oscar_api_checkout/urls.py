from django.apps import apps
from django.urls import include, path

from tests.adapters.oscar.urls import urlpatterns as oscar

urlpatterns = [
    path("api/", include(apps.get_app_config("oscarapicheckout").urls[0])),
    path("api/", include("oscarapi.urls")),
    *oscar,
]
