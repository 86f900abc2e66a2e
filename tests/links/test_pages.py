"""What customers, crawlers and messengers see of a link."""

import re
from datetime import timedelta
from html import unescape
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.test import Client
from django.utils import timezone

from django_paiementpro.links import services
from django_paiementpro.links.models import PaymentLink
from django_paiementpro.models import Payment
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import Statements
from tests.links.conftest import CUSTOMER, MakeLink, form_of, key_in

pytestmark = pytest.mark.django_db

MAX_WEIGHT = 20_000

SHOP = {
    "name": "Chez Awa",
    "logo": "shop/logo.svg",
    "phone": "+225 07 00 00 00 00",
    "whatsapp": "+225 05 00 00 00 00",
    "email": "boutique@example.com",
    "address": "Plateau, Abidjan",
    "registration": "CI-ABJ-2026-B-00000",
    "tax_id": "0000000 A",
    "terms_url": "/terms/",
}

CRAWLERS = {
    "whatsapp": "WhatsApp/2.23.20.0 A",
    "facebook": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "facebook-bot": "Mozilla/5.0 (compatible; FacebookBot/1.0; +https://developers.facebook.com/docs/sharing/webmasters)",
    "telegram": "TelegramBot (like TwitterBot)",
    "google": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
}

WRITES = ("INSERT", "UPDATE", "DELETE", "WITH", "SAVEPOINT", "REPLACE")


@pytest.fixture
def shop(settings: Any) -> dict[str, str]:
    settings.PAIEMENTPRO_SHOP = SHOP
    return SHOP


def page(client: Client, link: PaymentLink, status: int = 200, query: str = "", **options: Any) -> str:
    response = client.get(link.get_absolute_url() + query, **options)
    assert response.status_code == status
    return response.content.decode()


def meta(content: str) -> dict[str, str]:
    """Return the Open Graph tags."""
    found = re.findall(r'<meta property="([^"]+)" content="([^"]*)">', content)
    return {name: unescape(value) for name, value in found}


# The page


def test_page_says_who_sells_what_for_how_much(client: Client, make_link: MakeLink, shop: dict[str, str]) -> None:
    content = page(client, make_link(description="Bleu.\n\nLivré demain.", customer_name="Mme Traoré"))

    for text in ("Chez Awa", "Pagne wax, 6 yards", "12\u202f500\u00a0F\u00a0CFA", "<p>Bleu.</p>", "For Mme Traoré"):
        assert text in content
    for text in (shop["address"], shop["registration"], shop["tax_id"], shop["phone"], shop["email"], 'href="/terms/"'):
        assert text in content
    assert "https://wa.me/2250500000000" in content
    assert "Until you pay, you can come back and correct your details." in content


def test_page_of_a_shop_without_an_identity_shows_no_empty_footer(client: Client, link: PaymentLink) -> None:
    content = page(client, link)
    assert "<footer" not in content
    assert "og:site_name" not in content


@pytest.mark.parametrize("key", ["name", "address", "registration", "tax_id", "terms_url", "email"])
def test_each_part_of_the_identity_stands_alone(client: Client, link: PaymentLink, settings: Any, key: str) -> None:
    settings.PAIEMENTPRO_SHOP = {key: SHOP[key]}
    content = page(client, link)
    assert SHOP[key] in content[content.index("<footer") :]


def test_page_asks_for_what_the_gateway_needs(client: Client, link: PaymentLink) -> None:
    content = page(client, link)

    inputs = {
        re.search(r'name="(\w+)"', tag)[1]: tag  # type: ignore[index]
        for tag in re.findall(r"<(?:input|select)[^>]*>", content)
    }
    assert list(inputs) == ["form_key", *CUSTOMER, "channel"]
    assert 'autocomplete="given-name"' in inputs["customer_first_name"]
    assert 'inputmode="email"' in inputs["customer_email"]
    assert 'type="tel"' in inputs["customer_phone"]
    assert "csrfmiddlewaretoken" not in content


