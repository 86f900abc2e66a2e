from django.urls import include, path

urlpatterns = [path("_paiementpro/", include("django_paiementpro.urls"))]
