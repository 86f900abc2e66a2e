from django.urls import path

from django_paiementpro.links import views

app_name = "paiementpro_links"

urlpatterns = [
    path("<str:token>/", views.LinkView.as_view(), name="link"),
    path("<str:token>/qr.svg", views.QRView.as_view(), {"kind": "svg"}, name="qr_svg"),
    path("<str:token>/qr.png", views.QRView.as_view(), {"kind": "png"}, name="qr_png"),
]
