import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client, override_settings
from django.utils import timezone

from django_paiementpro.gateway.messages import parse_date
from django_paiementpro.models import Payment
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import STATUS_URL, Statements, stored

pytestmark = pytest.mark.django_db

FINAL = ["succeeded", "failed", "expired", "cancelled", "refunded"]


def page(payment: Payment, language: str = "en", url: str = "") -> str:
    response = Client().get(url or payment.get_return_url(), headers={"accept-language": language})
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    return response.content.decode()


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("responsecode", ["0", "-1"])
def test_return_url_fields_settle_nothing(payment: Payment, method: str, responsecode: str) -> None:
    query = f"?referenceNumber={payment.reference}&amount=12500&merchantId=PP-F324&responsecode={responsecode}"

    response = getattr(Client(enforce_csrf_checks=True), method)(payment.get_return_url() + query)

    assert "do not pay again" in response.content.decode()
    assert stored(payment).status == "pending"
    assert not payment.events.exists()


def test_second_question_mark_is_tolerated(payment: Payment) -> None:
    assert "do not pay again" in page(payment, url=f"{payment.get_return_url()}?a=1?merchantId=PP-F324")


def test_waiting_page_refreshes_itself(payment: Payment) -> None:
    content = page(payment)

    assert re.search(
        rf'<noscript><meta http-equiv="refresh" content="\d+;url={payment.get_return_url()}"></noscript>', content
    )
    assert payment.get_status_url() in content
    assert payment.get_checkout_url() in content
    assert "12\u202f500\u00a0F\u00a0CFA" in content


@pytest.mark.parametrize(
    ("status", "english", "french"),
    [
        ("created", "We are waiting", "Nous attendons"),
        ("pending", "We are waiting", "Nous attendons"),
        ("succeeded", "Payment received", "Paiement reçu"),
        ("failed", "didn’t go through", "n’a pas abouti"),
        ("expired", "has expired", "a expiré"),
        ("cancelled", "was cancelled", "a été annulé"),
        ("refunded", "refunded", "remboursé"),
    ],
)
def test_each_status_has_a_plain_text(status: str, english: str, french: str) -> None:
    payment = make_payment(status=status, attempt=1)

    for language, words in (("en", english), ("fr", french)):
        content = page(payment, language)
        assert words in content
        assert f'<html lang="{language}"' in content
        assert len(content.encode()) < 15_000
        assert content.count("<h1>") == 1
        assert not re.search(r'(src|href|action)="(https?:)?//', content)
    assert ("Try again" in page(payment)) == (status == "failed")


def test_mismatch_is_not_blamed_on_the_operator(payment: Payment) -> None:
    Payment.objects.update(needs_review=True)

    assert "The shop is looking into it" in page(payment)
    assert payment.get_checkout_url() not in page(payment)


def test_unknown_outcome_is_never_shown_as_failed(payment: Payment) -> None:
    content = page(payment).lower()

    assert not any(word in content for word in ("failed", "not made", "declined"))


@pytest.mark.parametrize("nonce", ["request.csp_nonce", "csp_nonce"])
def test_content_security_policy_nonce_is_used(payment: Payment, nonce: str, rf: Any) -> None:
    from django.template.loader import render_to_string

    request = rf.get("/")
    request.csp_nonce = "n0nce"
    context = {"payment": payment, "csp_nonce": "n0nce"} if nonce == "csp_nonce" else {"payment": payment}
    content = render_to_string("paiementpro/waiting.html", context, request if "request" in nonce else None)

    assert content.count('nonce="n0nce"') == len(re.findall("<(?:style|script)", content)) == 3


def test_return_page_takes_few_queries(client: Client, payment: Payment, statements: Statements) -> None:
    for url in (payment.get_return_url(), payment.get_status_url()):
        with statements:
            client.get(url)
        assert len(statements) == 1


@pytest.mark.parametrize(
    ("status", "target"),
    [
        ("succeeded", "/thanks/"),
        ("refunded", "/thanks/"),
        ("failed", "/sorry/"),
        ("expired", "/sorry/"),
        ("cancelled", "/sorry/"),
    ],
)
def test_result_urls_redirect_to_the_host(client: Client, status: str, target: str) -> None:
    payment = make_payment(status=status, attempt=1)
    expected = f"{target}{payment.reference}"

    with override_settings(PAIEMENTPRO_SUCCESS_URL="/thanks/{reference}", PAIEMENTPRO_FAILURE_URL="/sorry/{reference}"):
        assert client.get(payment.get_return_url())["Location"] == expected
        assert client.get(payment.get_status_url()).json()["redirect_url"] == expected


