"""The checkout asks the customer for what the shop does not know, and for what was wrong."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.test import Client

from django_paiementpro import forms, services
from django_paiementpro.exceptions import GatewayUnavailableError
from django_paiementpro.models import Payment
from django_paiementpro.services import customers
from django_paiementpro.testing import FakeGateway, decline, make_payment, pay
from django_paiementpro.testing.payments import ORDINARY
from tests.conftest import just_before, stored

pytestmark = pytest.mark.django_db(transaction=True)

CUSTOMER = {name: str(ORDINARY[name]) for name in forms.ATTRIBUTES}
BLANK = dict.fromkeys(CUSTOMER, "")
CHANGE = {"QUERY_STRING": "change"}


@pytest.fixture
def client() -> Client:
    """A browser without cookies, at a host that checks CSRF tokens."""
    return Client(enforce_csrf_checks=True)


class Inputs(HTMLParser):
    """The form's fields, by name, with their attributes."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__()
        self.fields: dict[str, dict[str, str | None]] = {}
        self.feed(response.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"input", "select"}:
            values = dict(attrs)
            self.fields[str(values["name"])] = values


def inputs(response: HttpResponse) -> dict[str, dict[str, str | None]]:
    return Inputs(response).fields


def is_at_gateway(response: HttpResponse, gateway: FakeGateway) -> bool:
    return response.status_code == 302 and response["Location"] == gateway.page_url


@pytest.mark.parametrize("name", CUSTOMER)
def test_only_missing_field_is_asked_for(client: Client, gateway: FakeGateway, name: str) -> None:
    payment = make_payment(**{name: ""})

    response = client.get(payment.get_checkout_url())

    assert response.status_code == 200
    assert inputs(response).keys() == {name}
    assert gateway.page_requests == []

    response = client.post(payment.get_checkout_url(), {name: CUSTOMER[name]})

    assert is_at_gateway(response, gateway)
    assert {each: getattr(stored(payment), each) for each in CUSTOMER} == CUSTOMER


@pytest.mark.parametrize(
    ("name", "value"),
    [("customer_phone", "12"), ("customer_phone", "07 07 12 34 56/57"), ("customer_email", "awa@")],
)
def test_invalid_field_is_asked_for_again(client: Client, gateway: FakeGateway, name: str, value: str) -> None:
    response = client.get(make_payment(**{name: value}).get_checkout_url())

    assert response.status_code == 200
    assert inputs(response).keys() == {name}
    assert inputs(response)[name]["value"] == value


def test_form_shows_amount_and_purpose(client: Client) -> None:
    payment = make_payment(**BLANK)

    response = client.get(payment.get_checkout_url(), headers={"accept-language": "fr"})

    text = response.content.decode()
    assert payment.amount_display in text
    assert payment.description in text
    assert "Prénom" in text
    assert "csrfmiddlewaretoken" not in text


def test_browsers_can_fill_the_form_in(client: Client) -> None:
    fields = inputs(client.get(make_payment(**BLANK).get_checkout_url()))

    assert {name: (field["type"], field["autocomplete"], field.get("inputmode")) for name, field in fields.items()} == {
        "customer_first_name": ("text", "given-name", None),
        "customer_last_name": ("text", "family-name", None),
        "customer_email": ("email", "email", "email"),
        "customer_phone": ("tel", "tel", "tel"),
    }


