from django.urls import path

from django_paiementpro.receipts.views import PdfView, ReceiptView

app_name = "paiementpro_receipts"

urlpatterns = [
    path("<str:signed>/", ReceiptView.as_view(), name="receipt"),
    path("<str:signed>/pdf/", PdfView.as_view(), name="pdf"),
]
