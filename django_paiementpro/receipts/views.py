"""The page of a receipt and its PDF, for anyone who has the signed link."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _

from django_paiementpro import qr, signing
from django_paiementpro.db.connections import database
from django_paiementpro.http import page_context, reread
from django_paiementpro.receipts.models import RECEIPT, Receipt
from django_paiementpro.receipts.paper import paper_of
from django_paiementpro.services.checkout import absolute_url
from django_paiementpro.views import OpenView


class _PaperView(OpenView):
    http_method_names = ["get", "head", "options"]

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        return reread(super().as_view(**initkwargs))

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(request, *args, **kwargs)
        response["X-Robots-Tag"] = "noindex"
        return response


class ReceiptView(_PaperView):
    """
    Show a receipt, to be printed on A4 or on a roll of 80 mm, with a QR code of this address.

    Once personal data have been erased, it shows the same without the person.
    """

    def get(self, request: HttpRequest, signed: str) -> HttpResponse:
        receipt = _receipt_or_404(signed)
        paper = paper_of(receipt)
        context = {
            **page_context(),
            "receipt": receipt,
            "payment": receipt.payment,
            "paper": paper,
            "qr": qr.svg_element(absolute_url(receipt.get_absolute_url(), request)),
            "fiscal_qr": qr.svg_element(paper.fiscal_qr) if paper.fiscal_qr else "",
        }
        return render(request, "paiementpro_receipts/receipt.html", context)


class PdfView(_PaperView):
    """The same as a PDF."""

    def get(self, request: HttpRequest, signed: str) -> HttpResponse:
        receipt = _receipt_or_404(signed)
        write = import_module("django_paiementpro.receipts.pdf").write
        content = write(receipt, paper_of(receipt), absolute_url(receipt.get_absolute_url(), request))
        filename = f"{_('receipt')}-{receipt.number}.pdf"
        disposition = content_disposition_header(False, filename) or "inline"
        return HttpResponse(content, content_type="application/pdf", headers={"Content-Disposition": disposition})


def _receipt_or_404(signed: str) -> Receipt:
    key = signing.unsign(signed, RECEIPT)
    receipts = Receipt.objects.using(database()).select_related("payment", "original")
    receipt = receipts.filter(pk=key).first() if key else None
    if receipt is None:
        raise Http404
    return receipt
