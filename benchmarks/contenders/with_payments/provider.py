"""A provider for the gateway, written as django-payments documents."""

from decimal import Decimal, InvalidOperation

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from payments import PaymentStatus
from payments.core import BasicProvider

from benchmarks.contenders.with_payments.models import Payment


class Provider(BasicProvider):
    def process_data(self, payment: Payment, request: HttpRequest) -> HttpResponse:
        fields = request.POST or request.GET
        try:
            amount = Decimal(fields["amount"])
            is_success = fields["responsecode"] == "0"
        except (KeyError, InvalidOperation):
            return HttpResponseBadRequest("Bad Request")
        if amount != payment.total:
            return HttpResponseBadRequest("Bad Request")
        if payment.status == PaymentStatus.WAITING:
            if is_success:
                payment.transaction_id = fields.get("payId", "")
                payment.captured_amount = payment.total
                payment.save(update_fields=["transaction_id", "captured_amount"])
                payment.change_status(PaymentStatus.CONFIRMED)
            else:
                payment.change_status(PaymentStatus.REJECTED)
        return HttpResponse("OK")
