"""What the admin's search finds: the same on every database."""

import unicodedata
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.utils import translation

from django_paiementpro import services
from django_paiementpro.admin.search import MAX_LENGTH, search
from django_paiementpro.models import Payment
from django_paiementpro.testing import make_payment
from shop.models import Order as ShopOrder
from tests.conftest import Notify
from tests.host.models import Gift, Order
from tests.test_admin import client_of, found

pytestmark = pytest.mark.django_db


def result(text: str) -> set[Payment]:
    found = list(search(Payment.objects.all(), text))
    assert len(found) == len(set(found))
    return set(found)


@pytest.fixture
def payment(db: None) -> Payment:
    """A payment, beside one of another customer."""
    make_payment(
        gateway_id="SN7",
        customer_email="binta@example.com",
        customer_first_name="Binta",
        customer_last_name="Diop",
        customer_phone="05 05 05 05 05",
        object_id="43",
    )
    return make_payment(
        reference="a1b2c3d4e5f6a1b2c3d4e5f6",
        attempt=3,
        gateway_id="CI2023-0131/1316 5473-Ab",
        customer_email="Awa.Koné@Example.com",
        customer_first_name="Awa",
        customer_last_name="Koné",
        customer_phone="+225 07-07 12.34 56",
        object_id="42",
    )


# References, orders and transactions


@pytest.mark.parametrize(
    "text",
    [
        "a1b2c3d4e5f6a1b2c3d4e5f6",
        "A1B2C3D4E5F6A1B2C3D4E5F6",
        "a1b2c3d4e5f6a1b2c3d4e5f6-2",
        "A1B2C3D4E5F6A1B2C3D4E5F6-3",
        " a1b2c3d4 ",
        "a1b2",
        "#a1b2c3d4e5f6",
        "a1b2 c3d4",
        "#A1B2  C3D4",
    ],
)
def test_payment_is_found_by_its_reference(payment: Payment, text: str) -> None:
    assert result(text) == {payment}


@pytest.mark.parametrize("text", ["a1b", "b2c3d4", "a1b2c3d4e5f6a1b2c3d4e5f6a", "-2", "a1b2c3d4-2"])
def test_partial_reference_needs_its_first_four_characters(payment: Payment, text: str) -> None:
    assert result(text) == set()


@pytest.mark.parametrize("reference", ["070712345678901234567890", "e5f6e5f6e5f6e5f6e5f6e5f6"])
def test_payment_is_found_by_the_reference_that_its_customer_reads(reference: str) -> None:
    payment = make_payment(reference=reference)
    make_payment(reference=f"{reference[:4]}0000{reference[8:]}")
    assert len(payment.short_reference) == 9
    assert result(payment.short_reference) == {payment}


@pytest.mark.parametrize("text", ["a1b2 c3d", "a1b 2c3d4", "a1b2 c3d4 e5f6"])
def test_other_parts_of_a_reference_are_not_read_as_one(payment: Payment, text: str) -> None:
    assert result(text) == set()


def test_reference_of_the_host_is_found_in_any_case() -> None:
    payment, other = make_payment(reference="INV_2026_X"), make_payment(reference="INV_2027")
    assert result("INV_2026_X") == result("inv_2026_x") == {payment}
    assert result("inv_202") == {payment, other}
    assert result("INV%202") == result("INV2202") == set()


@pytest.mark.parametrize(
    "text",
    [
        "CI2023-0131/1316 5473-Ab",
        "ci2023-0131/1316 5473-ab",
        "CI20230131 13165473AB",
        "CI 2023 0131 1316 5473 AB",
        "\u200eCI2023\u20110131/13165473-Ab\u00a0",
        "\uff23\uff292023013113165473Ab",
    ],
)
def test_payment_is_found_by_the_transaction_id_in_any_spelling(payment: Payment, text: str) -> None:
    assert result(text) == {payment}


@pytest.mark.parametrize("text", ["CI2023", "CI2023-0131/1316 5473-A", "CI2023-0131/1316 5473-Abc", "5473-Ab"])
def test_partial_transaction_id_finds_nothing(payment: Payment, text: str) -> None:
    assert result(text) == set()


