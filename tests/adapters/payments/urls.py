from django.http import HttpResponse
from django.urls import include, path

from shop.views import pay

urlpatterns = [
    path("paiementpro/", include("django_paiementpro.urls")),
    path("payments/", include("payments.urls")),
    path("pay/<int:pk>/", pay, name="pay"),
    path("thanks/<int:pk>/", lambda request, pk: HttpResponse("Thank you!"), name="thanks"),
]
