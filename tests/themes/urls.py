from django.conf import settings
from django.urls import include, path

from example_project.urls import urlpatterns as shop_urlpatterns

urlpatterns = [*shop_urlpatterns]
if settings.THEME == "grappelli":
    urlpatterns.insert(0, path("grappelli/", include("grappelli.urls")))
