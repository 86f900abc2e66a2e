"""A host's own suite, under Django's runner and pytest's: green for a shop that works, red for one that does not."""

import re
from pathlib import Path

import pytest

from tests.server.installation import Installation, Report

pytestmark = pytest.mark.process

MODELS = """
from django.db import models

from django_paiementpro.models import Payment


class Order(models.Model):
    total = models.PositiveIntegerField(default=12500)
    times_delivered = models.PositiveIntegerField(default=0)
    is_released = models.BooleanField(default=False)

    def open_payment(self):
        return Payment.objects.create(
            content_object=self,
            amount=self.total,
            description=f"Order {self.pk}",
            customer_email="awa@example.com",
            customer_first_name="Awa",
            customer_last_name="Koné",
            customer_phone="07 07 12 34 56",
            success_url="/thanks/",
        )
"""

APPS = """
from django.apps import AppConfig
from django.dispatch import receiver

from django_paiementpro.signals import payment_expired, payment_flagged, payment_succeeded


class OrdersConfig(AppConfig):
    name = "orders"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        receiver(payment_succeeded)(deliver)
        receiver(payment_expired)(release)


def deliver(sender, payment, **kwargs):
    order = payment.content_object
    if not order.times_delivered:
        order.times_delivered += 1
        order.save()


def release(sender, payment, **kwargs):
    payment.content_object.is_released = True
    payment.content_object.save()
"""

URLS = """
from django.shortcuts import get_object_or_404, redirect
from django.urls import include, path

from orders.models import Order


def pay(request, pk):
    return redirect(get_object_or_404(Order, pk=pk).open_payment().get_checkout_url())


urlpatterns = [
    path("orders/<int:pk>/pay/", pay),
    path("paiementpro/", include("django_paiementpro.urls")),
]
"""

DJANGO_TESTS = """
from django.core.management import call_command
from django.test import TestCase, override_settings

from django_paiementpro.models import Payment
from django_paiementpro.testing import FakeGateway, come_back, decline, deliver_signals, expire, notify, pay
from orders.models import Order


class OrderTests(TestCase):
    def setUp(self):
        self.gateway = self.enterContext(FakeGateway())
        self.order = Order.objects.create()

    def check_out(self):
        checkout = self.client.get(f"/orders/{self.order.pk}/pay/")
        self.page = self.client.get(checkout.url)
        return Payment.objects.for_object(self.order).get()

    def assert_delivered(self, times):
        self.order.refresh_from_db()
        self.assertEqual(self.order.times_delivered, times)

    def test_buyer_pays_the_orders_total(self):
        payment = self.check_out()
        self.assertRedirects(self.page, self.gateway.page_url, fetch_redirect_response=False)
        self.assertEqual(self.gateway.page_requests[0].amount, 12500)
        pay(payment)
        self.assert_delivered(1)
        self.assertRedirects(come_back(payment, client=self.client), "/thanks/", fetch_redirect_response=False)

    def test_every_encoding_is_delivered_once(self):
        payment = self.check_out()
        for encoding in ("json", "urlencoded", "query", "multipart"):
            pay(payment, encoding=encoding)
        self.assert_delivered(1)

    def test_nothing_is_delivered_for_another_amount_or_a_forged_url(self):
        payment = self.check_out()
        self.assertEqual(notify(payment, amount=1).status_code, 400)
        self.assertEqual(notify(payment, forged=True).status_code, 404)
        self.assertEqual(come_back(payment).status_code, 200)
        self.assert_delivered(0)

    def test_buyer_can_retry_after_a_decline(self):
        payment = decline(self.check_out())
        self.assert_delivered(0)
        self.client.get(payment.get_checkout_url())
        pay(payment)
        self.assert_delivered(1)

    def test_late_payment_is_delivered(self):
        payment = expire(self.check_out())
        self.order.refresh_from_db()
        self.assertTrue(self.order.is_released)
        pay(payment)
        self.assert_delivered(1)

    def test_checkout_can_be_retried_after_refusal_or_outage(self):
        self.gateway.refuses("ID marchand inconnu")
        payment = self.check_out()
        self.assertEqual(self.page.status_code, 502)
        self.gateway.is_away()
        self.assertEqual(self.client.get(payment.get_checkout_url()).status_code, 503)
        self.gateway.opens()
        self.assertEqual(self.client.get(payment.get_checkout_url()).status_code, 302)

    @override_settings(PAIEMENTPRO_STATUS_URL="https://api.paiementpro.net/status")
    def test_lost_notification_is_recovered(self):
        payment = self.check_out()
        self.gateway.confirms(payment)
        with deliver_signals():
            call_command("paiementpro_reconcile")
        self.assert_delivered(1)
"""

CONFTEST = """
import pytest

pytest_plugins = ["django_paiementpro.testing.fixtures"]


@pytest.fixture
def order(db):
    from orders.models import Order

    return Order.objects.create()
"""

