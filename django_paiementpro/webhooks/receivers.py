"""Each signal makes a webhook for each endpoint that takes it, once, in one statement. They are sent afterwards."""

from collections.abc import Callable
from typing import Any

from django.utils import timezone

from django_paiementpro.db.connections import database
from django_paiementpro.delivery.after_response import run_after_response
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.signals import SIGNALS
from django_paiementpro.webhooks.models import Delivery, Endpoint, type_of
from django_paiementpro.webhooks.payloads import body_of
from django_paiementpro.webhooks.sending import send_new


def connect() -> None:
    for name, signal in SIGNALS.items():
        signal.connect(_receiver(name), weak=False, dispatch_uid=f"paiementpro_webhooks.{name}")


def _receiver(signal: str) -> Callable[..., None]:
    def receive(payment: Payment, event: PaymentEvent, **kwargs: Any) -> None:
        record(signal, payment, event)

    return receive


def record(signal: str, payment: Payment, event: PaymentEvent) -> None:
    """Store the webhooks for a signal, unless they are stored already, and send them after the response."""
    active = Endpoint.objects.using(database()).filter(is_active=True)
    endpoints = [endpoint for endpoint in active if endpoint.takes(signal)]
    if not endpoints:
        return
    bodies = {
        include_customer: body_of(signal, payment, event, include_customer=include_customer)
        for include_customer in {endpoint.include_customer for endpoint in endpoints}
    }
    now = timezone.now()
    Delivery.objects.using(database()).bulk_create(
        [
            Delivery(
                endpoint=endpoint,
                event=event,
                type=type_of(signal),
                body=bodies[endpoint.include_customer],
                next_at=now,
                created_at=now,
            )
            for endpoint in endpoints
        ],
        ignore_conflicts=True,
    )
    run_after_response(send_new)
