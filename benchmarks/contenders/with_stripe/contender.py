"""dj-stripe."""

import hashlib
import hmac
import secrets
import time

from django.conf import settings
from django.urls import reverse
from djstripe.event_handlers import djstripe_receiver
from djstripe.models import Account, APIKey, Event, WebhookEndpoint, WebhookEventTrigger

from benchmarks.contenders.contender import Contender, heard
from benchmarks.contenders.wire import AMOUNT, Request, json_of_size, notification

SECRET = "whsec_only_for_benchmarks"
KIND = "invoice_payment.paid"


class DjStripe(Contender):
    name = "dj-stripe"
    models = [WebhookEventTrigger, Event]

    def prepare(self) -> None:
        """Store what dj-stripe needs: the account, by its key, and the endpoint."""
        account, _ = Account.objects.get_or_create(id="acct_benchmark", defaults={"livemode": False})
        APIKey.objects.get_or_create_by_api_key(settings.STRIPE_TEST_SECRET_KEY)
        APIKey.objects.update(djstripe_owner_account=account)
        endpoint, _ = WebhookEndpoint.objects.get_or_create(
            id="we_benchmark",
            defaults={
                "djstripe_owner_account": account,
                "secret": SECRET,
                "livemode": False,
                "enabled_events": [KIND],
                "url": "https://shop.example.com/stripe/webhook/",
                "status": "enabled",
            },
        )
        self.path = reverse("djstripe:djstripe_webhook_by_uuid", args=[endpoint.djstripe_uuid])

    def notifications(self, number: int) -> list[Request]:
        return [self._event(SECRET) for _ in range(number)]

    def forged(self) -> Request:
        return self._event("whsec_another")

    def count_paid(self) -> int:
        return Event.objects.count()

    def _event(self, secret: str) -> Request:
        event = {
            "id": f"evt_{secrets.token_hex(12)}",
            "object": "event",
            "api_version": "2025-03-31.basil",
            "created": int(time.time()),
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": KIND,
            "data": {
                "object": {
                    "id": f"inpay_{secrets.token_hex(12)}",
                    "object": "invoice_payment",
                    "amount_paid": AMOUNT,
                    "currency": "xof",
                    "invoice": f"in_{secrets.token_hex(12)}",
                    "livemode": False,
                    "status": "paid",
                }
            },
        }
        other = notification("", secrets.token_hex(12))
        body = json_of_size(event, len(other.body) + len(other.query))
        now = int(time.time())
        digest = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
        return Request(self.path, body, "application/json", headers={"Stripe-Signature": f"t={now},v1={digest}"})


@djstripe_receiver(KIND)
def hear(event: Event, **kwargs: object) -> None:
    heard[DjStripe.name] += 1
