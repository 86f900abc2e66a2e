import json
import os
from unittest.mock import patch

from accounts import views
from django.test import LiveServerTestCase, override_settings
from django.urls import path
from orders.models import Order

from django_paiementpro.testing import make_payment, pay
from django_paiementpro.webhooks.models import Delivery, Endpoint
from shop.urls import urlpatterns as shop_urls

urlpatterns = [*shop_urls, path("receive/", views.receive)]


@override_settings(ROOT_URLCONF=__name__, PAIEMENTPRO_WEBHOOKS_ALLOW_PRIVATE=True)
class Webhooks(LiveServerTestCase):
    def setUp(self) -> None:
        views.SEEN.clear()
        self.endpoint = Endpoint.objects.create(url=f"{self.live_server_url}/receive/")
        order = Order.objects.create(
            first_name="Awa", last_name="Koné", email="awa@example.com", phone="07 07 12 34 56"
        )
        self.payment = make_payment(content_object=order, status="pending", attempt=1)

    def receive_with(self, secret: str) -> Delivery:
        with patch.dict(os.environ, WEBHOOK_SECRET=secret), patch("builtins.print") as self.printed:
            pay(self.payment)
        return Delivery.objects.get()

    def test_receiver_of_the_guide_verifies_a_webhook(self) -> None:
        delivery = self.receive_with(self.endpoint.secret)
        assert (delivery.status, delivery.response_status) == ("delivered", 204), delivery.attempts
        assert {delivery.webhook_id} == views.SEEN
        self.printed.assert_called_once_with("payment.succeeded", self.payment.reference)
        assert json.loads(delivery.body)["data"]["order"]["model"] == "orders.order"

    def test_receiver_of_the_guide_refuses_another_secret(self) -> None:
        delivery = self.receive_with(Endpoint().secret)
        assert (delivery.status, delivery.response_status) == ("pending", 401)
        assert set() == views.SEEN
