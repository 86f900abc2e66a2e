import re
from urllib.parse import quote

import responses
from django.conf import settings
from django.test import RequestFactory, TransactionTestCase
from django.test.utils import override_settings
from orders.forms import OperatorForm
from orders.models import Order
from orders.views import pay_at_once

from django_paiementpro.models import Payment
from django_paiementpro.testing import make_payment, pay

PAGE = "https://www.paiementpro.net/page?sessionid=1"


class Pages(TransactionTestCase):
    def setUp(self) -> None:
        self.order = Order.objects.create(email="awa@example.com")
        self.payment = make_payment(content_object=self.order)

    def see(self) -> str:
        response = self.client.get(self.payment.get_return_url())
        assert response.status_code == 200, response.headers
        return response.content.decode()

    @override_settings(PAIEMENTPRO_STATUS_URL=None)
    def test_every_page_has_the_shops_style(self) -> None:
        page = self.see()
        assert "<span>Attiéké</span>" in page
        assert "--act: #9a3a14" in page
        assert "--act: #f2a682" in page
        assert "--card" in page
        assert 'http-equiv="refresh"' in page
        assert f"https://wa.me/2250707123456?text={quote('Hello')}" in page or quote("Bonjour") in page
        assert 'href="/terms/"' in page

    def test_page_to_share_names_the_shop(self) -> None:
        page = self.client.get(self.payment.get_pay_url()).content.decode()
        assert "Attiéké" in page
        assert '<meta property="og:title"' in page

    @override_settings(PAIEMENTPRO_STATUS_URL=None)
    def test_instructions_of_the_shop_are_shown(self) -> None:
        Payment.objects.update(status="pending", channel="OMCIV2")
        assert "*000#" in self.see()
        Payment.objects.update(channel="WAVECI")
        page = self.see()
        assert "*000#" not in page
        assert "Wave" in page

    def test_every_colour_has_a_css_variable(self) -> None:
        colours = set(re.findall("(--[a-z-]+):", self.see_result("failed")))
        assert colours == {
            *("--ground", "--card", "--text", "--soft", "--line", "--act", "--on-act", "--good", "--bad", "--wait"),
        }

    @override_settings(PAIEMENTPRO_SUCCESS_URL=None, PAIEMENTPRO_FAILURE_URL=None)
    def see_result(self, status: str) -> str:
        Payment.objects.update(status=status)
        return self.see()

    def test_result_page_is_the_shops(self) -> None:
        assert "<h1>" in self.see_result("succeeded")
        assert self.payment.get_checkout_url() in self.see_result("failed")
        assert f"{self.payment.get_checkout_url()}?change" in self.see_result("failed")
        assert self.payment.get_checkout_url() not in self.see_result("expired")

    def test_form_has_the_shops_title(self) -> None:
        titles = []
        for values, query, name in (
            ({"status": "failed"}, "?change", "channel"),
            ({"customer_phone": ""}, "", "customer_phone"),
        ):
            Payment.objects.update(**values)
            page = self.client.get(f"{self.payment.get_checkout_url()}{query}").content.decode()
            assert f'name="{name}"' in page
            titles += re.findall(r"<h1>([^<]+)</h1>", page)
        assert len(set(titles)) == 2

    def test_paid_payer_is_sent_to_the_order(self) -> None:
        pay(self.payment)
        response = self.client.get(self.payment.get_return_url(), follow=True)
        assert [url for url, _status in response.redirect_chain] == [
            f"/thanks/{self.payment.reference}/",
            self.order.get_absolute_url(),
        ]

    def test_unpaid_payer_is_sent_to_the_shop(self) -> None:
        Payment.objects.update(status="failed")
        self.assertRedirects(self.client.get(self.payment.get_return_url()), "/")

    def test_form_offers_the_shops_channels(self) -> None:
        with override_settings(PAIEMENTPRO_CHANNELS=["WAVECI", "OMCIV2"]):
            form = OperatorForm({"channel": "WAVECI"})
            assert form.is_valid()
            assert [code for code, _label in form.fields["channel"].choices] == ["WAVECI", "OMCIV2"]
            assert str(form["channel"]).count('class="channel-mark') == 2

    def test_without_the_view_of_the_app(self) -> None:
        answers = [
            ({"json": {"success": True, "url": PAGE}}, 302),
            ({"json": {"success": False, "message": "ID marchand inconnu"}}, 502),
            ({"status": 500}, 503),
        ]
        for answer, status in answers:
            Payment.objects.update(status="created", initialized_at=None)
            with responses.RequestsMock() as gateway:
                gateway.post(re.compile(f"{settings.PAIEMENTPRO_GATEWAY_URL}/.*"), **answer)
                request = RequestFactory().get("/", headers={"host": "testserver"})
                assert pay_at_once(request, self.order.pk).status_code == status
        Payment.objects.update(customer_phone="1")
        assert pay_at_once(request, self.order.pk).status_code == 400
