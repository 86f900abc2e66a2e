"""What webhooks say about a payment. The documentation has the JSON schema of each; a test compares the two."""

import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType

from django_paiementpro.db.connections import database
from django_paiementpro.models import Finding, Payment, PaymentEvent, Refund
from django_paiementpro.webhooks.models import TEST, type_of

#: What may identify the customer, in ``data``.
PERSONAL = ("customer", "description")


def body_of(signal: str, payment: Payment, event: PaymentEvent, *, include_customer: bool) -> str:
    """Return the body of the webhook for a signal, in ASCII."""
    data = _payment(payment) | DETAILS.get(signal, _nothing)(event)
    if include_customer:
        data |= _customer(payment)
    return _dumps({"type": type_of(signal), "timestamp": _moment(event.created_at), "data": data})


def test_body(now: datetime) -> str:
    """Return the body of a test, which is about no payment."""
    message = "This is a test of the endpoint. It is about no payment."
    return _dumps({"type": TEST, "timestamp": _moment(now), "data": {"message": message}})


def without_personal_data(body: str) -> str:
    """Return a body without what may identify the customer."""
    payload = json.loads(body)
    payload["data"] = {name: value for name, value in payload["data"].items() if name not in PERSONAL}
    return _dumps(payload)


def _payment(payment: Payment) -> dict[str, Any]:
    return {
        "reference": payment.reference,
        "status": str(payment.status),
        "amount": payment.amount,
        "currency": payment.currency,
        "refunded_amount": payment.refunded_amount,
        "needs_review": payment.needs_review,
        "channel": payment.gateway_channel or payment.channel,
        "merchant_id": payment.merchant_id,
        "gateway_id": payment.gateway_id,
        "order": _order(payment),
        "created_at": _moment(payment.created_at),
        "settled_at": _moment(payment.settled_at),
    }


def _order(payment: Payment) -> dict[str, str] | None:
    """Return the kind and the key of what was paid for, unless that is the customer."""
    if payment.content_type_id is None or not payment.object_id:
        return None
    kind = ContentType.objects.get_for_id(payment.content_type_id)  # cached
    if kind.model_class() is get_user_model():
        return None
    return {"model": f"{kind.app_label}.{kind.model}", "id": payment.object_id}


def _customer(payment: Payment) -> dict[str, Any]:
    customer = {
        "first_name": payment.customer_first_name,
        "last_name": payment.customer_last_name,
        "email": payment.customer_email,
        "phone": payment.phone_number or payment.customer_phone,
    }
    return {"description": payment.description, "customer": customer}


def _nothing(_event: PaymentEvent) -> dict[str, Any]:
    return {}


def _findings(event: PaymentEvent) -> dict[str, Any]:
    """Return why the payment was flagged: the reasons without their details, which may be a host's own words."""
    findings = Finding.objects.using(database()).filter(event=event.pk)
    return {"findings": list(findings.values_list("reason", flat=True))}


def _refund(event: PaymentEvent) -> dict[str, Any]:
    refund = Refund.objects.using(database()).get(event=event.pk)
    return {
        "refund": {
            "amount": refund.amount,
            "fee": refund.fee,
            "kind": str(refund.kind),
            "reference": refund.reference,
            "refunded_on": refund.refunded_on.isoformat(),
        }
    }


DETAILS: dict[str, Callable[[PaymentEvent], dict[str, Any]]] = {
    "payment_flagged": _findings,
    "payment_refunded": _refund,
}


def _moment(moment: datetime | None) -> str | None:
    """Return ISO 8601 in UTC, to the second: ``2026-03-14T09:26:53Z``."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _dumps(payload: dict[str, Any]) -> str:
    return json.dumps(payload, separators=(",", ":"))
