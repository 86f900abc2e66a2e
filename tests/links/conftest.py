import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

from django_paiementpro import signals
from django_paiementpro.links.models import PaymentLink
from django_paiementpro.models import Payment

#: What a customer fills in.
CUSTOMER = {
    "customer_first_name": "Awa",
    "customer_last_name": "Koné",
    "customer_email": "awa@example.com",
    "customer_phone": "07 07 12 34 56",
}

FORM_KEY = re.compile(r'name="form_key" value="([^"]+)"')

MakeLink = Callable[..., PaymentLink]


@pytest.fixture(autouse=True)
def listening() -> Iterator[None]:
    """Let the app of links listen, and no other."""
    apps.get_app_config("paiementpro_links").ready()
    yield
    signals.payment_succeeded.disconnect(dispatch_uid="paiementpro_links.flag_late_money")


@pytest.fixture
def make_link(db: None) -> MakeLink:
    def make(**values: Any) -> PaymentLink:
        return PaymentLink.objects.create(**{"title": "Pagne wax, 6 yards", "amount": 12500, **values})

    return make


@pytest.fixture
def link(make_link: MakeLink) -> PaymentLink:
    """A single link of 12,500 francs."""
    return make_link()


@pytest.fixture
def reusable(make_link: MakeLink) -> PaymentLink:
    return make_link(is_reusable=True)


def another(number: int) -> dict[str, str]:
    """Return what another customer fills in."""
    return {
        **CUSTOMER,
        "customer_email": f"client{number}@example.com",
        "customer_phone": f"+22507{10000000 + number}",
    }


def key_in(content: bytes) -> str:
    """Return the one-time key of a form."""
    match = FORM_KEY.search(content.decode())
    assert match
    return unescape(match[1])


def form_of(client: Client, link: PaymentLink) -> dict[str, str]:
    """Open the page of a link, and return its form as a customer fills it in."""
    response = client.get(link.get_absolute_url())
    assert response.status_code == 200
    return {"form_key": key_in(response.content), **CUSTOMER}


def buy(client: Client, link: PaymentLink, **values: str) -> Payment:
    """Pay through a link, up to the checkout, and return the payment."""
    response = client.post(link.get_absolute_url(), {**form_of(client, link), **values})
    assert response.status_code == 302, response.content.decode()
    payment = payment_at(response.headers["Location"])
    assert payment.get_checkout_url() == response.headers["Location"]
    return payment


def payment_at(url: str) -> Payment:
    """Return the payment of a checkout URL."""
    return Payment.objects.get(reference=url.rstrip("/").rpartition("/")[2].partition("-")[0])
