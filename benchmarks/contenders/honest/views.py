"""The webhook as a careful developer writes it by hand, with a signed URL, an audit trail and an outbox."""

import json
from typing import Any

from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseNotFound
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from benchmarks.contenders.honest.models import Event, Payment
from benchmarks.contenders.honest.outbox import deliver, new_lease

CURRENCY_NUMBERS = {"XOF": "952", "XAF": "950"}

signer = Signer(salt="honest.notification")


@transaction.non_atomic_requests
@csrf_exempt
@require_POST
def notify(request: HttpRequest, signed: str) -> HttpResponse:
    try:
        payment = Payment.objects.get(reference=signer.unsign(signed))
    except (BadSignature, Payment.DoesNotExist):
        return HttpResponseNotFound("Not Found", content_type="text/plain")
    fields = read_fields(request)
    reason = find_mismatch(payment, fields)
    event = Event(payment=payment, reason=reason, data=fields, remote_address=request.META["REMOTE_ADDR"])
    with transaction.atomic():
        if reason:
            event.outcome = "refused"
        elif settle(payment, fields):
            event.outcome = "accepted"
            event.signal = f"payment_{payment.status}"
            event.deliver_at = new_lease()
            transaction.on_commit(lambda: deliver(event))
        else:
            event.outcome = "duplicate"
        event.save()
    if reason:
        return HttpResponseBadRequest(f"Bad Request: {reason}", content_type="text/plain")
    return HttpResponse("OK", content_type="text/plain")


def read_fields(request: HttpRequest) -> dict[str, Any]:
    """Return the fields of the query string and the body. Two different values of one field are malformed."""
    query, body = request.GET.dict(), request.POST.dict()
    if request.content_type == "application/json":
        try:
            body = {name: str(value) for name, value in json.loads(request.body).items()}
        except (AttributeError, ValueError):
            return {"malformed": request.body.decode(errors="replace")}
    if any(query.get(name, value) != value for name, value in body.items()):
        return {"malformed": {"query": query, "body": body}}
    return {**query, **body}


def find_mismatch(payment: Payment, fields: dict[str, Any]) -> str:
    """Return the name of the first field that does not fit the payment, or an empty string if all do."""
    if "malformed" in fields:
        return "malformed"
    expected = {
        "referenceNumber": payment.reference,
        "merchantId": payment.merchant_id,
        "countryCurrencyCode": CURRENCY_NUMBERS[payment.currency],
        "amount": str(payment.amount),
    }
    for name, value in expected.items():
        if fields.get(name) != value:
            return name
    return "" if fields.get("responsecode") in {"0", "-1"} else "responsecode"


def settle(payment: Payment, fields: dict[str, Any]) -> bool:
    """Apply the notification, unless the payment is settled already. A success may still follow a failure."""
    is_success = fields["responsecode"] == "0"
    open_statuses = ["pending", "failed"] if is_success else ["pending"]
    if payment.status not in open_statuses:
        return False
    changes = {
        "status": "succeeded" if is_success else "failed",
        "gateway_id": fields.get("payId", "")[:128],
        "gateway_channel": fields.get("channel", "")[:32],
        "settled_at": timezone.now(),
    }
    if not Payment.objects.filter(pk=payment.pk, status__in=open_statuses).update(**changes):
        return False
    for name, value in changes.items():
        setattr(payment, name, value)
    return True