@pytest.mark.django_db(transaction=True)
def test_payment_is_found_by_what_the_gateway_notified(notify: Notify) -> None:
    payment = make_payment(status="pending", attempt=1, customer_phone="01 97 12 34 56")
    notify(payment, payId="Tx-7 007", channel="MOMOBJ")
    assert result("tx7007") == result("+229 97 12 34 56") == {payment}
    assert result("+225 01 97 12 34 56") == set()


@pytest.mark.parametrize("text", ["42", "#42"])
def test_payment_is_found_by_the_key_of_its_order(payment: Payment, text: str) -> None:
    assert result(text) == {payment}


@pytest.mark.parametrize("text", ["4", "421", "#", "##", "# 42 #"])
def test_partial_order_key_finds_nothing(payment: Payment, text: str) -> None:
    assert result(text) == set()


@pytest.mark.parametrize("key", ["CMD/2026 é_1", "2026 / 7", "#12", "Koné 7", "0707123456", "a@b.ci"])
def test_order_key_of_any_type_is_found(key: str) -> None:
    order = ContentType.objects.get_for_model(Order)
    payment = make_payment(content_type=order, object_id=key, customer_phone="")
    make_payment(content_type=order, object_id=f"{key}0", customer_phone="")
    make_payment(content_type=order, object_id=f"x{key}", customer_phone="")
    assert result(key) == result(f" {key} ") == result(f"Order {key}") == {payment}


@pytest.mark.parametrize(
    ("language", "texts"),
    [("en", ["Order 13", "order 13", "ORDER  13"]), ("fr", ["Commande 13", "commande 13", "COMMANDE\u00a013"])],
)
def test_order_is_found_as_the_list_shows_it(language: str, texts: list[str]) -> None:
    payment = make_payment(content_object=ShopOrder(pk=13))
    make_payment(content_object=ShopOrder(pk=131))
    make_payment(content_object=User(pk=13))
    make_payment(object_id="13")
    with translation.override(language):
        for text in texts:
            assert result(text) == {payment}


def test_order_of_each_kind_is_found_by_its_kind() -> None:
    order, user = make_payment(content_object=ShopOrder(pk=13)), make_payment(content_object=User(pk=13))
    gift = make_payment(content_object=Gift.objects.create(pk=13))
    assert result("User 13") == {user}
    assert result("Order 13") == {order, gift}  # two apps call something an order
    assert result("13") == {order, user, gift}
    assert result("Product 13") == result("Orders 13") == result("Order") == set()


def test_list_finds_an_order_as_it_shows_it() -> None:
    payment, _other = make_payment(content_object=ShopOrder(pk=13)), make_payment(content_object=ShopOrder(pk=14))
    client = client_of()
    assert found(client, q="Order 13") == [payment.reference]
    client.cookies["django_language"] = "fr"
    assert found(client, q="Commande 13") == [payment.reference]


# Names


def named(first_name: str, last_name: str) -> Payment:
    return make_payment(
        customer_first_name=first_name, customer_last_name=last_name, customer_email="", customer_phone=""
    )


NAMES = {
    ("Awa", "Koné"): ["kone", "KONÉ", "koné", "Kone\u0301", "kon", "Koné Awa", "AWA KONE", "awa  k", "k aw"],
    ("AMINATA", "TRAORE\u0301"): [
        "Traore",
        "traoré",
        "TRAORÉ",
        "Traore\u0301",
        "trao",
        "aminata traoré",
        "Traoré, Aminata",
    ],
    ("Élodie", "Ouédraogo"): ["élodie", "elodie", "E\u0301LODIE", "Élodie OUEDRAOGO", "oued", "ouédraogo el"],
    ("Affoué", "N’Guessan"): [
        *("N'Guessan", "N’Guessan", "n\u02bcguessan", "nguessan", "NGUESSAN", "n guessan", "guessan", "N-Guessan"),
        *("nguess", "Affoué N'Guessan", "nguessan affoue", "guessan affoue"),
    ],
    ("Marie Claire", "Kouassi"): [
        *("Marie Claire Kouassi", "marie claire", "Claire", "Kouassi Marie", "Kouassi Marie Claire", "claire kouassi"),
        *("marie kouassi", "kouassi claire", "Claire Marie", "mar clai koua", "Marie-Claire"),
    ],
    ("Maria", "De Souza"): ["De Souza", "Souza", "souza", "de souza maria", "Maria de S", "maria souza", "souza de"],
    ("Jean-Marc", "Yao"): [
        "Jean-Marc",
        "jeanmarc",
        "jean marc",
        "marc",
        "Jean",
        "yao jean-marc",
        "marc yao",
        "jean yao",
    ],
    ("Cœur", "Œuvrard"): ["coeur", "Oeuvrard", "cœur", "OEUVR"],
    ("Ali\u00ad", "Ba\u200b"): ["ali ba", "ba", "Ba Ali"],
    ("Zoé", ""): ["zoe"],
    ("", "Sanogo"): ["sanogo"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in NAMES.items() for text in texts])
