from django.urls import path

from django_paiementpro.sandbox import views

app_name = "paiementpro_sandbox"

urlpatterns = [
    path("webservice/onlinepayment/init/curl-init.php", views.InitializeView.as_view(), name="initialize"),
    path("webservice/OnlineServicePayment_v2.php", views.SoapView.as_view(), name="soap"),
    # Where the page of a session is that SOAP has opened.
    path("webservice/onlinepayment/processing_v2.php", views.PageView.as_view()),
    path("sandbox.php", views.PageView.as_view(), name="page"),
    path("status/<str:reference>", views.StatusLookUpView.as_view(), name="status"),
]
