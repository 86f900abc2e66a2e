"""The view as a careful developer writes it, and as it would be with the fewest statements."""

from django.db import transaction
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from benchmarks.contenders.floor.models import Notice, Payment

paid = Signal()


@csrf_exempt
@require_POST
def floor(request: HttpRequest) -> HttpResponse:
    fields = request.POST or request.GET
    try:
        reference, merchant_id, code = fields["referenceNumber"], fields["merchantId"], fields["responsecode"]
        amount = int(fields["amount"])
    except (KeyError, ValueError):
        return HttpResponseBadRequest("Bad Request")
    with transaction.atomic():
        payment = get_object_or_404(Payment.objects.select_for_update(), reference=reference)
        fits = (payment.merchant_id, payment.amount) == (merchant_id, amount)
        is_news = fits and payment.status != "succeeded"
        Notice.objects.create(
            payment=payment,
            outcome="accepted" if is_news else "duplicate" if fits else "refused",
            data=fields.dict(),
            remote_address=request.META["REMOTE_ADDR"],
        )
        if is_news:
            payment.status = "succeeded" if code == "0" else "failed"
            payment.gateway_id = fields.get("payId", "")
            payment.gateway_channel = fields.get("channel", "")
            payment.settled_at = timezone.now()
            payment.save(update_fields=["status", "gateway_id", "gateway_channel", "settled_at"])
            if payment.status == "succeeded":
                transaction.on_commit(lambda: paid.send(Payment, payment=payment, by="floor"))
    return HttpResponse("OK") if fits else HttpResponseBadRequest("Bad Request")


@csrf_exempt
@require_POST
def least(request: HttpRequest) -> HttpResponse:
    fields = request.POST or request.GET
    try:
        reference, merchant_id, code = fields["referenceNumber"], fields["merchantId"], fields["responsecode"]
        amount = int(fields["amount"])
    except (KeyError, ValueError):
        return HttpResponseBadRequest("Bad Request")
    payments = Payment.objects.filter(reference=reference)
    with transaction.atomic():
        is_news = (
            payments.filter(merchant_id=merchant_id, amount=amount)
            .exclude(status="succeeded")
            .update(
                status="succeeded" if code == "0" else "failed",
                gateway_id=fields.get("payId", ""),
                gateway_channel=fields.get("channel", ""),
                settled_at=timezone.now(),
            )
        )
        if not is_news and not payments.exists():
            return HttpResponse("Not Found", status=404)
        Notice.objects.create(
            payment_id=payments.values("pk"),
            outcome="accepted" if is_news else "duplicate",
            data=fields.dict(),
            remote_address=request.META["REMOTE_ADDR"],
        )
        if is_news and code == "0":
            transaction.on_commit(lambda: paid.send(Payment, reference=reference, by="least"))
    return HttpResponse("OK")
