"""What the gateway should refuse: asked with the fields of a payment, outside of the app's own checks."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from django_paiementpro.conf import conf
from django_paiementpro.exceptions import GatewayRefusedError, GatewayUnavailableError
from django_paiementpro.gateway import client
from django_paiementpro.gateway.messages import PageRequest
from django_paiementpro.gateway.text import clean
from django_paiementpro.models import Payment, generate_reference
from django_paiementpro.phones import normalize_phone
from django_paiementpro.services.observations import without_persons

#: A channel that no account has.
ABSENT_CHANNEL = "NOSUCHCHANNEL"


def try_refusals(payment: Payment, transport: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """
    Ask for pages that should be refused, and yield the name of each attempt with the outcome.

    A page that is opened after all is not shown to anyone, and expires unpaid.
    """
    base = conf.site_url or ""
    ordinary = PageRequest(
        merchant_id=payment.merchant_id,
        amount=payment.amount,
        description=payment.description,
        channel=payment.channel,
        currency_number=conf.currencies[payment.currency],
        reference=payment.gateway_reference,
        customer_email=payment.customer_email,
        customer_first_name=payment.customer_first_name,
        customer_last_name=payment.customer_last_name,
        customer_phone=normalize_phone(payment.customer_phone, payment.channel),
        notification_url=base + payment.get_notification_url(),
        return_url=base + payment.get_return_url(),
    )
    yield "reused_reference", _outcome(ordinary, transport)
    wrong: dict[str, dict[str, Any]] = {
        "absent_channel": {"channel": ABSENT_CHANNEL},
        "99_francs": {"amount": 99},
        "empty_description": {"description": ""},
    }
    for name, values in wrong.items():
        yield name, _outcome(replace(ordinary, reference=generate_reference(), **values), transport)


def _outcome(request: PageRequest, transport: str) -> dict[str, Any]:
    try:
        client.open_page(request, transport)
    except GatewayRefusedError as error:
        return {"outcome": "refused", "message": without_persons(clean(error.message))[:500]}
    except GatewayUnavailableError as error:
        return {"outcome": "unavailable", "message": str(error)}
    return {"outcome": "opened"}