PYTEST_TESTS = """
from django_paiementpro.models import Payment
from django_paiementpro.testing import notify, pay


def test_buyer_pays_the_orders_total(client, order, paiementpro_gateway):
    checkout = client.get(f"/orders/{order.pk}/pay/")
    assert client.get(checkout.url).url == paiementpro_gateway.page_url
    assert paiementpro_gateway.page_requests[0].amount == order.total
    pay(Payment.objects.get())
    order.refresh_from_db()
    assert order.times_delivered == 1


def test_repeated_notification_is_delivered_once(order):
    payment = order.open_payment()
    notify(payment)
    notify(payment)
    order.refresh_from_db()
    assert order.times_delivered == 1


def test_nothing_is_delivered_for_another_amount(order):
    assert notify(order.open_payment(), amount=[order.total, 1]).status_code == 400
    order.refresh_from_db()
    assert order.times_delivered == 0


def test_page_of_a_paid_payment_is_shown(client, paiementpro_payment, order):
    paiementpro_payment.content_object = order
    paiementpro_payment.save()
    pay(paiementpro_payment)
    assert "Payment received" in client.get(paiementpro_payment.get_return_url()).content.decode()
"""


@pytest.fixture
def shop(tmp_path: Path) -> Installation:
    shop = Installation(tmp_path)
    shop.environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    shop.write("orders/models.py", MODELS)
    shop.write("orders/apps.py", APPS)
    shop.write("shop_urls.py", URLS)
    shop.write("orders/tests.py", DJANGO_TESTS)
    shop.write("conftest.py", CONFTEST)
    shop.write("test_orders.py", PYTEST_TESTS)
    shop.write("pytest.ini", "[pytest]\nDJANGO_SETTINGS_MODULE = shop_settings\n")
    return shop


def under_django(shop: Installation) -> Report:
    return shop.manage("test", "orders")


def under_pytest(shop: Installation) -> Report:
    return shop.run("-m", "pytest", "-p", "pytest_django.plugin", "-rA", "orders/tests.py", "test_orders.py")


def test_working_shop_passes(shop: Installation) -> None:
    report = under_django(shop)
    assert report.code == 0, report.error
    assert "Ran 7 tests" in report.error
    report = under_pytest(shop)
    assert report.code == 0, report.out
    assert "11 passed" in report.out


SHUT = """
from django.http import HttpResponse


def middleware(get_response):
    return lambda request: HttpResponse(status=403) if "/notification/" in request.path else get_response(request)
"""

PAID_BY_NOTIFICATION = {
    "buyer_can_retry_after_a_decline",
    "buyer_pays_the_orders_total",
    "repeated_notification_is_delivered_once",
    "every_encoding_is_delivered_once",
    "late_payment_is_delivered",
}
PAID = PAID_BY_NOTIFICATION | {"lost_notification_is_recovered"}
UNPAID = {"nothing_is_delivered_for_another_amount_or_a_forged_url"}
BUILT_IN_PAGE = {"page_of_a_paid_payment_is_shown"}

# What is written in place of what, where, and which of the tests must see it.
BREAKAGES = {
    "nothing is delivered": ("orders/apps.py", "order.times_delivered += 1", "pass", PAID),
    "the receiver fails": ("orders/apps.py", "order.times_delivered += 1", "raise ValueError", PAID | BUILT_IN_PAGE),
    "the unpaid is delivered": ("orders/apps.py", "(payment_succeeded)", "(payment_flagged)", PAID | UNPAID),
    "nothing is released": ("orders/apps.py", "is_released = True", "pk", {"late_payment_is_delivered"}),
    "another amount is asked": ("orders/models.py", "=self.total", "=100", {"buyer_pays_the_orders_total"}),
    "the door is shut": (
        "shop_settings.py",
        "django.middleware.csrf.CsrfViewMiddleware",
        "orders.shut.middleware",
        PAID_BY_NOTIFICATION | UNPAID | BUILT_IN_PAGE | {"nothing_is_delivered_for_another_amount"},
    ),
}


def test_broken_shop_fails_under_the_django_runner(shop: Installation) -> None:
    shop.write("orders/apps.py", APPS.replace("order.times_delivered += 1", "pass"))
    report = under_django(shop)
    failures = set(re.findall(r"^FAIL: test_(\w+)", report.error, re.MULTILINE))
    assert failures == PAID - {"repeated_notification_is_delivered_once"}, report.error


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_broken_shop_fails(shop: Installation, breakage: str) -> None:
    name, text, broken, expected = BREAKAGES[breakage]
    source = (shop.folder / name).read_text(encoding="utf-8")
    assert text in source
    shop.write(name, source.replace(text, broken))
    shop.write("orders/shut.py", SHUT)

    report = under_pytest(shop)
    assert set(re.findall(r"^FAILED \S+::test_(\w+)", report.out, re.MULTILINE)) == expected, report.out
