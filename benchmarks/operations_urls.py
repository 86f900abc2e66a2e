from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from benchmarks.orders.models import Order


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{Order.objects.count()} orders")


urlpatterns = [
    path("", home),
    path("paiementpro/", include("django_paiementpro.urls")),
    path("sandbox/", include("django_paiementpro.sandbox.urls")),
]
