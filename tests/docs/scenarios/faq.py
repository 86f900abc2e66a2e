from urllib.parse import parse_qs, urlsplit

from django.test import RequestFactory, TransactionTestCase
from orders.links import whatsapp_url
from orders.models import Order

from django_paiementpro.models import Payment
from django_paiementpro.testing import FakeGateway, pay


class PaymentLinks(TransactionTestCase):
    def test_link_in_the_message_can_be_paid_after_a_preview(self) -> None:
        order = Order.objects.create(
            first_name="Awa", last_name="Koné", email="awa@example.com", phone="07 07 12 34 56"
        )
        parts = urlsplit(whatsapp_url(RequestFactory().get("/"), order))
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://wa.me/"
        [text] = parse_qs(parts.query)["text"]
        assert "12\u202f500" in text
        link = text.split()[-1]
        assert link.startswith("http://testserver/")
        payment = Payment.objects.get()
        assert self.client.get(link, headers={"user-agent": "WhatsApp/2.24"}).status_code == 200
        payment.refresh_from_db()
        assert payment.attempt == 0
        with FakeGateway() as gateway:
            checkout = self.client.post(link).url
            assert self.client.get(checkout).url == gateway.page_url
        pay(payment)
        assert self.client.get(link).url == payment.get_return_url()
