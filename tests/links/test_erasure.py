"""Erasure of a person whom links were made for, whether they paid or not."""

import io
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.translation import override

from django_paiementpro import services as core
from django_paiementpro.links import services
from django_paiementpro.links.models import LinkPayment, PaymentLink
from django_paiementpro.links.services import erase_customer, new_form_key, pay_link
from django_paiementpro.models import Payment
from django_paiementpro.testing import make_payment
from tests.links.conftest import CUSTOMER, MakeLink, another, buy

pytestmark = pytest.mark.django_db

PERSON = {"customer_name": "Awa Koné", "customer_phone": "07 07 12 34 56", "customer_email": "awa@example.com"}

NOBODY = ("", "", "")


def customer_of(link: PaymentLink) -> tuple[str, str, str]:
    link.refresh_from_db()
    return link.customer_name, link.customer_phone, link.customer_email


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command("paiementpro_erase", *arguments, "--no-input", stdout=output)
    return output.getvalue()


@pytest.mark.parametrize("is_reusable", [False, True])
@pytest.mark.parametrize("person", [{"phone": "+225 0707123456"}, {"email": "AWA@example.com"}])
def test_customer_of_a_link_that_was_never_paid_is_blanked(
    make_link: MakeLink, is_reusable: bool, person: dict[str, str]
) -> None:
    link = make_link(**PERSON, title="For Awa Koné", description="0707123456", is_reusable=is_reusable)
    other = make_link(customer_name="Awa Koné", customer_phone="07 07 12 34 57", customer_email="awa@example.ci")
    titled = make_link(title="awa@example.com", description="07 07 12 34 56", customer_name="Awa Koné")

    assert core.count_personal_data(**person).others == {"payment links": 1}
    assert customer_of(link) == ("Awa Koné", "07 07 12 34 56", "awa@example.com")
    assert core.erase_personal_data(**person).others == {"payment links": 1}

    assert customer_of(link) == NOBODY
    assert (link.title, link.description, link.is_open) == ("For Awa Koné", "0707123456", True)
    assert customer_of(other) == ("Awa Koné", "07 07 12 34 57", "awa@example.ci")
    assert customer_of(titled) == ("Awa Koné", "", "")
    assert core.erase_personal_data(**person).others == {}


@pytest.mark.parametrize(
    ("written", "channel", "is_found"),
    [
        ("77 123 45 67", "OMSN", True),
        ("+221 77 123 45 67", "", True),
        ("00221771234567", "OMCIV2", True),
        ("77 123 45 67", "", False),
        ("77 123 45 68", "OMSN", False),
        ("77 123", "OMSN", False),
    ],
)
def test_number_of_a_link_is_read_with_its_payment_method(
    make_link: MakeLink, written: str, channel: str, is_found: bool
) -> None:
    link = make_link(customer_phone=written, channel=channel)

    assert erase_customer("", "+221771234567") == is_found

    assert (customer_of(link) == NOBODY) == is_found


def test_accent_distinguishes_people(make_link: MakeLink) -> None:
    andre, other = make_link(customer_email="ANDRÉ@example.com\u200b"), make_link(customer_email="andre@example.com")

    assert core.erase_personal_data(email="andre\u0301@example.com").others == {"payment links": 1}

    assert (customer_of(andre), customer_of(other)) == (NOBODY, ("", "", "andre@example.com"))


def test_dry_run_counts_what_is_blanked_for_a_paid_link_too(client: Client, make_link: MakeLink) -> None:
    link = make_link(**PERSON)
    buy(client, link)

    assert core.count_personal_data(email="awa@example.com") == core.Blanked(1, others={"payment links": 1})
    blanked = core.erase_personal_data(email="awa@example.com")

    assert (blanked.payments, blanked.others) == (1, {"payment links": 1})
    assert customer_of(link) == NOBODY


def test_links_are_read_in_pages(make_link: MakeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "ERASURE_PAGE", 3)
    links = [make_link(**PERSON) for _number in range(7)]
    make_link(customer_name="Awa Koné")

    with CaptureQueriesContext(connection) as queries:
        assert erase_customer("", "+2250707123456", dry_run=True) == 7
    assert len(queries) == 3
    assert erase_customer("", "+2250707123456") == 7
    assert {customer_of(link) for link in links} == {NOBODY}


