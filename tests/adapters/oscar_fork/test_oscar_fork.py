from django.test import Client
from oscar.core.loading import get_class

from django_paiementpro.contrib.oscar.checkout.calculators import OrderTotalCalculator
from django_paiementpro.contrib.oscar.orders import order_url
from django_paiementpro.testing import FakeGateway, come_back, pay
from tests.adapters.cases import warnings
from tests.adapters.oscar.shop import Order, check_out, make_product
from tests.adapters.oscar.test_oscar import TestOscar as OscarCases
from tests.adapters.oscar.test_oscar import payment_of


class TestOscarFork(OscarCases):
    """The twelve cases, in a shop that has its own fork of oscar's checkout."""


def test_shop_has_its_own_checkout_and_ours_in_it(db: None) -> None:
    client = Client()
    with FakeGateway() as gateway:
        client.get(check_out(client, make_product())["Location"])
        order = Order.objects.get()
        payment = payment_of(order)
        assert gateway.page_requests[0].channel == "WAVECI"
        assert come_back(pay(payment), client=client)["Location"] == order_url(order)
    assert get_class("checkout.calculators", "OrderTotalCalculator") is OrderTotalCalculator
    assert not [name for name in warnings() if name.startswith("paiementpro")]
