"""The page that is shared with a customer: who asks for what, and a button to the checkout."""

import re
from typing import Any

import pytest
from django.test import Client

from django_paiementpro.models import Payment
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import Statements, columns, stored

pytestmark = pytest.mark.django_db(transaction=True)

SHOP = {"name": "Chez Awa & Fils", "whatsapp": "+225 07 07 12 34 56", "terms_url": "/terms/"}


@pytest.fixture
def client() -> Client:
    """A browser without cookies, at a host that checks CSRF tokens."""
    return Client(enforce_csrf_checks=True, headers={"accept-language": "en"})


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize("status", ["created", "pending", "failed"])
def test_looking_at_the_page_changes_nothing(client: Client, gateway: FakeGateway, method: str, status: str) -> None:
    payment = make_payment(status=status, attempt=int(status != "created"))
    before = columns(stored(payment))

    response = getattr(client, method)(payment.get_pay_url())

    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert columns(stored(payment)) == before
    assert not payment.events.exists()
    assert gateway.page_requests == gateway.look_ups == []


def test_looking_at_the_page_writes_nothing(client: Client, statements: Statements) -> None:
    payment = make_payment()
    with statements:
        client.get(payment.get_pay_url())
    assert len(statements) == 1
    assert statements[0].startswith("SELECT")


@pytest.mark.parametrize("status", ["created", "pending", "failed"])
def test_button_leads_to_the_checkout(client: Client, gateway: FakeGateway, status: str) -> None:
    payment = make_payment(status=status)
    assert '<form method="post">' in client.get(payment.get_pay_url()).content.decode()

    response = client.post(payment.get_pay_url())

    assert (response.status_code, response["Location"]) == (302, payment.get_checkout_url())
    assert gateway.page_requests == []
    assert client.get(response["Location"])["Location"] == gateway.page_url


@pytest.mark.parametrize("method", ["get", "post", "head"])
@pytest.mark.parametrize("status", ["succeeded", "refunded", "expired", "cancelled"])
def test_payment_that_can_no_longer_be_paid_is_shown_by_its_return_page(
    client: Client, method: str, status: str
) -> None:
    payment = make_payment(status=status)

    response = getattr(client, method)(payment.get_pay_url())

    assert (response.status_code, response["Location"]) == (302, payment.get_return_url())


@pytest.mark.parametrize(("attempt", "status"), [(0, 200), (1, 302)])
def test_payment_that_does_not_match_is_not_paid_again(client: Client, attempt: int, status: int) -> None:
    payment = make_payment(status="pending" if attempt else "created", attempt=attempt, needs_review=True)

    response = client.get(payment.get_pay_url())

    assert response.status_code == status
    assert response.get("Location", payment.get_return_url()) == payment.get_return_url()


def test_forged_url_is_not_found(client: Client, statements: Statements) -> None:
    payment = make_payment()
    url = payment.get_pay_url()
    for forged in (
        url[:-2] + ("a/" if url[-2] != "a" else "b/"),
        payment.get_checkout_url().replace("checkout", "pay"),
    ):
        for method in (client.get, client.post):
            with statements:
                assert method(forged).status_code == 404
            assert statements == []


def test_url_of_a_deleted_payment_is_not_found(client: Client) -> None:
    payment = make_payment()
    url = payment.get_pay_url()
    Payment.objects.filter(pk=payment.pk).delete()
    assert client.get(url).status_code == 404


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_not_allowed(client: Client, method: str) -> None:
    assert getattr(client, method)(make_payment().get_pay_url()).status_code == 405


def preview(client: Client, payment: Payment) -> dict[str, str]:
    """Return what a messenger reads of the page."""
    content = client.get(payment.get_pay_url()).content.decode()
    return dict(re.findall(r'<meta property="og:([a-z_]+)" content="([^"]*)">', content))


def test_messenger_previews_amount_purpose_and_shop(client: Client, settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = {**SHOP, "logo": "https://cdn.example.com/logo.png"}
    payment = make_payment(description='School fees <"Term 1">')

    assert preview(client, payment) == {
        "type": "website",
        "title": "School fees &lt;&quot;Term 1&quot;&gt; · 12\u202f500\u00a0F\u00a0CFA",
        "description": "Chez Awa &amp; Fils asks you for this payment.",
        "site_name": "Chez Awa &amp; Fils",
        "image": "https://cdn.example.com/logo.png",
    }


def test_preview_without_a_shop_names_none(client: Client, settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = {"logo": "shop/logo.svg"}  # messengers need a whole URL
    assert preview(client, make_payment()) == {
        "type": "website",
        "title": "Order 1 · 12\u202f500\u00a0F\u00a0CFA",
        "description": "You are asked for this payment.",
    }


def test_page_says_who_asks_for_what(client: Client, settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = SHOP
    content = client.get(make_payment(description="<b>Rent</b>").get_pay_url()).content.decode()
    assert "Chez Awa &amp; Fils asks you for this payment." in content
    assert "&lt;b&gt;Rent&lt;/b&gt;" in content
    assert "12\u202f500\u00a0F\u00a0CFA</h1>" in content
    assert '<a href="/terms/">Terms of sale</a>' in content
    assert '<meta name="robots" content="noindex">' in content
    assert "https://wa.me/2250707123456?text=" in content
    assert len(content.encode()) < 15_000


def test_customer_who_may_have_paid_is_asked_before_paying_again(client: Client) -> None:
    for status, is_asked in (("pending", True), ("created", False), ("failed", False)):
        payment = make_payment(status=status, attempt=1)
        assert (payment.get_return_url() in client.get(payment.get_pay_url()).content.decode()) == is_asked
