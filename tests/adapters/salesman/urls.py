from django.urls import include, path

urlpatterns = [
    path("api/", include("salesman.urls")),
    path("paiementpro/", include("django_paiementpro.urls")),
]