def test_channel_of_the_link_is_not_asked_for(client: Client, make_link: MakeLink) -> None:
    assert 'name="channel"' not in page(client, make_link(channel="WAVECI"))


def test_offered_channels_are_those_of_the_account(client: Client, link: PaymentLink, settings: Any) -> None:
    settings.PAIEMENTPRO_CHANNELS = ["WAVECI", ("NEWPAY", "New Pay")]
    values = re.findall(r'<option value="(\w*)"', page(client, link))
    assert values == ["", "WAVECI", "NEWPAY"]


def test_open_amount_is_asked_for(client: Client, make_link: MakeLink) -> None:
    content = page(client, make_link(amount=None, min_amount=500, max_amount=50000, suggested_amounts=[1000, 5000]))

    assert "From 500\u00a0F\u00a0CFA to 50\u202f000\u00a0F\u00a0CFA." in content
    assert re.findall(r'type="radio" name="amount" value="(\d+)"', content) == ["1000", "5000"]
    assert 'inputmode="numeric"' in content
    assert "Another amount" in content


def test_open_amount_without_suggestions_is_one_field(client: Client, make_link: MakeLink) -> None:
    content = page(client, make_link(amount=None))
    assert "From 100\u00a0F\u00a0CFA." in content
    assert "<fieldset" not in content


def test_page_is_not_indexed_cached_or_told_to_other_sites(client: Client, link: PaymentLink) -> None:
    response = client.get(link.get_absolute_url())

    assert response["Referrer-Policy"] == "no-referrer"
    assert response["X-Robots-Tag"] == "noindex"
    assert "no-store" in response["Cache-Control"]
    content = response.content.decode()
    assert '<meta name="robots" content="noindex">' in content
    # The last one counts.
    assert re.findall('<meta name="referrer" content="([^"]+)">', content)[-1] == "no-referrer"


def test_page_is_in_the_customers_language(client: Client, link: PaymentLink) -> None:
    content = page(client, link, headers={"Accept-Language": "fr"})
    assert '<html lang="fr">' in content


@pytest.mark.parametrize("language", ["en", "fr"])
def test_page_is_light(client: Client, make_link: MakeLink, shop: dict[str, str], language: str) -> None:
    link = make_link(title="é" * 500, description="Bleu " * 100, amount=None, suggested_amounts=list(range(1000, 1012)))
    response = client.post(link.get_absolute_url(), {"form_key": "x"}, headers={"Accept-Language": language})
    assert response.status_code == 400
    assert len(response.content) < MAX_WEIGHT


def test_title_of_500_characters_and_emoji_survive(client: Client, make_link: MakeLink) -> None:
    title = ("Gâteau 🎂 " * 60)[:499] + "🎉"
    assert title in page(client, make_link(title=title))


# Previews


def test_preview_has_title_amount_shop_and_address(client: Client, link: PaymentLink, shop: dict[str, str]) -> None:
    assert meta(page(client, link)) == {
        "og:type": "website",
        "og:title": "Pagne wax, 6 yards · 12\u202f500\u00a0F\u00a0CFA",
        "og:description": "Pay Chez Awa by mobile money or card.",
        "og:url": f"https://testserver/pay/{link.token}/",
        "og:site_name": "Chez Awa",
        "og:image": "https://testserver/static/shop/logo.svg",
    }


def test_preview_of_an_open_amount_has_none(client: Client, make_link: MakeLink) -> None:
    tags = meta(page(client, make_link(amount=None)))
    assert tags["og:title"] == "Pagne wax, 6 yards"
    assert tags["og:description"] == "Pay by mobile money or card."
    assert "og:image" not in tags