def test_posting_the_form_changes_nothing_else(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment(customer_phone="")
    before = stored(payment)
    others = {"customer_email": "thief@example.com", "amount": "100", "channel": "WAVECI", "status": "succeeded"}

    client.post(payment.get_checkout_url(), {"customer_phone": "0707123456", **others})

    after = stored(payment)
    assert after.customer_phone == "0707123456"
    for name in ("customer_email", "customer_first_name", "amount", "channel", "description"):
        assert getattr(after, name) == getattr(before, name)
    assert after.status == "pending"


def test_complete_payment_takes_no_answers(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment()

    response = client.post(payment.get_checkout_url(), {"customer_phone": "05 05 12 34 56", "channel": "WAVECI"})

    assert is_at_gateway(response, gateway)
    assert stored(payment).customer_phone == payment.customer_phone


def test_open_page_keeps_what_it_was_opened_with(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment()
    services.initialize_payment(payment)

    for query in ({}, CHANGE):
        response = client.post(
            payment.get_checkout_url(), {"customer_phone": "05 05 12 34 56", "channel": "WAVECI"}, **query
        )
        assert is_at_gateway(response, gateway)

    assert (stored(payment).customer_phone, stored(payment).channel, stored(payment).attempt) == (
        payment.customer_phone,
        "",
        1,
    )


def test_invalid_answers_are_asked_for_again(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment(**BLANK)

    response = client.post(payment.get_checkout_url(), {**CUSTOMER, "customer_phone": "12"})

    fields = inputs(response)
    assert response.status_code == 400
    assert gateway.page_requests == []
    assert {name: field["value"] for name, field in fields.items()} == {**CUSTOMER, "customer_phone": "12"}
    assert [name for name, field in fields.items() if "aria-invalid" in field] == ["customer_phone"]
    assert "customer_phone_error" in str(fields["customer_phone"]["aria-describedby"])
    assert "Enter a telephone number" in response.content.decode()
    # The valid ones are stored, and need not be sent again.
    assert [name for name, field in fields.items() if "readonly" not in field] == ["customer_phone"]
    assert inputs(client.get(payment.get_checkout_url())).keys() == {"customer_phone"}
    assert is_at_gateway(client.post(payment.get_checkout_url(), {"customer_phone": "0707123456"}), gateway)


@pytest.mark.parametrize("name", CUSTOMER)
@pytest.mark.parametrize("value", ["", " ", "\x00", "x" * 300, "<script>alert(1)</script>"])
def test_rubbish_is_refused_or_inert(client: Client, gateway: FakeGateway, name: str, value: str) -> None:
    payment = make_payment(**{name: ""})

    response = client.post(payment.get_checkout_url(), {name: value})

    is_name = name.endswith("_name") and value.startswith("<script>")
    assert response.status_code == (302 if is_name else 400)
    assert b"<script>alert" not in response.content


def test_bare_post_shows_the_form(client: Client) -> None:
    response = client.post(make_payment(customer_phone="").get_checkout_url())

    assert response.status_code == 200
    assert inputs(response).keys() == {"customer_phone"}


@pytest.mark.parametrize("values", [{"description": ""}, {"currency": "EUR"}, {"amount": 5}, {"channel": "NONE"}])
def test_no_form_where_the_shop_is_at_fault(client: Client, values: dict[str, Any]) -> None:
    payment = make_payment(customer_phone="", **values)

    for response in (client.get(payment.get_checkout_url()), client.post(payment.get_checkout_url(), CUSTOMER)):
        assert response.status_code == 400
        assert inputs(response) == {}
    assert stored(payment).customer_phone == ""


def test_prefetch_shows_no_form(client: Client) -> None:
    response = client.get(make_payment(customer_phone="").get_checkout_url(), headers={"sec-purpose": "prefetch"})

    assert response.status_code == 403
    assert inputs(response) == {}


@pytest.mark.parametrize("status", ["succeeded", "refunded", "expired", "cancelled"])
def test_ended_payment_takes_no_answers(client: Client, status: str) -> None:
    payment = make_payment(customer_phone="", status=status, attempt=1)

    response = client.post(payment.get_checkout_url(), CUSTOMER)

    assert response["Location"] == payment.get_return_url()
    assert stored(payment).customer_phone == ""


def test_failed_payment_offers_another_number(client: Client, gateway: FakeGateway) -> None:
    payment = decline(make_payment(channel="OMCIV2"))
    link = f"{payment.get_checkout_url()}?change"
    assert f'href="{link}"' in client.get(payment.get_return_url()).content.decode()

    response = client.get(link)

    assert response.status_code == 200
    assert inputs(response).keys() == {"channel", "customer_phone"}
    assert re.search('<option value="OMCIV2" selected', response.content.decode())
    asked = len(gateway.page_requests)

    response = client.post(link, {"channel": "WAVESN", "customer_phone": "77 123 45 67"})

    assert is_at_gateway(response, gateway)
    assert [(page.channel, page.customer_phone) for page in gateway.page_requests[asked:]] == [("WAVESN", "771234567")]
    assert (stored(payment).attempt, stored(payment).status) == (payment.attempt + 1, "pending")


def test_refused_payment_offers_another_number(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment(customer_phone="01 01 01 01 01")
    gateway.refuses("Numero invalide")
    response = client.get(payment.get_checkout_url())
    assert response.status_code == 502
    assert f'href="{payment.get_checkout_url()}?change"' in response.content.decode()
    gateway.opens()

    response = client.post(f"{payment.get_checkout_url()}?change", {"channel": "", "customer_phone": "07 07 12 34 56"})

    assert is_at_gateway(response, gateway)
    assert stored(payment).customer_phone == "07 07 12 34 56"


@pytest.mark.parametrize("channel", ["OMCIV2", "OMSN"])
def test_number_of_a_failed_payment_is_kept_without_being_shown(
    client: Client, gateway: FakeGateway, channel: str
) -> None:
    payment = decline(make_payment(channel="OMCIV2", customer_phone="07 07 12 34 56"))
    link = f"{payment.get_checkout_url()}?change"

    page = client.get(link).content.decode()
    response = client.post(link, {"channel": channel, "customer_phone": ""})

    assert "+225 ******3456" in page
    assert "07 07 12 34" not in page
    assert is_at_gateway(response, gateway)
    assert (stored(payment).channel, stored(payment).phone_number) == (channel, "+2250707123456")
    assert ("customer_phone" in stored(payment).corrected_values) == (channel == "OMSN")


def test_number_that_cannot_be_read_has_to_be_corrected(client: Client) -> None:
    payment = decline(make_payment())
    Payment.objects.filter(pk=payment.pk).update(customer_phone="12")
    link = f"{payment.get_checkout_url()}?change"

    assert client.get(link).status_code == 200
    assert client.post(link, {"channel": "", "customer_phone": ""}).status_code == 400


def test_failed_payment_is_tried_again_as_it_is(client: Client, gateway: FakeGateway) -> None:
    payment = decline(make_payment())

    assert is_at_gateway(client.get(payment.get_checkout_url()), gateway)


def test_wrong_correction_is_refused(client: Client, gateway: FakeGateway, settings: Any) -> None:
    settings.PAIEMENTPRO_CHANNELS = ["OMCIV2", ("NEW", "A new one")]
    payment = decline(make_payment(channel="OMCIV2"))
    link = f"{payment.get_checkout_url()}?change"

    for answers in ({"channel": "WAVECI", "customer_phone": "0707123456"}, {"channel": "NEW", "customer_phone": "12"}):
        response = client.post(link, answers)
        assert response.status_code == 400
        assert "A new one" in response.content.decode()
        assert "readonly" not in str(inputs(response))
    assert (stored(payment).channel, stored(payment).customer_phone) == ("OMCIV2", payment.customer_phone)
    assert is_at_gateway(client.post(link, {"channel": "NEW", "customer_phone": "0707123456"}), gateway)
    assert stored(payment).channel == "NEW"


@pytest.mark.parametrize("status", ["created", "pending"])
def test_only_a_failed_attempt_can_be_changed(client: Client, gateway: FakeGateway, status: str) -> None:
    payment = make_payment(status=status, attempt=int(status == "pending"))

    assert is_at_gateway(client.get(f"{payment.get_checkout_url()}?change"), gateway)


def test_channel_that_is_no_longer_offered_can_be_changed(client: Client, settings: Any) -> None:
    payment = decline(make_payment(channel="WAVECI"))
    settings.PAIEMENTPRO_CHANNELS = ["OMCIV2"]
    assert client.get(payment.get_checkout_url()).status_code == 400

    assert inputs(client.get(f"{payment.get_checkout_url()}?change")).keys() == {"channel", "customer_phone"}


def test_answers_that_come_too_late_are_dropped(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment(customer_phone="")

    with just_before(lambda: pay(make_payment_complete(payment)), "UPDATE", "updated_at"):
        response = client.post(payment.get_checkout_url(), {"customer_phone": "05 05 12 34 56"})

    assert response["Location"] == payment.get_return_url()
    assert (stored(payment).status, stored(payment).customer_phone) == ("succeeded", "07 07 12 34 56")


def make_payment_complete(payment: Payment) -> Payment:
    Payment.objects.filter(pk=payment.pk).update(customer_phone="07 07 12 34 56", status="pending", attempt=1)
    return stored(payment)


@pytest.mark.parametrize("is_read_before", [True, False])
def test_attempt_under_way_keeps_its_data(gateway: FakeGateway, is_read_before: bool) -> None:
    payment = decline(make_payment())
    early = stored(payment)

    def answer(request: Any) -> tuple[int, dict[str, str], bytes]:
        customers.store_answers(early if is_read_before else stored(payment), {"customer_phone": "0505123456"})
        return 200, {}, b""

    gateway.answers(answer)

    with pytest.raises(GatewayUnavailableError):
        services.initialize_payment(payment)

    assert stored(payment).customer_phone == "07 07 12 34 56"


def test_customer_is_found_by_the_answers(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment(**BLANK)

    client.post(payment.get_checkout_url(), CUSTOMER)

    assert "+2250707123456" in stored(payment).search_keys()
    assert services.count_personal_data(phone="+225 07 07 12 34 56").left == 1


def test_messages_name_their_field() -> None:
    payment = Payment(amount=50, currency="XOF", description="")

    with pytest.raises(ValidationError) as error:
        services.validate_payment(payment)

    assert sorted(error.value.messages) == [
        "Amount: Ensure this value is greater than or equal to 100.",
        "Description: This field cannot be blank.",
        "E-mail: This field cannot be blank.",
        "First name: This field cannot be blank.",
        "Last name: This field cannot be blank.",
        "Phone: This field cannot be blank.",
    ]
    with pytest.raises(ValidationError) as error:
        services.validate_payment(payment, customer=False)
    assert sorted(error.value.message_dict) == ["amount", "description"]


def test_valid_payment_passes() -> None:
    services.validate_payment(make_payment())
    services.validate_payment(make_payment(**BLANK), customer=False)
