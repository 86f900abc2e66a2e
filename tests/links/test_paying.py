"""From the form of a link to the checkout, and to the result."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DataError, OperationalError, connection
from django.test import Client
from django.utils import timezone

from django_paiementpro import services as core
from django_paiementpro import signing, testing
from django_paiementpro.admin.search import search
from django_paiementpro.links import services
from django_paiementpro.links.exceptions import LinkClosedError
from django_paiementpro.links.models import LinkPayment, PaymentLink
from django_paiementpro.links.services import MAX_CHANGES, MAX_POSTS, POSTS_WINDOW, new_form_key, pay_link
from django_paiementpro.models import Payment
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import STATUS_URL, Heard, just_before, stored
from tests.db.test_connections import lose_connection
from tests.links.conftest import CUSTOMER, MakeLink, another, buy, form_of, key_in, payment_at

# Signals are sent after real commits.
pytestmark = pytest.mark.django_db(transaction=True)


# One payment


def test_payment_is_the_links(client: Client, make_link: MakeLink, gateway: FakeGateway) -> None:
    link = make_link(success_url="/thanks/", merchant_id="PP-F999")
    payment = buy(client, link, channel="WAVECI")

    assert payment.content_object == link
    assert list(link.payments) == [payment]
    assert (payment.amount, payment.currency, payment.merchant_id, payment.description, payment.channel) == (
        12500,
        "XOF",
        "PP-F999",
        "Pagne wax, 6 yards",
        "WAVECI",
    )
    assert {name: getattr(payment, name) for name in CUSTOMER} == CUSTOMER
    assert (payment.success_url, payment.status, payment.user) == ("/thanks/", "created", None)
    response = client.get(payment.get_checkout_url())
    assert (response.status_code, response["Location"]) == (302, gateway.page_url)
    [request] = gateway.page_requests
    assert (request.amount, request.customer_phone) == (12500, "0707123456")


def test_channel_of_the_link_wins(client: Client, make_link: MakeLink) -> None:
    assert buy(client, make_link(channel="OMSN"), channel="WAVECI").channel == "OMSN"


def test_phone_is_read_in_the_country_of_the_links_channel(client: Client, make_link: MakeLink) -> None:
    link = make_link(channel="OMSN")
    assert buy(client, link, customer_phone="77 123 45 67").phone_number == "+221771234567"


def test_form_needs_no_session_and_no_csrf_token(link: PaymentLink) -> None:
    client = Client(enforce_csrf_checks=True)
    form = form_of(client, link)
    client.cookies.clear()

    response = client.post(link.get_absolute_url(), form, headers={"Origin": "null"})

    assert response.status_code == 302
    assert not response.cookies


def test_second_customer_of_a_single_link_gets_the_open_payment(
    client: Client, link: PaymentLink, gateway: FakeGateway
) -> None:
    first = buy(client, link)
    client.get(first.get_checkout_url())
    second = buy(client, link, **another(2))

    assert second == first
    assert stored(first).customer_email == "client2@example.com"
    assert LinkPayment.objects.count() == 2


@pytest.mark.parametrize("how", ["notification", "status"])
def test_single_link_paid_by_the_first_of_two_customers_is_theirs(
    client: Client, link: PaymentLink, gateway: FakeGateway, settings: Any, how: str
) -> None:
    first = buy(client, link, channel="OMCIV2")
    client.get(first.get_checkout_url())
    payment = buy(client, link, **another(2), channel="WAVESN")
    client.get(payment.get_checkout_url())
    assert (stored(payment).attempt, stored(payment).customer_email) == (2, "client2@example.com")

    if how == "status":
        settings.PAIEMENTPRO_STATUS_URL = STATUS_URL
        gateway.confirms(stored(payment), attempt=1)
        core.check_payment(payment)
    else:
        testing.notify(stored(payment), referenceNumber=first.reference)

    payment = stored(payment)
    assert (payment.status, payment.settled_attempt, payment.channel) == ("succeeded", 1, "OMCIV2")
    assert (payment.customer_first_name, payment.customer_email) == ("Awa", CUSTOMER["customer_email"])
    assert payment.phone_number == "+2250707123456"
    assert list(search(Payment.objects.all(), "0707123456")) == [payment]
    assert not search(Payment.objects.all(), "client2@example.com")


def pays_first_page(payment: Payment, first: Payment) -> Payment:
    """Let the customer of the first page pay, and return the payment."""
    answer = testing.notify(stored(payment), referenceNumber=first.reference)
    assert answer.content == b"OK"
    return stored(payment)


def test_form_that_opens_no_page_does_not_name_the_payer(
    client: Client, link: PaymentLink, gateway: FakeGateway
) -> None:
    first = buy(client, link)
    client.get(first.get_checkout_url())
    buy(client, link, **another(2))
    assert stored(first).customer_email == "client2@example.com"

    assert pays_first_page(first, first).customer_email == CUSTOMER["customer_email"]


def test_form_that_arrives_while_the_payment_settles_does_not_name_the_payer(
    client: Client, link: PaymentLink, gateway: FakeGateway
) -> None:
    first = buy(client, link)
    client.get(first.get_checkout_url())

    with just_before(lambda: buy(Client(), link, **another(2)), "UPDATE", "settled_at"):
        payment = pays_first_page(first, first)

    assert LinkPayment.objects.count() == 2
    assert (payment.status, payment.customer_email) == ("succeeded", CUSTOMER["customer_email"])


@pytest.mark.parametrize("data", [["odd"], {"referenceNumber": "", "customerEmail": "a@example.com"}, {}])
def test_page_whose_audit_is_lost_settles_all_the_same(
    client: Client, link: PaymentLink, gateway: FakeGateway, data: Any
) -> None:
    first = buy(client, link)
    client.get(first.get_checkout_url())
    if data:
        data = {**data, "referenceNumber": first.reference} if isinstance(data, dict) else data
    first.events.filter(kind="initialize").update(data=data)
    payment = buy(client, link, **another(2))
    client.get(payment.get_checkout_url())

    payment = pays_first_page(payment, first)

    assert (payment.status, payment.customer_email) == ("succeeded", "client2@example.com")


def test_payment_of_a_user_keeps_the_details_that_the_host_has_given(
    client: Client, link: PaymentLink, gateway: FakeGateway, django_user_model: Any
) -> None:
    first = buy(client, link)
    client.get(first.get_checkout_url())
    payment = buy(client, link, **another(2))
    client.get(payment.get_checkout_url())
    Payment.objects.update(user=django_user_model.objects.create_user("awa"))

    assert pays_first_page(payment, first).customer_email == "client2@example.com"


def test_corrected_details_of_the_same_customer_are_kept(
    client: Client, link: PaymentLink, gateway: FakeGateway
) -> None:
    payment = buy(client, link)
    client.get(payment.get_checkout_url())
    buy(client, link, customer_phone="05 05 12 34 56", customer_last_name="Koné-Traoré")
    client.get(payment.get_checkout_url())

    testing.notify(stored(payment), referenceNumber=payment.reference)

    assert (stored(payment).settled_attempt, stored(payment).customer_last_name) == (1, "Koné-Traoré")


def test_customers_of_a_reusable_link_get_payments_of_their_own(client: Client, reusable: PaymentLink) -> None:
    payments = {buy(client, reusable, **another(number)).pk for number in range(3)}
    assert len(payments) == 3
    assert buy(client, reusable).pk not in payments


def test_paid_single_link_is_closed_to_a_form_that_is_open(client: Client, link: PaymentLink) -> None:
    form = form_of(client, link)
    make_payment(content_object=link, status="succeeded")

    response = client.post(link.get_absolute_url(), form)

    assert response.status_code == 200
    assert b"This has been paid" in response.content
    assert Payment.objects.count() == 1


def test_fully_refunded_single_link_can_be_paid_again(client: Client, link: PaymentLink) -> None:
    refunded = make_payment(content_object=link, status="refunded")
    assert buy(client, link) != refunded


def test_link_deleted_meanwhile_is_not_found(client: Client, link: PaymentLink) -> None:
    form = form_of(client, link)
    with just_before(link.delete, "UPDATE", "paiementpro_links"):
        response = client.post(link.get_absolute_url(), form)
    assert response.status_code == 404


def test_connection_that_was_lost_while_idle(
    client: Client, link: PaymentLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 600)
    lose_connection()
    form = form_of(client, link)
    lose_connection()
    assert client.post(link.get_absolute_url(), form).status_code == 302


# The one-time key


def test_same_form_makes_one_payment(client: Client, reusable: PaymentLink) -> None:
    form = form_of(client, reusable)
    locations = {client.post(reusable.get_absolute_url(), form)["Location"] for _ in range(3)}

    [payment] = Payment.objects.all()
    assert locations == {payment.get_checkout_url()}
    assert LinkPayment.objects.count() == 1


def test_form_is_known_again_after_the_link_has_closed(client: Client, make_link: MakeLink) -> None:
    link = make_link(is_reusable=True, max_payments=1)
    form = form_of(client, link)
    first = client.post(link.get_absolute_url(), form)
    PaymentLink.objects.update(is_active=False)

    again = client.post(link.get_absolute_url(), form)

    assert (again.status_code, again["Location"]) == (302, first["Location"])


@pytest.mark.parametrize("status", ["succeeded", "refunded", "expired", "cancelled"])
@pytest.mark.parametrize("is_reusable", [True, False])
def test_form_of_an_ended_payment_leads_to_its_result(
    client: Client, make_link: MakeLink, status: str, *, is_reusable: bool
) -> None:
    link = make_link(is_reusable=is_reusable)
    form = form_of(client, link)
    location = client.post(link.get_absolute_url(), form)["Location"]
    Payment.objects.update(status=status)

    again = client.post(link.get_absolute_url(), {**form, "customer_first_name": "Other"})

    assert (again.status_code, again["Location"]) == (302, location)
    payment = Payment.objects.get()
    assert payment.customer_first_name == "Awa"
    assert client.get(location)["Location"] == payment.get_return_url()


@pytest.mark.parametrize("status", ["created", "pending", "failed"])
def test_corrected_form_corrects_its_payment(
    client: Client, reusable: PaymentLink, gateway: FakeGateway, status: str
) -> None:
    form = form_of(client, reusable)
    location = client.post(reusable.get_absolute_url(), form)["Location"]
    Payment.objects.update(status=status)

    again = client.post(reusable.get_absolute_url(), {**form, "customer_phone": "05 05 12 34 56", "channel": "WAVECI"})

    assert again["Location"] == location
    [payment] = Payment.objects.all()
    assert (payment.customer_phone, payment.channel) == ("05 05 12 34 56", "WAVECI")
    client.get(location)
    assert gateway.page_requests[-1].customer_phone == "0505123456"


@pytest.mark.parametrize("is_reusable", [True, False])
def test_form_with_another_amount_replaces_its_payment(
    client: Client, make_link: MakeLink, heard: Heard, *, is_reusable: bool
) -> None:
    link = make_link(amount=None, is_reusable=is_reusable, max_payments=1 if is_reusable else None)
    form = {**form_of(client, link), "amount": "5000"}
    old = payment_at(client.post(link.get_absolute_url(), form)["Location"])

    new = payment_at(client.post(link.get_absolute_url(), {**form, "amount": "6000"})["Location"])

    assert (stored(old).status, new.status, new.amount) == ("cancelled", "created", 6000)
    assert LinkPayment.objects.get().payment == new
    assert heard.names == ["payment_cancelled"]
    again = client.post(link.get_absolute_url(), {**form, "amount": "6000"})
    assert payment_at(again["Location"]) == new


def test_another_amount_is_refused_once_the_link_is_closed(client: Client, make_link: MakeLink) -> None:
    link = make_link(amount=None, is_reusable=True)
    form = {**form_of(client, link), "amount": "5000"}
    old = payment_at(client.post(link.get_absolute_url(), form)["Location"])
    PaymentLink.objects.update(is_active=False)

    assert client.post(link.get_absolute_url(), {**form, "amount": "6000"}).status_code == 410
    assert stored(old).status == "created"


def test_form_of_a_single_link_that_another_payment_has_paid(client: Client, link: PaymentLink) -> None:
    form = form_of(client, link)
    client.post(link.get_absolute_url(), form)
    make_payment(content_object=link, status="succeeded")

    response = client.post(link.get_absolute_url(), form)

    assert response.status_code == 200
    assert b"This has been paid" in response.content


@pytest.mark.parametrize("forge", ["", "x", "other", "cut", "checkout", "purpose"])
def test_forged_key_is_refused_and_replaced(client: Client, link: PaymentLink, make_link: MakeLink, forge: str) -> None:
    key = new_form_key(link)
    keys = {
        "other": new_form_key(make_link()),
        "cut": key[:-1],
        "checkout": make_payment().get_checkout_url().split("/")[-2],
        "purpose": signing.sign(f"{link.token}-{'0' * 24}", "link"),
    }
    before = Payment.objects.count()

    response = client.post(link.get_absolute_url(), {**CUSTOMER, "form_key": keys.get(forge, forge)})

    assert response.status_code == 400
    assert "This form is no longer valid: send it again." in response.content.decode()
    assert Payment.objects.count() == before
    new_key = key_in(response.content)
    assert client.post(link.get_absolute_url(), {**CUSTOMER, "form_key": new_key}).status_code == 302


def test_service_refuses_a_forged_key(link: PaymentLink) -> None:
    with pytest.raises(ValidationError) as caught:
        pay_link(link, "x", **CUSTOMER)
    assert caught.value.code == "form_key"


def test_only_a_digest_of_the_key_is_stored(client: Client, link: PaymentLink) -> None:
    form = form_of(client, link)
    client.post(link.get_absolute_url(), form)
    row = LinkPayment.objects.get()
    assert len(row.form_key) == 64
    assert row.form_key not in form["form_key"]
    assert str(row) == row.form_key
    assert "@" not in row.email_digest
    assert "0707" not in row.phone_digest


def test_invalid_form_is_shown_again_with_what_was_typed(client: Client, make_link: MakeLink) -> None:
    link = make_link(amount=None)
    form = {**form_of(client, link), "amount": "douze mille", "customer_phone": "12", "customer_email": "awa@"}

    response = client.post(link.get_absolute_url(), form)

    assert response.status_code == 400
    content = response.content.decode()
    for text in ('value="douze mille"', 'value="12"', 'value="awa@"', 'value="Koné"'):
        assert text in content
    assert key_in(response.content) == form["form_key"]
    assert "Enter a whole amount, in digits: 12 500." in content
    assert 'id="id_customer_phone_error"' in content
    assert 'aria-invalid="true"' in content
    assert "Please check the fields marked below." in content
    assert not Payment.objects.exists()


@pytest.mark.parametrize("name", CUSTOMER)
def test_each_detail_is_required(client: Client, link: PaymentLink, name: str) -> None:
    response = client.post(link.get_absolute_url(), {**form_of(client, link), name: " "})
    assert response.status_code == 400
    assert f'id="id_{name}_error"' in response.content.decode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("customer_first_name", "x" * 151),
        ("customer_first_name", "a\x00b"),
        ("customer_email", "awa"),
        ("customer_phone", "07 07 12 34 56 / 57"),
        ("channel", "BITCOIN"),
    ],
)
def test_what_the_gateway_would_refuse_is_refused(client: Client, link: PaymentLink, name: str, value: str) -> None:
    assert client.post(link.get_absolute_url(), {**form_of(client, link), name: value}).status_code == 400
    assert not Payment.objects.exists()


# Amounts


@pytest.mark.parametrize(
    ("text", "amount"),
    [("12 500", 12500), ("12,500 F", 12500), ("12.500", 12500), ("12\u202f500 F CFA", 12500), ("500", 500)],
)
def test_open_amount_is_read_as_people_mean_it(client: Client, make_link: MakeLink, text: str, amount: int) -> None:
    assert buy(client, make_link(amount=None, min_amount=500, max_amount=12500), amount=text).amount == amount


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "Enter the amount."),
        ("12,5", "Enter a whole amount, in digits: 12 500."),
        ("-500", "Enter a whole amount, in digits: 12 500."),
        ("1e4", "Enter a whole amount, in digits: 12 500."),
        ("499", "Choose an amount from 500\u00a0F\u00a0CFA to 12\u202f500\u00a0F\u00a0CFA."),
        ("12501", "Choose an amount from 500\u00a0F\u00a0CFA to 12\u202f500\u00a0F\u00a0CFA."),
        ("9" * 15, "Choose an amount from 500\u00a0F\u00a0CFA to 12\u202f500\u00a0F\u00a0CFA."),
        ("9" * 41, "at most 40 characters"),
    ],
)
def test_other_amounts_are_refused_beside_the_field(client: Client, make_link: MakeLink, text: str, error: str) -> None:
    link = make_link(amount=None, min_amount=500, max_amount=12500)
    response = client.post(link.get_absolute_url(), {**form_of(client, link), "amount": text})

    assert response.status_code == 400
    content = response.content.decode()
    assert error in content[content.index('id="id_amount_error"') :]
    assert f'value="{text}"' in content


def test_amount_without_bounds_is_bounded_all_the_same(client: Client, make_link: MakeLink) -> None:
    link = make_link(amount=None)
    response = client.post(link.get_absolute_url(), {**form_of(client, link), "amount": "9" * 15})
    assert response.status_code == 400
    assert "Choose an amount from 100\u00a0F\u00a0CFA." in response.content.decode()
    assert buy(client, link, amount="1 000 000 000 000").amount == 10**12


def test_suggested_amount_is_one_tap(client: Client, make_link: MakeLink) -> None:
    link = make_link(amount=None, suggested_amounts=[1000, 5000])
    form = form_of(client, link)

    for amounts, amount in ((["5000", ""], 5000), (["1000", "2 500"], 2500), (["", "3000"], 3000)):
        response = client.post(link.get_absolute_url(), {**form, "amount": amounts})
        assert payment_at(response["Location"]).amount == amount

    content = client.post(link.get_absolute_url(), {"amount": ["5000", ""]}).content.decode()
    assert 'value="5000" checked' in content
    assert 'value="1000" checked' not in content
    content = client.post(link.get_absolute_url(), {"amount": ["1000", "2 500"]}).content.decode()
    assert " checked" not in content
    assert 'value="2 500"' in content


def test_amount_of_the_link_cannot_be_chosen(client: Client, link: PaymentLink) -> None:
    assert buy(client, link, amount="100").amount == 12500


def test_service_checks_the_amount_itself(make_link: MakeLink) -> None:
    link = make_link(amount=None, min_amount=500)
    for amount in (None, 499):
        with pytest.raises(ValidationError) as caught:
            pay_link(link, new_form_key(link), amount=amount, **CUSTOMER)
        assert list(caught.value.error_dict) == ["amount"]


def test_staff_change_the_amount_while_a_form_is_open(client: Client, link: PaymentLink) -> None:
    form = form_of(client, link)
    PaymentLink.objects.update(amount=13000)
    assert payment_at(client.post(link.get_absolute_url(), form)["Location"]).amount == 13000


# Limits


def test_places_are_given_once(client: Client, make_link: MakeLink) -> None:
    link = make_link(is_reusable=True, max_payments=2)
    forms = [{**form_of(client, link), **another(number)} for number in range(3)]
    statuses = [client.post(link.get_absolute_url(), form).status_code for form in forms]
    assert statuses == [302, 302, 410]

    Payment.objects.filter(customer_email="client0@example.com").update(status="failed")
    assert client.post(link.get_absolute_url(), forms[2]).status_code == 302


def test_service_says_why_a_link_is_closed(make_link: MakeLink) -> None:
    link = make_link(is_active=False)
    with pytest.raises(LinkClosedError, match="the payment link is off") as caught:
        pay_link(link, new_form_key(link), **CUSTOMER)
    assert caught.value.state == "off"


def post_new(client: Client, link: PaymentLink, **values: str) -> Any:
    return client.post(link.get_absolute_url(), {"form_key": new_form_key(link), **CUSTOMER, **values})


@pytest.mark.parametrize(
    ("changes", "other"),
    [
        ({"customer_email": "client{}@example.com"}, {"customer_phone": "+225 0707123456"}),
        ({"customer_phone": "+22507{}0000001"}, {"customer_email": "AWA@example.com"}),
    ],
    ids=["phone", "e-mail"],
)
def test_too_many_posts_of_one_customer_are_answered_429(
    client: Client, reusable: PaymentLink, make_link: MakeLink, changes: dict[str, str], other: dict[str, str]
) -> None:
    def varied(number: int) -> dict[str, str]:
        return {name: value.format(number) for name, value in changes.items()}

    statuses = [post_new(client, reusable, **varied(number)).status_code for number in range(MAX_POSTS)]
    assert statuses == [302] * MAX_POSTS

    # Written otherwise, it is the same customer.
    response = post_new(client, reusable, **(varied(9) | {"customer_first_name": "Aminata"} | other))

    assert response.status_code == 429
    assert 1 <= int(response["Retry-After"]) <= POSTS_WINDOW.total_seconds()
    content = response.content.decode()
    assert "You have tried several times in a row." in content
    assert "Try again in 10 minutes." in content
    assert 'value="Aminata"' in content
    assert Payment.objects.count() == MAX_POSTS
    assert post_new(client, make_link()).status_code == 302
    LinkPayment.objects.update(created_at=timezone.now() - POSTS_WINDOW)
    assert post_new(client, reusable).status_code == 302


def test_same_form_is_counted_once(client: Client, reusable: PaymentLink) -> None:
    form = form_of(client, reusable)
    for _ in range(MAX_POSTS + 5):
        assert client.post(reusable.get_absolute_url(), form).status_code == 302
    assert post_new(client, reusable).status_code == 302


def test_crowd_behind_one_address_is_not_too_many(client: Client, reusable: PaymentLink) -> None:
    statuses = {post_new(client, reusable, **another(number)).status_code for number in range(200)}
    assert statuses == {302}


def test_rows_from_a_fast_clock_do_not_lock_a_customer_out_for_long(client: Client, reusable: PaymentLink) -> None:
    for _ in range(MAX_POSTS):
        post_new(client, reusable)
    LinkPayment.objects.update(created_at=timezone.now() + timedelta(days=1))
    assert int(post_new(client, reusable)["Retry-After"]) <= POSTS_WINDOW.total_seconds()


# Texts that tables and gateways take


def test_long_title_is_cut_in_the_payment(client: Client, make_link: MakeLink) -> None:
    title = "Gâteau 🎂 " * 55
    payment = buy(client, make_link(title=title))
    assert len(payment.description) <= 255
    assert payment.description.startswith("Gâteau 🎂 Gâteau")
    assert payment.description.endswith("...")


def test_title_of_several_lines_is_one_line(client: Client, make_link: MakeLink) -> None:
    assert buy(client, make_link(title="Pagne\r\n  wax")).description == "Pagne wax"


@pytest.mark.parametrize("error", [DataError("Incorrect string value"), OperationalError(1366, "Incorrect string")])
def test_table_without_emoji_does_not_lose_the_payment(client: Client, make_link: MakeLink, error: Exception) -> None:
    """As MariaDB answers for a table that is not utf8mb4."""
    link = make_link(title="Gâteau 🎂")

    def refuse(execute: Any, sql: str, params: Any, *arguments: Any) -> Any:
        if sql.startswith("INSERT") and any(isinstance(each, str) and "🎂" in each for each in params or ()):
            raise error
        return execute(sql, params, *arguments)

    with connection.execute_wrapper(refuse):
        payment = buy(client, link, customer_first_name="Awa 🎂")
    assert (payment.description, payment.customer_first_name) == ("Gâteau \\U0001f382", "Awa \\U0001f382")


def test_conflict_in_the_database_is_retried(client: Client, reusable: PaymentLink) -> None:
    form = form_of(client, reusable)

    def conflict() -> None:
        raise OperationalError("deadlock detected")

    with just_before(conflict, "INSERT", "linkpayment"):
        response = client.post(reusable.get_absolute_url(), form)
    assert response.status_code == 302
    assert Payment.objects.count() == LinkPayment.objects.count() == 1


@pytest.mark.parametrize("values", [{"currency": "EUR"}, {"channel": "GONE"}, {"amount": 50}, {"merchant_id": ""}])
def test_link_that_the_shop_has_set_up_incorrectly(client: Client, make_link: MakeLink, values: dict[str, Any]) -> None:
    response = post_new(client, make_link(**values))
    assert response.status_code == 400
    assert "The shop has set this payment link up incorrectly." in response.content.decode()
    assert not Payment.objects.exists()


# The result


def paid(payment: Payment) -> Payment:
    testing.pay(payment)
    payment.refresh_from_db()
    assert payment.status == "succeeded"
    return payment


def test_result_shows_the_words_of_the_shop(client: Client, make_link: MakeLink, settings: Any) -> None:
    settings.PAIEMENTPRO_SUCCESS_URL = settings.PAIEMENTPRO_FAILURE_URL = "/orders/{reference}/"
    link = make_link(success_message="Merci !\n<b>Livraison</b> demain.")
    payment = buy(client, link)
    Payment.objects.update(status="pending", attempt=1)

    response = client.get(paid(payment).get_return_url())

    assert response.status_code == 200
    assert "Merci !<br>&lt;b&gt;Livraison&lt;/b&gt; demain.</p>" in response.content.decode()


def test_result_without_words_of_the_shop(client: Client, link: PaymentLink) -> None:
    payment = make_payment(content_object=link, status="succeeded")
    assert "Thank you. Your payment has been received." in client.get(payment.get_return_url()).content.decode()


def test_words_for_a_payment_are_not_shown_before_it(client: Client, make_link: MakeLink, settings: Any) -> None:
    settings.PAIEMENTPRO_FAILURE_URL = "/orders/"
    link = make_link(success_message="Merci !")
    response = client.get(make_payment(content_object=link, status="failed").get_return_url())
    assert response.status_code == 200
    assert "Merci !" not in response.content.decode()


def test_other_payments_go_where_the_settings_say(client: Client, settings: Any) -> None:
    settings.PAIEMENTPRO_SUCCESS_URL = "/orders/"
    response = client.get(make_payment(status="succeeded").get_return_url())
    assert (response.status_code, response["Location"]) == (302, "/orders/")


def test_link_may_send_its_customers_elsewhere(client: Client, make_link: MakeLink) -> None:
    payment = buy(client, make_link(success_url="/thanks/{reference}/", success_message="Merci !"))
    Payment.objects.update(status="pending", attempt=1)
    response = client.get(paid(payment).get_return_url())
    assert response["Location"] == f"/thanks/{payment.reference}/"


def test_payment_of_a_vanished_link_has_a_result(client: Client, link: PaymentLink) -> None:
    payment = make_payment(content_object=link, status="succeeded")
    PaymentLink.objects.filter(pk=link.pk).delete()
    assert client.get(payment.get_return_url()).status_code == 200


# Personal data


def test_personal_data_of_a_single_link_are_erased(client: Client, make_link: MakeLink) -> None:
    link = make_link(customer_name="Awa Koné", customer_phone="07 07 12 34 56")
    shared = make_link(is_reusable=True, customer_name="Parents d’élèves")
    other = make_link(customer_name="Other")
    for each in (link, shared):
        buy(client, each)
    make_payment(content_object=other, customer_email="other@example.com")

    core.erase_personal_data(email="awa@example.com")

    for each in (link, shared, other):
        each.refresh_from_db()
    assert (link.customer_name, link.customer_phone) == ("", "")
    assert shared.customer_name == "Parents d’élèves"
    assert other.customer_name == "Other"
    assert set(LinkPayment.objects.values_list("phone_digest", "email_digest")) == {("", "")}
    assert link.payments.get().customer_email == ""


def test_invalid_phone_is_not_counted(link: PaymentLink) -> None:
    pay_link(link, new_form_key(link), **{**CUSTOMER, "customer_phone": "12", "customer_email": ""})
    assert LinkPayment.objects.values_list("phone_digest", "email_digest").get() == ("", "")


def test_links_are_found_to_the_letter_by_the_service(link: PaymentLink) -> None:
    assert services.find_link(link.token) == link
    assert services.find_link(link.token.upper()) is None


def test_form_that_asks_for_ever_more_amounts_is_answered_429(client: Client, make_link: MakeLink) -> None:
    link = make_link(amount=None, is_reusable=True)
    form = form_of(client, link)

    codes = [
        client.post(link.get_absolute_url(), {**form, "amount": str(500 + number)}).status_code
        for number in range(MAX_CHANGES + 2)
    ]

    assert codes == [302] * (MAX_CHANGES + 1) + [429]
    assert link.payments.count() == MAX_CHANGES + 1


def test_failed_payment_does_not_take_a_place_that_is_given_away(client: Client, make_link: MakeLink) -> None:
    link = make_link(is_reusable=True, max_payments=1)
    form = form_of(client, link)
    assert client.post(link.get_absolute_url(), form).status_code == 302
    Payment.objects.update(status="failed", attempt=1)
    assert post_new(client, link, customer_phone="0505000000", customer_email="b@example.com").status_code == 302

    assert client.post(link.get_absolute_url(), form).status_code == 410