def test_link_that_has_another_customer_by_now_is_left_alone(make_link: MakeLink) -> None:
    """Staff may save it between the moment when it is read and the moment when it is blanked."""
    link = make_link(**PERSON)
    fields = ("pk", "channel", "customer_phone", "customer_email")
    [row] = PaymentLink.objects.values(*fields)
    PaymentLink.objects.update(customer_name="Yao", customer_phone="05 05 12 34 56")

    assert services._blank_links([row], lambda text: text) == 0

    assert customer_of(link) == ("Yao", "05 05 12 34 56", "awa@example.com")


# What their attempts are counted by


def digests() -> list[bool]:
    """Return for each form that was sent whether its customer can still be counted."""
    rows = LinkPayment.objects.order_by("pk").values_list("phone_digest", "email_digest")
    return [bool(phone or email) for phone, email in rows]


@pytest.mark.parametrize("person", [{"phone": "0707123456"}, {"email": "awa@example.com"}])
def test_digests_are_blanked_where_the_payment_is_not(reusable: PaymentLink, person: dict[str, str]) -> None:
    payment = pay_link(reusable, new_form_key(reusable), **CUSTOMER)
    Payment.objects.filter(pk=payment.pk).update(status="pending")
    pay_link(reusable, new_form_key(reusable), **another(1))

    core.count_personal_data(**person)
    assert digests() == [True, True]
    assert core.erase_personal_data(**person).left == 1

    assert digests() == [False, True]


def test_digests_are_blanked_where_someone_else_took_the_payment_over(client: Client, link: PaymentLink) -> None:
    """A single link has one payment, which has the details of the customer who filled in its form last."""
    buy(client, link)
    assert buy(client, link, **another(1)).customer_email == "client1@example.com"
    assert digests() == [True, True]

    assert core.erase_personal_data(phone="0707123456").payments == 0

    assert digests() == [False, True]


def test_digests_of_others_stay(reusable: PaymentLink) -> None:
    pay_link(reusable, new_form_key(reusable), **another(2))

    erase_customer("awa@example.com", "")

    assert all(digests())


def test_digests_are_read_in_pages(reusable: PaymentLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "ERASURE_PAGE", 2)
    for number in range(5):
        pay_link(reusable, new_form_key(reusable), **{**another(number), "customer_phone": CUSTOMER["customer_phone"]})

    erase_customer("", "+2250707123456")

    assert digests() == [False] * 5


# The command


def test_command_says_how_many_links_were_blanked(make_link: MakeLink) -> None:
    for _number in range(2):
        make_link(**PERSON)

    assert run("--phone", "0707123456") == (
        "Payments to blank: 0. Skipped, waiting for the customer: 0.\n"
        "Payment links to blank: 2.\n"
        "Payments blanked: 0, events: 0.\n"
        "Payment links blanked: 2.\n"
    )
    assert run("--phone", "0707123456") == "Payments to blank: 0. Skipped, waiting for the customer: 0.\n"


def test_command_counts_links_in_french(make_link: MakeLink) -> None:
    make_link(**PERSON)
    with override("fr"):
        said = run("--email", "awa@example.com").replace("\u00a0", " ")
    assert "Liens de paiement à effacer : 1.\n" in said
    assert said.endswith("Liens de paiement effacés : 1.\n")


def test_confirmation_is_required_for_links_alone(make_link: MakeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    link = make_link(**PERSON)
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))

    with pytest.raises(CommandError, match="without a terminal: nothing was blanked"):
        call_command("paiementpro_erase", email="awa@example.com")

    assert customer_of(link)[0] == "Awa Koné"


def test_command_does_not_mention_links_without_their_app(settings: Any) -> None:
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "django_paiementpro.links"]
    assert not apps.is_installed("django_paiementpro.links")
    make_payment(customer_email="awa@example.com")

    assert run("--email", "awa@example.com") == (
        "Payments to blank: 1. Skipped, waiting for the customer: 0.\nPayments blanked: 1, events: 0.\n"
    )
    assert core.count_personal_data(email="awa@example.com").others == {}
