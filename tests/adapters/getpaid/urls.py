from django.urls import include, path

from shop.views import order

urlpatterns = [
    path("paiementpro/", include("django_paiementpro.urls")),
    path("payments/", include("getpaid.urls")),
    path("order/<int:pk>/", order, name="order"),
]
