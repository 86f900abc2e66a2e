"""What a page at the gateway was opened for, and for whom."""

import json
from typing import Any

from django.utils.crypto import salted_hmac

from django_paiementpro.db.connections import database
from django_paiementpro.enums import Kind
from django_paiementpro.models import CUSTOMER_FIELDS, Payment
from django_paiementpro.normalization import canonical_email

#: What is sent to the gateway.
SENT_FIELDS = frozenset({"reference", "merchant_id", "amount", "currency", "description", "channel"}) | CUSTOMER_FIELDS


def page_digest(payment: Payment) -> str:
    """Return a digest of what a page would be opened for. It is keyed, since telephone numbers can be guessed."""
    values = [str(getattr(payment, name)) for name in sorted(SENT_FIELDS)]
    # As it is read back: databases put the keys in an order of their own.
    context = json.loads(json.dumps(payment.return_context))
    text = json.dumps([*values, context], sort_keys=True)
    return salted_hmac("django_paiementpro.page", text, algorithm="sha256").hexdigest()[:32]


def is_page_up_to_date(payment: Payment) -> bool:
    """Return whether the page was opened with the payment's current data. If unknown, it is assumed to be."""
    return not payment.page_digest or payment.page_digest == page_digest(payment)


def details_of_other(payment: Payment, attempt: int) -> dict[str, Any]:
    """
    Return the customer's details that the page of an attempt was opened with, if the payment now has someone else's.

    A shared link can be opened by two people, one after the other. They count as two people if both the phone number
    and the e-mail address differ; otherwise the customer has corrected the details. Return nothing then, or if the page
    is unknown or erased.
    """
    sent = _sent(payment, payment.reference_of(attempt))
    try:
        email, phone = str(sent["customerEmail"]), f"+{sent['msisdn']}"
        details = {
            "channel": sent.get("channel", ""),
            "customer_email": email,
            "customer_first_name": sent["customerFirstName"],
            "customer_last_name": sent["customerLastname"],
            "customer_phone": phone,
        }
    except KeyError:
        return {}
    is_other = canonical_email(email) != canonical_email(payment.customer_email) and phone != payment.phone_number
    return details if is_other else {}


def _sent(payment: Payment, reference: str) -> dict[str, Any]:
    """Return the audit of the newest request for a page under this reference."""
    for event in payment.events.using(database()).filter(kind=Kind.INITIALIZE).order_by("-pk"):
        if event.fields.get("referenceNumber") == reference:
            return event.fields
    return {}
