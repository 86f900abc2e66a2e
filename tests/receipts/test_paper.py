"""The page and the PDF of a receipt, in both languages."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.signing import Signer
from django.test import Client
from django.utils import translation

from django_paiementpro import qr, services
from django_paiementpro.receipts.issuing import issue_receipt
from django_paiementpro.receipts.models import Receipt
from django_paiementpro.receipts.words import amount_in_words
from django_paiementpro.testing import come_back
from tests.receipts.conftest import SHOP, page_of, paid, pdf_of, pdf_text, refund

AMOUNT = "12 500 F CFA"


def both(receipt: Receipt, language: str = "en") -> list[str]:
    return [page_of(receipt, language), pdf_of(receipt, language)]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            [
                "Receipt of payment",
                "Twelve thousand five hundred CFA francs",
                "Orange Money Côte d’Ivoire",
                "This receipt of payment is not a normalised invoice.",
                "Trade register: CI-ABJ-2020-B-123",
            ],
        ),
        (
            "fr",
            [
                "Reçu de paiement",
                "Douze mille cinq cents francs CFA",
                "Orange Money Côte d’Ivoire",
                "Ce reçu de paiement n’est pas une facture normalisée.",
                "RCCM : CI-ABJ-2020-B-123",
            ],
        ),
    ],
)
def test_paper_says_all_that_a_receipt_must(receipt: Receipt, language: str, words: list[str]) -> None:
    payment = receipt.payment
    common = [
        *(receipt.number, AMOUNT, payment.reference, payment.gateway_id, "Awa Koné", "+225 ******3456", "Order 1"),
        *("Chez Awa", "Rue 12, Treichville", "Abidjan", SHOP["phone"], SHOP["email"], SHOP["tax_id"]),
        f"{payment.settled_at:%H:%M} GMT",
    ]
    for text in both(receipt, language):
        for word in [*common, *words]:
            assert word in text
        assert "0707123456" not in text
        assert "07 07 12 34 56" not in text
        assert "facture" not in text.lower() or "n’est pas une facture" in text


def test_hour_is_that_of_the_site_with_its_zone(receipt: Receipt, settings: Any) -> None:
    settings.TIME_ZONE = "Africa/Lagos"
    for text in both(receipt):
        assert "WAT" in text
        assert "GMT" not in text


def test_what_changes_later_does_not_change_the_paper(receipt: Receipt, settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = {"name": "Chez Koffi"}
    settings.PAIEMENTPRO_CHANNELS = [("OMCIV2", "Orange")]
    payment = receipt.payment
    payment.description, payment.customer_first_name = "Another", "Aya"
    payment.save()
    for text in both(receipt):
        assert "Chez Awa" in text
        assert "Awa Koné" in text
        assert "Order 1" in text
        assert "Koffi" not in text
        assert "Another" not in text


def test_status_says_what_was_returned(receipt: Receipt) -> None:
    assert "Status Paid" in pdf_of(receipt)
    part = refund(receipt.payment, 500)
    text = pdf_of(receipt)
    assert f"Refunded in part: 500 F CFA of 12 500 F CFA returned ({part.number})" in text

    rest = refund(receipt.payment, 12000, kind="chargeback")
    for text in both(receipt):
        assert "Refunded: " in text
        assert part.number in text
        assert rest.number in text


def test_refund_without_a_receipt_is_in_the_status_all_the_same(receipt: Receipt) -> None:
    type(receipt.payment).objects.update(refunded_amount=12500)
    assert "Refunded: 12 500" in pdf_of(receipt)


def test_moments_that_are_not_known_are_left_out(receipt: Receipt) -> None:
    Receipt.objects.update(paid_at=None)
    assert "Paid on" not in pdf_of(receipt)


def test_paper_of_a_refund_names_the_first(receipt: Receipt) -> None:
    part = refund(receipt.payment, 500, reference="R-77")
    for text in both(part):
        assert "Receipt of refund" in text
        assert "For receipt" in text
        assert receipt.number in text
        assert "Five hundred CFA francs" in text
        assert "R-77" in text
        assert "500 F CFA of 12 500 F CFA returned so far" in text
        assert "This receipt is not a normalised credit note." in text
    chargeback = refund(receipt.payment, 1000, kind="chargeback")
    for text in both(chargeback, "fr"):
        assert "Reçu de rétrofacturation" in text


@pytest.mark.parametrize(
    ("amount", "currency", "language", "words"),
    [
        (1, "XOF", "fr", "Un franc CFA"),
        (1, "XOF", "en", "One CFA franc"),
        (80, "XOF", "fr", "Quatre-vingts francs CFA"),
        (80_000, "XAF", "fr", "Quatre-vingt mille francs CFA"),
        (200, "XOF", "fr", "Deux cents francs CFA"),
        (1_000_000, "XOF", "fr", "Un million de francs CFA"),
        (3_000_000, "XOF", "fr", "Trois millions de francs CFA"),
        (1_000_000, "XOF", "en", "One million CFA francs"),
        (1_250_000, "XOF", "fr", "Un million deux cent cinquante mille francs CFA"),
        (12_500, "XOF", "en", "Twelve thousand five hundred CFA francs"),
        (12_500, "XOF", "pt", "Twelve thousand five hundred CFA francs"),
        (500, "GNF", "fr", "Cinq cents GNF"),
    ],
)
def test_amount_in_words(amount: int, currency: str, language: str, words: str) -> None:
    with translation.override(language):
        assert amount_in_words(amount, currency) == words


def test_amount_in_words_without_a_language() -> None:
    with translation.override(None):
        assert amount_in_words(1, "XOF") == "One CFA franc"


@pytest.mark.django_db
def test_html_in_every_field_is_inert(settings: Any) -> None:
    evil = "<script>alert(1)</script>"
    settings.PAIEMENTPRO_SHOP = {**SHOP, "name": evil, "address": evil, "registration": evil, "tax_id": evil}
    receipt = paid(description=evil, customer_first_name=evil, customer_last_name=evil, channel="")
    Receipt.objects.update(
        fiscal_reference=evil, fiscal_url="https://tax.example.com/?<b>", channel=evil, gateway_id=evil
    )
    page = page_of(receipt)
    assert evil not in page
    assert "<b>" not in page
    assert "&lt;script&gt;" in page
    assert evil in pdf_of(receipt)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("Ɔkɛ Ŋgɔ Ɗan Ṣọlá Ńdíà", "Ɔkɛ Ŋgɔ Ɗan Ṣọlá Ńdíà"),
        ("Akossiwa\u0301 Gbe\u0301", "Akossiwá Gbé"),
        ("Chaussures 👟 rouges 👩🏾‍🦱!", "Chaussures ? rouges ???!"),
        ("نعم 你好", "??? ??"),
        ("ﬁn ① ㎏", "ﬁn 1 kg"),
        ("a\u3000b\ufe0f", "a b"),
        ("a\u200db\u00a0c\td\x1be", "ab c d e"),
    ],
)
def test_any_letter_survives_or_is_replaced_in_the_pdf(typed: str, printed: str) -> None:
    receipt = paid()
    Receipt.objects.update(description=typed)
    assert printed in pdf_of(receipt)
    assert page_of(receipt)


@pytest.mark.django_db
def test_long_texts_stay_on_the_paper() -> None:
    receipt = paid(description="Une très longue commande " * 10)
    Receipt.objects.update(seller={**SHOP, "address": "\n".join(f"Ligne {number}" for number in range(60))})
    response = Client().get(receipt.get_pdf_url())
    text = pdf_text(response.content)
    assert "Ligne 59" in text
    assert text.count("Une très longue commande") == 10
    assert len(re.findall(rb"/Type /Page\n", response.content)) > 1


@pytest.mark.django_db
@pytest.mark.parametrize("lines", range(20, 52, 3))
def test_codes_and_lines_are_never_cut_by_the_end_of_the_page(lines: int) -> None:
    receipt = paid()
    Receipt.objects.update(
        seller={**SHOP, "address": "\n".join(f"Ligne {number}" for number in range(lines))},
        fiscal_reference="FNE-1",
        fiscal_qr_text="F;NIM;code;IFU;20261130",
    )
    content = Client().get(receipt.get_pdf_url()).content
    assert "This receipt of payment is not a normalised invoice." in pdf_text(content)


@pytest.mark.django_db
def test_paper_without_a_shop(settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = {}
    for text in both(paid()):
        assert "Receipt of payment" in text
        assert "Trade register" not in text


def test_qr_code_is_that_of_the_page(receipt: Receipt) -> None:
    url = f"https://testserver{receipt.get_absolute_url()}"
    assert str(qr.svg_element(url)) in page_of(receipt)


# Who may see it.


def test_link_needs_no_login_and_nothing_else_opens_it(receipt: Receipt) -> None:
    url = receipt.get_absolute_url()
    signed = url.split("/")[-2]
    client = Client()
    for path in (url, receipt.get_pdf_url()):
        response = client.get(path)
        assert response.status_code == 200
        assert response["X-Robots-Tag"] == "noindex"
        assert "no-store" in response["Cache-Control"]
        assert client.head(path).status_code == 200
        assert client.post(path).status_code == 405
        forged = [
            path.replace(signed, receipt.pk),
            path.replace(signed, f"{signed[:-1]}{'A' if signed[-1] != 'A' else 'B'}"),
            path.replace(signed, Signer(sep=".", salt="paiementpro.return").sign(receipt.pk)),
            path.replace(signed, Signer(sep=".", salt="paiementpro.receipt").sign(uuid4().hex)),
        ]
        assert [client.get(each).status_code for each in forged] == [404] * 4
    assert '<meta name="robots" content="noindex">' in client.get(url).content.decode()


def test_name_of_the_pdf(receipt: Receipt) -> None:
    response = Client().get(receipt.get_pdf_url(), headers={"accept-language": "fr"})
    assert response["Content-Disposition"].startswith("inline; filename")
    assert receipt.number in response["Content-Disposition"]


def test_staff_cannot_walk_through_receipts(receipt: Receipt, staff: User) -> None:
    """``/admin/r/`` sends any staff account to the URL of any object, whose key would be easy to guess."""
    client = Client()
    client.force_login(staff)
    kind = ContentType.objects.get_for_model(Receipt).pk
    for key in (1, 2, receipt.payment_id, receipt.number, uuid4()):
        assert client.get(f"/admin/r/{kind}/{key}/").status_code == 404


@pytest.mark.parametrize("settings_prefix", ["", "/boutique"])
def test_urls_have_the_prefix_of_the_script(receipt: Receipt, settings: Any, settings_prefix: str) -> None:
    settings.FORCE_SCRIPT_NAME = settings_prefix or None
    assert receipt.get_absolute_url().startswith(f"{settings_prefix}/receipts/")
    assert receipt.get_pdf_url().endswith("/pdf/")


# The result page.


@pytest.mark.parametrize("language", ["en", "fr"])
def test_result_page_links_to_the_receipt(receipt: Receipt, language: str) -> None:
    client = Client(headers={"accept-language": language})
    text = {"en": "See the receipt", "fr": "Voir le reçu"}[language]
    link = f'<a href="{receipt.get_absolute_url()}">{text}</a>'
    assert link in come_back(receipt.payment, client=client).content.decode()
    refund(receipt.payment, 12500)
    assert receipt.get_absolute_url() in come_back(receipt.payment, client=client).content.decode()


def test_result_page_of_an_unpaid_payment_has_no_link(receipt: Receipt) -> None:
    type(receipt.payment).objects.update(status="failed")
    assert "/receipts/" not in come_back(receipt.payment).content.decode()


def test_result_page_without_a_receipt_has_no_link(receipt: Receipt) -> None:
    Receipt.objects.all()._raw_delete("default")
    assert "/receipts/" not in come_back(receipt.payment).content.decode()


def test_result_page_works_where_the_urls_are_missing(receipt: Receipt, settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.receipts.urls_without"
    response = come_back(receipt.payment)
    assert response.status_code == 200
    assert "Payment received" in response.content.decode()


# Personal data.


def test_erased_person_leaves_the_paper(receipt: Receipt) -> None:
    paper = refund(receipt.payment, 500)
    Receipt.objects.update(
        fiscal_reference="FNE-1",
        fiscal_url="https://tax.example.com/v/1",
        fiscal_qr_text="F;1",
        fiscal_raw={"to": "Awa"},
    )
    kept = {"number", "amount", "currency", "issued_at", "paid_at", "seller", "reference", "gateway_id", "channel"}
    kept |= {"fiscal_reference", "fiscal_url", "fiscal_qr_text", "refunded_on", "merchant_id", "year", "sequence"}
    before = list(Receipt.objects.order_by("sequence").values(*kept))

    services.erase_personal_data(email="awa@example.com")

    assert list(Receipt.objects.order_by("sequence").values(*kept)) == before
    for each in (receipt, paper):
        each.refresh_from_db()
        assert (each.customer_name, each.customer_phone, each.description, each.fiscal_raw) == ("", "", "", None)
        for text in both(each):
            assert "Koné" not in text
            assert "3456" not in text
            assert "Order 1" not in text
            assert "Customer" not in text
            assert receipt.number in text


def test_receipt_that_is_issued_after_the_erasure_has_no_person(receipt: Receipt) -> None:
    payment = receipt.payment
    Receipt.objects.all()._raw_delete("default")
    services.erase_personal_data(email="awa@example.com")

    assert payment.customer_first_name == "Awa"  # a copy from before
    late = issue_receipt(payment)
    assert late
    assert (late.customer_name, late.customer_phone, late.description) == ("", "", "")
