"""A host whose URLs of the app are nested below others, as those of plugins are."""

from django.urls import include, path

shop = [path("pay/", include("django_paiementpro.urls", namespace="money"))]
plugins = [path("till/", include((shop, "till")))]
urlpatterns = [path("plugins/", include((plugins, "plugins")))]
