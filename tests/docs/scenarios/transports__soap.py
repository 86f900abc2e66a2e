from django.conf import settings
from django.core.management import call_command
from django.test import TestCase
from django.urls import reverse
from orders.models import Order

from django_paiementpro.models import Payment
from django_paiementpro.testing import FakeGateway, pay


class Soap(TestCase):
    def setUp(self) -> None:
        self.buyer = {"first_name": "Awa", "last_name": "Koné", "email": "awa@example.com", "phone": "07 07 12 34 56"}

    def test_order_is_paid(self) -> None:
        assert settings.PAIEMENTPRO_TRANSPORT == "soap"
        with FakeGateway() as gateway:
            self.client.post(reverse("buy"), self.buyer)
            order = Order.objects.get()
            response = self.client.get(reverse("pay", args=[order.pk]), follow=True)
        assert response.redirect_chain[-1][0] == gateway.page_url
        [call] = gateway.mock.calls
        assert call.request.url == f"{settings.PAIEMENTPRO_GATEWAY_URL}/webservice/OnlineServicePayment_v2.php"
        assert gateway.page_requests[0].customer_msisdn == "2250707123456"
        pay(Payment.objects.get())
        order.refresh_from_db()
        assert order.is_paid

    def test_refusal_is_502(self) -> None:
        with FakeGateway() as gateway:
            gateway.refuses("Marchand inconnu")
            self.client.post(reverse("buy"), self.buyer)
            response = self.client.get(reverse("pay", args=[Order.objects.get().pk]), follow=True)
        assert response.status_code == 502

    def test_checks_pass(self) -> None:
        with self.settings(DEBUG=True):
            call_command("check", fail_level="WARNING")
