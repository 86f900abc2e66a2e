from django.contrib.auth.views import LoginView
from django.urls import include, path

urlpatterns = [
    path("login/", LoginView.as_view(), name="auth_login"),
    path("paiementpro/", include("django_paiementpro.urls")),
    path("payments/", include("payments.urls")),
    path("plan/", include("plans.urls")),
    path("plan/", include("plans_payments.urls")),
]