def test_result_url_may_be_a_url_name(client: Client) -> None:
    payment = make_payment(status="succeeded")

    with override_settings(PAIEMENTPRO_SUCCESS_URL="admin:index"):
        assert client.get(payment.get_return_url())["Location"] == "/admin/"


def test_invalid_result_url_shows_the_built_in_page(payment: Payment) -> None:
    payment = make_payment(status="succeeded")

    with override_settings(PAIEMENTPRO_SUCCESS_URL="nowhere"):
        assert "Payment received" in page(payment)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("/orders/{reference}", "/orders/{reference}"),
        ("http://testserver/orders/", "http://testserver/orders/"),
        ("https://shop.example/orders/", "https://shop.example/orders/"),
        ("https://evil.com/", "/common/"),
        ("//evil.com/", "/common/"),
        ("/\\evil.com/", "/common/"),
        ("javascript:alert(1)", "/common/"),
        ("http://testserver@evil.com/", "/common/"),
    ],
)
def test_own_result_urls_are_on_this_site(client: Client, url: str, target: str) -> None:
    payment = make_payment(status="succeeded", success_url=url)

    with override_settings(PAIEMENTPRO_SUCCESS_URL="/common/", PAIEMENTPRO_SITE_URL="https://shop.example"):
        location = client.get(payment.get_return_url())["Location"]

    assert location == target.replace("{reference}", payment.reference)


@pytest.mark.parametrize("status", ["created", "pending"])
def test_status_of_a_payment_that_waits(client: Client, status: str) -> None:
    payment = make_payment(status=status)

    answer = client.get(payment.get_status_url())

    assert answer.json() == {
        "reference": payment.reference,
        "status": status,
        "is_final": False,
        "redirect_url": None,
        "refunded_amount": 0,
    }
    assert "no-store" in answer["Cache-Control"]
    assert client.post(payment.get_status_url()).status_code == 405


@pytest.mark.parametrize("refunded_amount", [0, 1000])
@pytest.mark.parametrize("status", FINAL)
def test_status_of_a_payment_that_is_final(client: Client, status: str, refunded_amount: int) -> None:
    payment = make_payment(status=status, refunded_amount=refunded_amount)

    assert client.get(payment.get_status_url()).json() == {
        "reference": payment.reference,
        "status": status,
        "is_final": True,
        "redirect_url": payment.get_return_url(),
        "refunded_amount": refunded_amount,
    }


def test_waiting_page_limits_lookups(payment: Payment, gateway: FakeGateway) -> None:

    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL):
        for _ in range(3):
            assert "do not pay again" in page(payment)

    assert gateway.look_ups == [payment.reference]


def test_lookup_success_is_shown_at_once(payment: Payment, gateway: FakeGateway) -> None:
    gateway.confirms(payment)

    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL):
        assert "Payment received" in page(payment)

    assert stored(payment).settled_by == "status"


def test_failed_lookup_leaves_the_payment_pending(payment: Payment, gateway: FakeGateway) -> None:
    gateway.tells(payment.reference, b"oops", 500)

    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL):
        assert "do not pay again" in page(payment)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_payment_paid_after_expiry_is_shown_as_paid(gateway: FakeGateway, status: str) -> None:
    opened_at = timezone.now() - timedelta(minutes=59)
    payment = make_payment(status=status, attempt=1, initialized_at=opened_at)
    gateway.confirms(payment)

    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL):
        assert "Payment received" in page(payment)

    assert (stored(payment).settled_by, stored(payment).needs_review) == ("status", status == "cancelled")


@pytest.mark.parametrize(
    ("status", "attempt", "age"),
    [
        ("failed", 1, timedelta(minutes=61)),
        ("cancelled", 1, timedelta(minutes=61)),
        ("failed", 0, timedelta(0)),
        ("expired", 1, timedelta(0)),
        ("succeeded", 1, timedelta(0)),
        ("refunded", 1, timedelta(0)),
    ],
)
def test_final_payment_is_not_looked_up(gateway: FakeGateway, status: str, attempt: int, age: timedelta) -> None:
    payment = make_payment(status=status, attempt=attempt, initialized_at=timezone.now() - age)

    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL):
        page(payment)

    assert gateway.look_ups == []


