from django.urls import include, path

urlpatterns = [
    path("paiementpro/", include("django_paiementpro.urls")),
    path("sandbox/", include("django_paiementpro.sandbox.urls")),
]