def test_payment_is_found_by_a_name(name: tuple[str, str], text: str) -> None:
    payments = {each: named(*each) for each in NAMES}
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert result(text) == result(composed) == result(decomposed) == {payments[name]}


@pytest.mark.parametrize(
    "text", ["one", "wa", "koné diop", "awa awa diop", "kone-awa-b", "konee", "diop kone", "aw on"]
)
def test_middle_of_a_name_or_another_name_finds_nothing(payment: Payment, text: str) -> None:
    assert result(text) == set()


def test_long_name_is_found_by_its_first_words() -> None:
    words = ["Ahou", "Brou", "Djéni", "Ehui", "Fanta", "Gbané", "Hien", "Issa"]
    payment = named(" ".join(words[:4]), " ".join(words[4:]))
    for word in words:
        assert result(word) == {payment}
    assert result(" ".join(words)) == result(" ".join(words[::-1])) == {payment}


def test_names_are_found_after_they_were_corrected() -> None:
    payment = named("Awa", "Diop")
    payment.customer_last_name = "Koné"
    payment.save()
    assert result("kone") == {payment}
    assert result("diop") == set()


# E-mail addresses


@pytest.mark.parametrize(
    "text",
    [
        "Awa.Koné@Example.com",
        "awa.koné@example.com",
        "AWA.KONÉ@EXAMPLE.COM",
        "awa.kone@example.com",
        "awa.kone\u0301@example.com",
        " awa.koné@example.com ",
        "awa.kone@exam",
        "AWA.KONE@",
    ],
)
def test_payment_is_found_by_the_address_or_its_beginning(payment: Payment, text: str) -> None:
    assert result(text) == {payment}


@pytest.mark.parametrize(
    "text", ["kone@example.com", "@example.com", "awa_kone@", "awa%@", "awa.kone@example.com.ci", "@"]
)
def test_other_parts_of_an_address_find_nothing(payment: Payment, text: str) -> None:
    assert result(text) == set()


def test_address_stored_with_spaces_is_found() -> None:
    payment = make_payment(customer_email=" Élodie@Example.com ")
    assert result("élodie@example.com") == result("elodie@") == {payment}


# Telephone numbers


@pytest.mark.parametrize(
    "text",
    [
        "0707123456",
        "07 07 12 34 56",
        "07-07-12-34-56",
        "07.07.12.34.56",
        "07/07/12/34/56",
        "+225 07 07 12 34 56",
        "+2250707123456",
        "00225.07.07.12.34.56",
        "(225) 07-07-12-34-56",
        "(+225) 07 07 12 34 56",
        "225 0707123456",
        "\u202a+225 07 07 12 34 56\u202c",
        "\u200e0707123456\u200f",
        "07\u200b07\u00ad12\ufeff3456",
        "07\u201107\u201112\u201134\u201156",
        "07\u201307\u201312\u201334\u201356",
        "07\u200707\u200712\u200734\u200756",
        "07\u202f07\u00a012 34 56",
        "\u0660\u0667\u0660\u0667\u0661\u0662\u0663\u0664\u0665\u0666",
        "\uff0b\uff12\uff12\uff15 07 07 12 34 56",
    ],
)
@pytest.mark.parametrize("written", ["+225 07-07 12.34 56", "0707123456", "07\u201107\u201112\u201134\u201156\u202c"])
def test_payment_is_found_by_the_number_in_any_spelling(payment: Payment, written: str, text: str) -> None:
    payment.customer_phone = written
    payment.save()
    assert result(text) == {payment}


