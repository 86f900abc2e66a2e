from django.urls import path

from django_paiementpro import views

app_name = "paiementpro"

urlpatterns = [
    path("checkout/<str:signed>/", views.CheckoutView.as_view(), name="checkout"),
    path("pay/<str:signed>/", views.PayView.as_view(), name="pay"),
    path("notification/<str:signed>/", views.NotificationView.as_view(), name="notification"),
    path("return/<str:signed>/", views.ReturnView.as_view(), name="return"),
    path("status/<str:signed>/", views.StatusView.as_view(), name="status"),
]
