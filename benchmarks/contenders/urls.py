from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from benchmarks.contenders.floor import views as floor
from benchmarks.contenders.honest import views as honest
from benchmarks.contenders.viewset import plain


@csrf_exempt
def bare(request: HttpRequest, signed: str) -> HttpResponse:
    """Answer 404 and do nothing else."""
    return HttpResponseNotFound("Not Found", content_type="text/plain")


urlpatterns = [
    path("paiementpro/", include("django_paiementpro.urls")),
    path("api/", include("django_paiementpro.api.urls")),
    path("plain/", include(plain.urls)),
    path("floor/", floor.floor),
    path("least/", floor.least),
    path("honest/<str:signed>/", honest.notify),
    path("bare/<str:signed>/", bare),
]
if "payments" in settings.HERE:
    urlpatterns.append(path("payments/", include("payments.urls")))
if "djstripe" in settings.HERE:
    urlpatterns.append(path("stripe/", include("djstripe.urls", namespace="djstripe")))
if "getpaid" in settings.HERE:
    urlpatterns.append(path("getpaid/", include("getpaid.urls")))