def test_logo_elsewhere_keeps_its_address(client: Client, link: PaymentLink, settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = {"logo": "https://cdn.example/logo.png"}
    assert meta(page(client, link))["og:image"] == "https://cdn.example/logo.png"


def test_preview_does_not_name_the_customer(client: Client, make_link: MakeLink) -> None:
    content = page(client, make_link(customer_name="Mme Traoré", customer_phone="+2250101010101"))
    assert "Traoré" not in content[: content.index("<body>")]
    assert "0101010101" not in content


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize("agent", CRAWLERS.values(), ids=CRAWLERS)
def test_crawler_changes_nothing(
    client: Client, link: PaymentLink, statements: Statements, gateway: FakeGateway, agent: str, method: str
) -> None:
    headers = {"User-Agent": agent, "Accept": "*/*"}
    with statements:
        response = getattr(client, method)(link.get_absolute_url(), headers=headers)

    assert response.status_code == 200
    assert [sql for sql in statements if sql.startswith(WRITES)] == []
    assert gateway.page_requests == []
    assert not Payment.objects.exists()
    assert not response.cookies
    if method == "get":
        assert meta(response.content.decode())["og:title"].startswith("Pagne wax")
    else:
        assert response.content == b""


@pytest.mark.parametrize(
    "query", ["?fbclid=IwAR0abc", "?utm_source=wa&amount=1", "?form_key=x&customer_email=a", "?%00"]
)
def test_parameters_of_crawlers_are_harmless(client: Client, link: PaymentLink, query: str) -> None:
    content = page(client, link, query=query)
    assert meta(content)["og:url"] == f"https://testserver/pay/{link.token}/"


def test_each_form_has_a_key_of_its_own(client: Client, link: PaymentLink) -> None:
    one, other = (key_in(page(client, link).encode()) for _ in range(2))
    assert one != other


# States


@pytest.mark.parametrize(
    ("values", "heading"),
    [
        ({"is_active": False}, "This payment link is closed"),
        ({"expires_at": timezone.now() - timedelta(hours=1)}, "This payment link has expired"),
        ({"is_reusable": True, "max_payments": 1}, "No places are left"),
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_closed_link_says_what_to_do(
    client: Client, make_link: MakeLink, shop: dict[str, str], values: dict[str, Any], heading: str, method: str
) -> None:
    link = make_link(**values)
    if values.get("max_payments"):
        make_payment(content_object=link)
    count = Payment.objects.count()

    for data in ({}, {**CUSTOMER, "form_key": services.new_form_key(link)}):
        response = getattr(client, method)(link.get_absolute_url(), data)

        assert response.status_code == 410
        content = response.content.decode()
        assert f"<h1>{heading}</h1>" in content
        assert "You have not been charged." in content
        assert "https://wa.me/" in content
        assert response["X-Robots-Tag"] == "noindex"
        assert "<form" not in content
        assert Payment.objects.count() == count


def test_closed_link_shows_the_words_of_the_shop(client: Client, make_link: MakeLink) -> None:
    link = make_link(is_active=False, closed_message="Rupture de stock.\nÀ lundi !")
    assert "<p>Rupture de stock.<br>À lundi !</p>" in page(client, link, 410)


@pytest.mark.parametrize("method", ["get", "post"])
def test_paid_link_takes_no_money(client: Client, link: PaymentLink, method: str) -> None:
    make_payment(content_object=link, status="succeeded")
    response = getattr(client, method)(link.get_absolute_url(), {**CUSTOMER, "form_key": services.new_form_key(link)})

    assert response.status_code == 200
    content = response.content.decode()
    assert "<h1>This has been paid</h1>" in content
    assert "<form" not in content
    assert Payment.objects.count() == 1


@pytest.mark.parametrize(
    "token", ["0" * 24, "x", "A" * 24, "a" * 33, "a" * 5000, "é", "%00", "..", "a%20b", "a'--", "%F0%9F%8E%89"]
)
@pytest.mark.parametrize("path", ["", "qr.svg", "qr.png"])
def test_unknown_token_is_a_page_of_the_shop(client: Client, shop: dict[str, str], token: str, path: str) -> None:
    for method in ("get", "head", "post"):
        response = getattr(client, method)(f"/pay/{token}/{path}")
        assert response.status_code == 404
        assert response["X-Robots-Tag"] == "noindex"
        if method == "get":
            assert "This payment link does not exist" in response.content.decode()
            assert "Chez Awa" in response.content.decode()


def test_token_is_compared_to_the_letter(client: Client, make_link: MakeLink) -> None:
    make_link(token="abcdef")
    assert client.get("/pay/abcdef/").status_code == 200
    assert client.get("/pay/ABCDEF/").status_code == 404


def test_other_methods_are_not_allowed(client: Client, link: PaymentLink) -> None:
    for method in ("put", "delete", "patch"):
        assert getattr(client, method)(link.get_absolute_url()).status_code == 405
    assert client.options(link.get_absolute_url())["Allow"] == "GET, POST, HEAD, OPTIONS"


# What people write

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7|add:1 }}{% now %}"


def test_html_in_every_field_of_the_link_is_inert(client: Client, make_link: MakeLink, settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = {"name": EVIL, "address": EVIL, "registration": EVIL, "tax_id": EVIL}
    texts = dict.fromkeys(("title", "description", "customer_name", "closed_message", "success_message"), EVIL)
    for content in (
        page(client, make_link(**texts)),
        page(client, make_link(**texts, amount=None, suggested_amounts=[500])),
        page(client, make_link(**texts, is_active=False), 410),
    ):
        assert "<script>alert" not in content
        assert "<img" not in content
        assert "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&gt;&lt;img src=x" in content


def test_html_in_every_answer_is_inert(client: Client, make_link: MakeLink) -> None:
    link = make_link(amount=None)
    answers = dict.fromkeys(("amount", "channel", "form_key", *CUSTOMER), EVIL)
    response = client.post(link.get_absolute_url(), answers)

    assert response.status_code == 400
    content = response.content.decode()
    assert "<script>alert" not in content
    assert "<img" not in content


# QR codes


def test_qr_code_is_of_the_https_address(client: Client, link: PaymentLink, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    for name in ("svg", "png"):
        monkeypatch.setattr(f"django_paiementpro.qr.{name}", lambda url: drawn.append(url) or "")
        client.get(f"{link.get_absolute_url()}qr.{name}", headers={"Host": "testserver"})
    assert drawn == [f"https://testserver/pay/{link.token}/"] * 2


def test_qr_code_as_svg(client: Client, link: PaymentLink) -> None:
    response = client.get(link.get_absolute_url() + "qr.svg")

    assert (response.status_code, response["Content-Type"]) == (200, "image/svg+xml")
    root = ET.fromstring(response.content)
    assert root.tag.endswith("svg")
    assert "viewBox" in root.attrib
    assert "width" not in root.attrib


def test_qr_code_as_png(client: Client, link: PaymentLink) -> None:
    response = client.get(link.get_absolute_url() + "qr.png")

    assert (response.status_code, response["Content-Type"]) == (200, "image/png")
    assert response.content.startswith(b"\x89PNG\r\n")
    assert client.head(link.get_absolute_url() + "qr.png").status_code == 200
    assert client.post(link.get_absolute_url() + "qr.png").status_code == 405


def test_qr_code_of_a_closed_link_is_still_drawn(client: Client, make_link: MakeLink) -> None:
    assert client.get(make_link(is_active=False).get_absolute_url() + "qr.svg").status_code == 200


def test_address_is_the_requests_where_the_settings_name_none(client: Client, link: PaymentLink, settings: Any) -> None:
    settings.PAIEMENTPRO_SITE_URL = None
    content = page(client, link, headers={"Host": "testserver:8080"})
    assert meta(content)["og:url"] == f"https://testserver/pay/{link.token}/"


def test_form_is_the_same_for_a_visitor_who_is_signed_in(admin_client: Client, link: PaymentLink) -> None:
    assert set(form_of(admin_client, link)) == {"form_key", *CUSTOMER}
