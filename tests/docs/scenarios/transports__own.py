import json

import requests
import responses
from django.core.management import call_command
from django.test import TestCase
from django.urls import reverse
from orders.models import Order

from django_paiementpro.models import Payment
from django_paiementpro.testing import pay

RELAY = "https://relay.example.com/pages"
PAGE = "https://www.paiementpro.net/webservice/onlinepayment/processing_v2.php?sessionid=1"


class OwnTransport(TestCase):
    def setUp(self) -> None:
        buyer = {"first_name": "Awa", "last_name": "Koné", "email": "awa@example.com", "phone": "07 07 12 34 56"}
        self.client.post(reverse("buy"), buyer)
        self.order = Order.objects.get()

    def ask(self, status: int, body: object) -> tuple[int, str]:
        """Go to pay, with a relay that answers so; return status and place of the answer."""
        with responses.RequestsMock() as relay:
            relay.post(RELAY, status=status, body=body if isinstance(body, Exception) else json.dumps(body))
            self.client.get(reverse("pay", args=[self.order.pk]))
            response = self.client.get(Payment.objects.get().get_checkout_url())
            self.sent = json.loads(relay.calls[0].request.body)
        return response.status_code, response.get("Location", "")

    def test_page_comes_from_the_relay(self) -> None:
        assert self.ask(200, {"url": PAGE}) == (302, PAGE)
        assert self.sent["amount"] == self.order.total
        pay(Payment.objects.get())
        self.order.refresh_from_db()
        assert self.order.is_paid

    def test_page_elsewhere_is_not_shown(self) -> None:
        assert self.ask(200, {"url": "https://evil.example/"}) == (503, "")

    def test_refusal_is_502(self) -> None:
        assert self.ask(422, {"message": "Non"}) == (502, "")
        assert Payment.objects.get().events.get().message == "Non"

    def test_outage_is_503(self) -> None:
        assert self.ask(500, {}) == (503, "")
        assert self.ask(200, requests.ConnectionError()) == (503, "")

    def test_checks_pass(self) -> None:
        with self.settings(DEBUG=True):
            call_command("check", fail_level="WARNING")
