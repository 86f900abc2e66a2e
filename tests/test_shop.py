"""The shop's identity, and how it is shown."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.template import Context, Template
from django.test import Client
from django.utils.html import escape

from django_paiementpro.conf import conf
from django_paiementpro.models import Payment
from django_paiementpro.shop import Shop
from django_paiementpro.testing import make_payment

CONTACT = Template("{% load paiementpro %}{% shop_contact payment %}")
WHOLE = {
    "name": "Chez Awa",
    "logo": "shop/logo.svg",
    "phone": "07 07 12 34 56",
    "whatsapp": "+221 77 123 45 67",
    "email": "awa@example.com",
    "address": "Rue 12, Treichville",
    "registration": "CI-ABJ-2026-B-1",
    "tax_id": "1234567 A",
    "terms_url": "/terms/",
}
MANIFEST = {
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
}


def test_shop_without_an_identity_has_empty_texts() -> None:
    shop = conf.shop
    assert shop == Shop()
    assert (shop.logo_url, shop.phone_url, shop.whatsapp_url("a"), shop.mail_url("a", "b")) == ("", "", "", "")
    assert not shop.has_contact


@pytest.mark.parametrize("key", ["phone", "whatsapp", "email"])
def test_any_way_to_reach_the_shop_is_a_contact(key: str) -> None:
    assert Shop(**{key: "+225 07 07 12 34 56"}).has_contact


def test_contact_links_are_complete() -> None:
    shop = Shop(**WHOLE)
    assert shop.phone_url == "tel:+2250707123456"
    assert shop.whatsapp_url("a b&c") == "https://wa.me/221771234567?text=a%20b%26c"
    assert shop.mail_url("a?", "b\nc") == "mailto:awa@example.com?subject=a%3F&body=b%0Ac"
    assert Shop(email="a&b?c@example.com").mail_url("", "").startswith("mailto:a%26b%3Fc@example.com?")


@pytest.mark.parametrize("logo", ["https://cdn.example.com/l.png", "shop/logo.svg"])
def test_logo_is_a_url_or_a_static_file(logo: str, settings: Any) -> None:
    settings.STATIC_URL = "/files/"
    assert Shop(logo=logo).logo_url == (logo if "://" in logo else "/files/shop/logo.svg")


def test_logo_that_was_not_collected_is_left_out(settings: Any, tmp_path: Any) -> None:
    settings.STATIC_ROOT, settings.STORAGES = tmp_path, MANIFEST
    assert Shop(logo="shop/nowhere.svg").logo_url == ""


def contact(payment: Payment | None) -> str:
    return CONTACT.render(Context({"payment": payment}))


@pytest.mark.django_db
def test_messages_to_the_shop_are_written_already(settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = WHOLE
    payment = make_payment()

    content = contact(payment)

    text = f"Hello, I am writing about payment {payment.reference}, 12\u202f500\u00a0F\u00a0CFA: "
    whatsapp, mail = conf.shop.whatsapp_url(text), conf.shop.mail_url(f"Payment {payment.short_reference}", text)
    for url in (whatsapp, mail, "tel:+2250707123456"):
        assert f'href="{escape(url)}"' in content
    assert parse_qs(urlsplit(whatsapp).query)["text"] == [text]


def test_contact_without_a_payment_has_no_message(settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = WHOLE
    content = contact(None)
    assert 'href="https://wa.me/221771234567?text="' in content
    assert "Hello" not in content


def test_shop_that_cannot_be_reached_has_no_contact(settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = {"name": "Chez Awa"}
    assert contact(None).strip() == ""


@pytest.mark.parametrize("key", ["phone", "whatsapp", "email"])
def test_only_what_is_set_is_shown(settings: Any, key: str) -> None:
    settings.PAIEMENTPRO_SHOP = {key: WHOLE[key]}
    assert contact(None).count("<li>") == 1


# On the pages


def pages(client: Client) -> list[str]:
    """Return each payer page but the sharable one."""
    payments = [make_payment(status=status, attempt=1) for status in Payment.Status.values]
    urls = [payment.get_return_url() for payment in payments]
    urls += [make_payment(customer_phone="").get_checkout_url(), make_payment(currency="EUR").get_checkout_url()]
    return [client.get(url, headers={"accept-language": "en"}).content.decode() for url in urls]


@pytest.mark.django_db(transaction=True)
def test_every_page_shows_the_shop(client: Client, settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = {**WHOLE, "name": "Chez <Awa>"}
    for content in pages(client):
        assert "· Chez &lt;Awa&gt;</title>" in content
        assert '<img src="/static/shop/logo.svg" alt="">' in content
        assert "<span>Chez &lt;Awa&gt;</span>" in content
        assert content.count("https://wa.me/221771234567?text=Hello") == 1
        for text in ("Rue 12, Treichville", "Trade register: CI-ABJ-2026-B-1", "Taxpayer number: 1234567 A"):
            assert text in content
        assert '<a href="/terms/">Terms of sale</a>' in content
        assert len(content.encode()) < 15_000


@pytest.mark.django_db(transaction=True)
def test_pages_without_an_identity_have_no_empty_places(client: Client) -> None:
    for content in pages(client):
        for mark in ("<header", 'class="contact"', 'class="small seller"', "<img", " · "):
            assert mark not in content


@pytest.mark.django_db
def test_logo_without_a_name_has_a_text(client: Client, settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = {"logo": "https://cdn.example.com/logo.png"}
    content = client.get(make_payment().get_return_url(), headers={"accept-language": "en"}).content.decode()
    assert '<img src="https://cdn.example.com/logo.png" alt="Logo">' in content