@pytest.mark.parametrize("text", ["07 07 12 34", "7 07 12 34 56", "707123456", "07 07 12 34 567", "+221 0707123456"])
def test_partial_number_or_another_country_finds_nothing(payment: Payment, text: str) -> None:
    assert result(text) == set()


@pytest.mark.parametrize(
    "text", ["97 12 34 56", "01 97 12 34 56", "+229 97123456", "+229 01 97 12 34 56", "0022997123456"]
)
@pytest.mark.parametrize("written", ["97 12 34 56", "01 97 12 34 56", "+229 97 12 34 56", "229 01 97 12 34 56"])
def test_old_and_new_numbers_of_benin_are_the_same(written: str, text: str) -> None:
    payment = make_payment(customer_phone=written, channel="MOMOBJ")
    make_payment(customer_phone="+229 01 97 12 34 57")
    assert result(text) == {payment}


def test_national_number_is_looked_for_in_every_country() -> None:
    ivorian = make_payment(customer_phone="01 97 12 34 56", channel="FLOOZ")
    beninese = make_payment(customer_phone="01 97 12 34 56", channel="FLOOZBJ")
    assert result("01 97 12 34 56") == {ivorian, beninese}
    assert result("+225 01 97 12 34 56") == {ivorian}
    assert result("+229 01 97 12 34 56") == result("97123456") == {beninese}


def test_invalid_phone_number_finds_nothing() -> None:
    payment = make_payment(customer_phone="call me", customer_first_name="Awa", customer_last_name="Koné")
    assert result("call me") == set()
    assert result("awa") == {payment}


# The rest


@pytest.mark.parametrize(
    "text",
    [
        "stranger",
        "9999999999",
        "x@y",
        "___",
        "%",
        "_",
        "\\",
        "'",
        "-",
        ".",
        "\x00",
        "a\x00b",
        "é" * 500,
        "\u200b",
        "🦁",
    ],
)
def test_unmatched_text_finds_nothing(payment: Payment, text: str) -> None:
    assert result(text) == set()


def test_empty_search_finds_nothing(payment: Payment) -> None:
    assert len(result("")) == len(result(" \u00a0 ")) == 2


def test_longest_text_is_searched() -> None:
    payment = make_payment(customer_first_name="a" * 150, customer_last_name="b" * (MAX_LENGTH - 151))
    assert result(f"{'a' * 150} {'b' * (MAX_LENGTH - 151)}") == {payment}
    assert result("a" * (MAX_LENGTH + 1)) == set()


def test_ambiguous_text_is_searched_in_every_meaning() -> None:
    by_key = make_payment(object_id="0707123456", customer_phone="")
    by_transaction = make_payment(gateway_id="07-07-12-34-56", customer_phone="")
    by_phone = make_payment(customer_phone="0707123456")
    assert result("07 07 12 34 56") == {by_transaction, by_phone}
    assert result("0707123456") == {by_key, by_transaction, by_phone}


def test_only_given_payments_are_found(payment: Payment) -> None:
    for text in ("awa", "a1b2c3d4", "0707123456", "42"):
        assert list(search(Payment.objects.filter(merchant_id="PP-B"), text)) == []
        assert list(search(Payment.objects.filter(amount=payment.amount), text)) == [payment]


def test_list_is_searched_filtered_and_sorted(payment: Payment) -> None:
    client: Client = client_of()
    other = make_payment(customer_last_name="Kone", status="failed")
    assert found(client, q="kone") == [other.reference, payment.reference]
    assert found(client, q="kone", status="failed") == [other.reference]
    assert found(client, q=payment.reference[:8]) == [payment.reference]


def test_search_finds_no_more_once_personal_data_are_erased(payment: Payment) -> None:
    services.erase_personal_data(phone="0707123456")
    for text in ("kone", "awa.kone@example.com", "0707123456"):
        assert result(text) == set()
    assert result("a1b2c3d4") == result("42") == result("CI2023013113165473ab") == {payment}


@pytest.mark.parametrize("text", ["awa kone", "0707123456", "awa.kone@example.com", "a1b2c3d4", "Order 42"])
def test_search_takes_few_statements(payment: Payment, text: str, django_assert_max_num_queries: Any) -> None:
    ContentType.objects.get_for_model(Order)
    ContentType.objects.get_for_model(ShopOrder)
    with django_assert_max_num_queries(3):
        result(text)