# What the pages say besides


@pytest.mark.parametrize(
    ("age", "seconds", "refresh"), [(0, "2", 8), (40, "5", 8), (300, "15", 15), (3000, "60", 60), (9000, "300", 300)]
)
def test_waiting_page_is_as_patient_as_the_status(
    client: Client, payment: Payment, age: int, seconds: str, refresh: int
) -> None:
    Payment.objects.update(initialized_at=timezone.now() - timedelta(seconds=age))

    response = client.get(payment.get_return_url())

    assert response["Retry-After"] == client.get(payment.get_status_url())["Retry-After"] == seconds
    assert f'content="{refresh};url=' in response.content.decode()


def test_final_page_needs_no_further_request(client: Client) -> None:
    assert "Retry-After" not in client.get(make_payment(status="failed").get_return_url())


@pytest.mark.parametrize(
    ("age", "is_open"), [(timedelta(minutes=1), True), (timedelta(minutes=5), False), (None, False)]
)
def test_waiting_page_says_how_long_it_can_be_paid(
    payment: Payment, settings: Any, age: timedelta | None, is_open: bool
) -> None:
    settings.TIME_ZONE = "Africa/Abidjan"
    now = timezone.now()
    Payment.objects.update(initialized_at=now - age if age else None)

    content = page(payment, "fr")

    assert ("reste ouverte jusqu’à" in content) == is_open
    if is_open:
        assert f"{now + timedelta(minutes=4):%H:%M} (GMT)" in content


def test_waiting_page_asks_the_gateway_only_where_that_is_possible(payment: Payment, gateway: FakeGateway) -> None:
    assert "data-look-url" not in page(payment)

    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL):
        assert f'data-look-url="{payment.get_return_url()}"' in page(payment)


def test_waiting_page_says_what_to_do(payment: Payment) -> None:
    Payment.objects.update(channel="WAVECI")
    assert "in the Wave app" in page(payment)

    Payment.objects.update(needs_review=True)
    assert "in the Wave app" not in page(payment)


@pytest.mark.parametrize("status", ["succeeded", "refunded"])
def test_result_page_says_when_how_and_under_which_number(settings: Any, status: str) -> None:
    settings.TIME_ZONE = "Africa/Abidjan"
    paid_at = parse_date("2026-03-05 16:05:00")
    values = {"status": status, "gateway_channel": "OMCIV2", "channel": "WAVECI", "gateway_id": "MP2603.<1>"}

    for dates in ({"transaction_date": paid_at, "settled_at": timezone.now()}, {"settled_at": paid_at}):
        content = page(make_payment(**values, **dates), "fr")
        assert "5 mars 2026 16:05 (GMT)" in content
        assert "5 March 2026 16:05 (GMT)" in page(make_payment(**values, **dates), "en")
        assert 'datetime="2026-03-05T16:05:00+00:00"' in content
        assert "<dd>Orange Money Côte d’Ivoire</dd>" in content
        assert "MP2603.&lt;1&gt;" in content


def test_failed_payment_has_neither_date_nor_number() -> None:
    payment = make_payment(status="failed", channel="WAVECI", settled_at=timezone.now(), gateway_id="MP2603")
    content = page(payment)
    assert "<dd>Wave Côte d’Ivoire</dd>" in content
    assert "MP2603" not in content
    assert "<time" not in content


def test_result_page_leaves_out_what_is_unknown() -> None:
    content = page(make_payment(status="succeeded"))
    assert "<dt>Payment method" not in content
    assert "<time" not in content
    assert "Transaction" not in content


@pytest.mark.parametrize(("reference", "is_long"), [("1a2b3c4d5e6f1a2b3c4d5e6f", True), ("INV-2026", False)])
def test_reference_is_shown_in_both_forms_and_can_be_copied(reference: str, is_long: bool) -> None:
    payment = make_payment(reference=reference)
    content = page(payment)
    assert f"<dd>{payment.short_reference}<button" in content
    assert (f'<dd class="code">{reference}</dd>' in content) == is_long
    assert re.search(rf'<button class="copy" type="button" data-copy="{reference}" [^>]*hidden>', content)
