import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus, unquote

import pytest
import requests
from django.core.exceptions import DisallowedHost, ImproperlyConfigured, ValidationError
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.http import Http404, HttpRequest
from django.test import Client, RequestFactory, override_settings
from django.urls import set_script_prefix
from django.utils import timezone
from django.views.debug import ExceptionReporter

from django_paiementpro import services, testing
from django_paiementpro.exceptions import (
    GatewayBusyError,
    GatewayError,
    GatewayRefusedError,
    GatewayUnavailableError,
    TooManyRefusalsError,
)
from django_paiementpro.gateway.messages import FAILURE_CODE
from django_paiementpro.models import Payment, PaymentEvent, SearchKey
from django_paiementpro.services import leases
from django_paiementpro.services.checkout import gateway_place
from django_paiementpro.services.notifications import receive_notification
from django_paiementpro.testing import FakeGateway, make_payment, pay
from django_paiementpro.testing.notifications import notification_of
from django_paiementpro.views import CheckoutView
from tests.conftest import EVENT_INSERTS, PAGE_URL, TRANSITION, Notify, Statements, columns, stored
from tests.server.threads import at_once, meanwhile

# All of it over both transports.
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("transport")]


BEFORE = {
    "created": {},
    "pending": {"status": "pending", "attempt": 1, "opened_attempt": 1},
    "failed": {"status": "failed", "attempt": 1, "opened_attempt": 1, "settled_attempt": 1},
}


@pytest.mark.parametrize("method", ["get", "post"])
def test_payer_is_redirected_to_the_gateways_page(gateway: FakeGateway, method: str) -> None:
    payment = make_payment(channel="OMCIV2", return_context={"order": 1})

    response = getattr(Client(enforce_csrf_checks=True), method)(payment.get_checkout_url())

    assert response.status_code == 302
    assert response["Location"] == PAGE_URL
    assert "no-store" in response["Cache-Control"]
    [sent] = gateway.page_requests
    assert sent.reference == payment.reference
    assert sent.amount == 12500
    assert sent.customer_phone == "0707123456"
    assert sent.return_context == {"order": 1}
    assert sent.notification_url == f"https://testserver{payment.get_notification_url()}"
    assert sent.return_url == f"https://testserver{payment.get_return_url()}"
    payment = stored(payment)
    assert (payment.status, payment.attempt, payment.payment_url) == ("pending", 1, PAGE_URL)
    assert payment.initialized_at is not None
    assert payment.leased_until is None
    event = payment.events.get()
    assert (event.kind, event.outcome, event.remote_address) == ("initialize", "accepted", "")
    assert event.data["referenceNumber"] == payment.reference
    assert "/paiementpro/" not in str(event.data)


@pytest.mark.django_db(transaction=True)
def test_checkout_takes_few_queries(client: Client, gateway: FakeGateway, statements: Statements) -> None:
    payment = make_payment()

    with statements:
        client.get(payment.get_checkout_url())
    assert [statement.split()[0] for statement in statements] == ["SELECT", "UPDATE", *TRANSITION]
    with statements:
        assert client.get(payment.get_checkout_url())["Location"] == PAGE_URL
    assert [statement.split()[0] for statement in statements] == ["SELECT"]
    assert len(gateway.page_requests) == 1


def test_old_page_is_not_offered_again(client: Client, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    payment = make_payment()
    client.get(payment.get_checkout_url())
    Payment.objects.update(initialized_at=now - timedelta(minutes=4) + timedelta(microseconds=1))
    client.get(payment.get_checkout_url())
    assert len(gateway.page_requests) == 1
    Payment.objects.update(initialized_at=now - timedelta(minutes=4))

    client.get(payment.get_checkout_url())

    assert [sent.reference for sent in gateway.page_requests] == [payment.reference, f"{payment.reference}-2"]
    assert stored(payment).attempt == 2


def test_failed_payment_can_be_retried_immediately(client: Client, gateway: FakeGateway, notify: Notify) -> None:
    payment = make_payment()
    client.get(payment.get_checkout_url())
    notify(stored(payment), responsecode=-1)
    assert stored(payment).status == "failed"

    assert client.get(payment.get_checkout_url())["Location"] == PAGE_URL

    payment = stored(payment)
    assert (payment.status, payment.attempt, len(gateway.page_requests)) == ("pending", 2, 2)
    assert (payment.settled_by, payment.settled_at, payment.gateway_id, payment.response_code) == ("", None, "", "")


def test_new_attempt_forgets_the_country_of_the_last(client: Client, gateway: FakeGateway, notify: Notify) -> None:
    def numbers() -> list[str]:
        keys = SearchKey.objects.filter(payment=payment, text__startswith="+")
        return list(keys.values_list("text", flat=True))

    payment = make_payment(customer_phone="01 97 12 34 56")
    assert numbers() == ["+2250197123456"]
    client.get(payment.get_checkout_url())
    notify(stored(payment), responsecode=-1, channel="FLOOZBJ")
    assert numbers() == ["+2290197123456"]

    assert client.get(payment.get_checkout_url())["Location"] == PAGE_URL
    assert numbers() == ["+2250197123456"]


@pytest.mark.parametrize("status", ["succeeded", "refunded", "expired", "cancelled"])
def test_checkout_of_a_final_payment_redirects_to_its_outcome(
    client: Client, gateway: FakeGateway, status: str
) -> None:
    payment = make_payment(status=status, attempt=1)

    response = client.get(payment.get_checkout_url())

    assert (response.status_code, response["Location"]) == (302, payment.get_return_url())
    assert gateway.page_requests == []


@pytest.mark.parametrize(
    ("body", "status"),
    [(requests.ConnectTimeout(), 0), (requests.ReadTimeout(), 0), (b"", 500), (b"<html>", 200)],
)
def test_checkout_can_be_retried_after_an_outage(client: Client, gateway: FakeGateway, body: Any, status: int) -> None:
    gateway.answers(body, status=status)
    payment = make_payment()

    response = client.get(payment.get_checkout_url())

    assert response.status_code == 503
    assert response["Retry-After"] == "30"
    assert payment.get_checkout_url() in response.content.decode()
    payment = stored(payment)
    assert (payment.status, payment.attempt, payment.leased_until) == ("created", 1, None)
    assert payment.events.get().outcome == "failed"
    gateway.opens()
    assert client.get(payment.get_checkout_url()).status_code == 302
    assert [sent.reference for sent in gateway.page_requests] == [payment.reference, f"{payment.reference}-2"]


@pytest.fixture
def full(settings: Any) -> Iterator[None]:
    """Let as many requests wait for the gateway as may."""
    settings.PAIEMENTPRO_API_GATEWAY_CALLS = 1
    with gateway_place():
        yield


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("method", ["get", "post"])
def test_checkout_beyond_the_bound_retries_by_itself(client: Client, gateway: FakeGateway, method: str) -> None:
    payment = make_payment()

    response = getattr(client, method)(payment.get_checkout_url())

    assert (response.status_code, response["Retry-After"]) == (503, "5")
    # Which is a GET request.
    refresh = f'<meta http-equiv="refresh" content="5;url={payment.get_checkout_url()}">'
    assert refresh in response.content.decode()
    assert "Please wait a moment</title>" in response.content.decode()
    assert gateway.page_requests == []
    assert (stored(payment).attempt, payment.events.count()) == (0, 0)


@pytest.mark.usefixtures("full")
def test_page_that_is_still_fresh_needs_no_place(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment(status="pending", attempt=1, payment_url=PAGE_URL, initialized_at=timezone.now())

    assert client.get(payment.get_checkout_url())["Location"] == PAGE_URL


@pytest.mark.usefixtures("full")
def test_busy_site_is_an_error_of_its_own(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment()

    with pytest.raises(GatewayBusyError, match=r"^enough requests are waiting for the gateway$"):
        services.initialize_payment(payment, rf.get("/"))

    assert services.initialize_payment(payment, rf.get("/"), has_place=True) == PAGE_URL


def test_outage_is_not_retried_by_itself(client: Client, gateway: FakeGateway) -> None:
    gateway.answers("", status=503)

    response = client.get(make_payment().get_checkout_url())

    # Each try would be one more attempt to look up.
    assert b'http-equiv="refresh"' not in response.content


def test_refusal_is_shown_without_internals(client: Client, gateway: FakeGateway) -> None:
    gateway.refuses("ID marchand inconnu PP-F324")
    payment = make_payment()

    response = client.get(payment.get_checkout_url(), headers={"accept-language": "fr"})

    assert response.status_code == 502
    assert "marchand" not in response.content.decode()
    assert 'lang="fr"' in response.content.decode()
    event = stored(payment).events.get()
    assert (event.outcome, event.message) == ("refused", "ID marchand inconnu PP-F324")
    assert stored(payment).status == "created"
    assert stored(payment).leased_until is None


@pytest.mark.parametrize(
    "values",
    [
        {"description": ""},
        {"amount": 99},
        {"currency": "EUR"},
        {"merchant_id": ""},
        {"channel": "NEW"},
        {"reference": "abc-2"},
        {"attempt": 999},
    ],
)
def test_invalid_data_are_not_sent(client: Client, gateway: FakeGateway, values: dict[str, Any]) -> None:
    payment = make_payment(**values)

    assert client.get(payment.get_checkout_url()).status_code == 400
    assert gateway.page_requests == []
    assert stored(payment).attempt == payment.attempt


def test_data_that_are_not_sent_are_not_checked(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment()
    payment.failure_url = "x" * 501

    assert services.initialize_payment(payment, rf.get("/")) == PAGE_URL


@pytest.mark.parametrize("path", ["checkout", "return", "status"])
@pytest.mark.parametrize("signed", ["abc", "abc.def", "é", "a" * 5000])
def test_forged_checkout_url_is_not_found(client: Client, path: str, signed: str, statements: Statements) -> None:
    with statements:
        assert client.get(f"/paiementpro/{path}/{signed}/").status_code == 404
    assert statements == []


def test_deleted_payment_is_not_found(client: Client) -> None:
    payment = make_payment()
    payment.delete()

    assert client.get(payment.get_checkout_url()).status_code == 404


def test_page_on_another_host_is_refused(client: Client, gateway: FakeGateway) -> None:
    gateway.opens("https://paiementpro.net.evil.com/")

    assert client.get(make_payment().get_checkout_url()).status_code == 503


def urls_given(gateway: FakeGateway, payment: Payment) -> list[str]:
    """Return what stands before the payment's paths in the URLs that the gateway was given."""
    [sent] = gateway.page_requests
    assert sent.notification_url.endswith(payment.get_notification_url())
    assert sent.return_url.endswith(payment.get_return_url())
    return [
        sent.notification_url.removesuffix(payment.get_notification_url()),
        sent.return_url.removesuffix(payment.get_return_url()),
    ]


def test_site_url_comes_before_the_requests_host(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment()

    with override_settings(PAIEMENTPRO_SITE_URL="https://shop.example/"):
        client.get(payment.get_checkout_url(), headers={"host": "testserver:8888"})

    assert urls_given(gateway, payment) == ["https://shop.example"] * 2


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    ("headers", "host", "port"),
    [
        ({}, "testserver", ""),
        ({"host": "testserver:8888"}, "testserver", ":8888"),
        ({"host": "[::1]"}, "[::1]", ""),
        ({"host": "[::1]:8888"}, "[::1]", ":8888"),
        ({"host": "a.example", "x-forwarded-host": "testserver:8888"}, "testserver", ":8888"),
        ({"host": "testserver:8888", "x-forwarded-port": "9999"}, "testserver", ":8888"),
    ],
)
def test_host_header_port_is_ignored(
    client: Client, gateway: FakeGateway, headers: dict[str, str], host: str, port: str, debug: bool
) -> None:
    payment = make_payment()

    with override_settings(
        PAIEMENTPRO_SITE_URL=None,
        ALLOWED_HOSTS=["testserver", "[::1]"],
        USE_X_FORWARDED_HOST="x-forwarded-host" in headers,
        USE_X_FORWARDED_PORT=True,
        DEBUG=debug,
    ):
        assert client.get(payment.get_checkout_url(), headers=headers).status_code == 302

    assert urls_given(gateway, payment) == [f"http://{host}{port}" if debug else f"https://{host}"] * 2


def test_forwarded_port_is_not_in_the_urls(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment()
    request = rf.get("/", headers={"x-forwarded-port": "8888"}, SERVER_PORT="8000")

    with override_settings(PAIEMENTPRO_SITE_URL=None, USE_X_FORWARDED_PORT=True):
        assert request.get_host() == "testserver:8888"
        services.initialize_payment(payment, request)

    assert urls_given(gateway, payment) == ["https://testserver"] * 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("script_name", ["/boutique", "/boutique/", "/bou tique"])
def test_urls_begin_with_the_forced_script_name_in_any_thread(gateway: FakeGateway, script_name: str) -> None:
    payment = make_payment()

    with override_settings(FORCE_SCRIPT_NAME=script_name):
        at_once(lambda: services.initialize_payment(payment))
        [path] = at_once(payment.get_checkout_url)

    start = f"{script_name.rstrip('/')}/paiementpro/".replace(" ", "%20")
    assert path.startswith(f"{start}checkout/")
    assert gateway.page_requests[0].notification_url.startswith(f"https://testserver{start}notification/")
    assert gateway.page_requests[0].return_url.startswith(f"https://testserver{start}return/")


@pytest.mark.django_db(transaction=True)
def test_request_of_another_thread_brings_its_script_name(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment()
    request = rf.get("/", SCRIPT_NAME="/boutique/")

    at_once(lambda: services.initialize_payment(payment, request))

    assert urls_given(gateway, payment) == ["https://testserver/boutique"] * 2


@pytest.mark.parametrize("forced", [None, "/boutique"])
def test_script_name_of_a_request_is_not_doubled(gateway: FakeGateway, rf: RequestFactory, forced: str | None) -> None:
    payment = make_payment()
    set_script_prefix("/boutique/")  # as Django does for each request
    try:
        with override_settings(FORCE_SCRIPT_NAME=forced):
            services.initialize_payment(payment, rf.get("/", SCRIPT_NAME="/boutique"))
        assert gateway.page_requests[0].return_url == f"https://testserver{payment.get_return_url()}"
    finally:
        set_script_prefix("/")

    assert urls_given(gateway, payment) == ["https://testserver/boutique"] * 2


@override_settings(PAIEMENTPRO_SITE_URL=None)
def test_without_a_request_the_site_url_is_needed(gateway: FakeGateway) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        services.initialize_payment(make_payment())
    assert str(caught.value) == (
        'PAIEMENTPRO_SITE_URL: write the public base of this site, like "https://example.com": '
        "without a request nothing else tells it"
    )


def test_host_may_open_the_page_itself(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment()

    assert services.initialize_payment(payment, rf.get("/")) == PAGE_URL
    assert (payment.status, payment.payment_url) == ("pending", PAGE_URL)
    assert services.initialize_payment(payment, rf.get("/")) == PAGE_URL


@pytest.mark.parametrize("status", ["succeeded", "refunded", "expired", "cancelled"])
def test_final_payment_raises_not_payable(rf: RequestFactory, status: str) -> None:
    with pytest.raises(ValidationError) as caught:
        services.initialize_payment(make_payment(status=status), rf.get("/"))
    assert (caught.value.code, caught.value.messages) == ("not_payable", ["This payment can no longer be paid."])


def test_payment_with_too_many_attempts_raises_not_payable(rf: RequestFactory) -> None:
    with pytest.raises(ValidationError) as caught:
        services.initialize_payment(make_payment(attempt=999), rf.get("/"))
    assert caught.value.code == "too_many_attempts"
    assert caught.value.messages == ["This payment has been tried too often."]


def test_phone_is_read_for_the_operators_country(gateway: FakeGateway, rf: RequestFactory) -> None:
    services.initialize_payment(make_payment(channel="OMSN", customer_phone="221 77 123 45 67"), rf.get("/"))

    assert gateway.page_requests[0].customer_phone == "771234567"


def test_refusal_is_raised(gateway: FakeGateway, rf: RequestFactory) -> None:
    gateway.answers({"success": False, "error": "Le montant minimum est de 100 fr"})

    with pytest.raises(GatewayRefusedError) as caught:
        services.initialize_payment(make_payment(), rf.get("/"))
    assert caught.value.message == "Le montant minimum est de 100 fr"


def test_refusal_quoting_the_payer_is_not_logged(
    gateway: FakeGateway, rf: RequestFactory, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.answers({"success": False, "error": "Le numéro 0707123456 de Awa Koné est invalide"})
    payment = make_payment()

    with pytest.raises(GatewayRefusedError):
        services.initialize_payment(payment, rf.get("/"))

    # What else is logged is read in every test: see discreet_log.
    assert "page_refused" in {message.split()[0] for message in caplog.messages}
    assert "0707123456" in payment.events.get().message


@pytest.mark.parametrize("verb", [services.initialize_payment, services.check_payment])
def test_no_transaction_of_the_hosts_stays_open_during_a_call(verb: Any) -> None:
    payment = make_payment()

    with transaction.atomic(), pytest.raises(RuntimeError, match=r"redirect to payment\.get_checkout_url\(\) instead"):
        verb(payment)


@pytest.mark.django_db(transaction=True)
def test_no_transaction_stays_open_during_a_call(client: Client, gateway: FakeGateway) -> None:
    seen = []
    gateway.answers(lambda request: seen.append(connection.in_atomic_block) or (200, {}, b"{}"))

    client.get(make_payment().get_checkout_url())

    assert seen == [False]


@pytest.mark.parametrize("seen", ["created", "pending", "failed"])
def test_stale_copy_gets_the_newest_page(gateway: FakeGateway, rf: RequestFactory, seen: str) -> None:
    stale = as_seen(seen)
    page = f"{PAGE_URL}2"
    Payment.objects.update(
        status="pending", attempt=2, opened_attempt=2, payment_url=page, initialized_at=timezone.now()
    )

    assert services.initialize_payment(stale, rf.get("/")) == page
    assert gateway.page_requests == []


@pytest.mark.parametrize("seen", ["created", "pending", "failed"])
@pytest.mark.parametrize("status", ["succeeded", "refunded", "expired", "cancelled"])
def test_stale_copy_gets_no_page_of_a_final_payment(
    gateway: FakeGateway, rf: RequestFactory, seen: str, status: str
) -> None:
    stale = as_seen(seen)
    Payment.objects.update(status=status)

    with pytest.raises(ValidationError) as caught:
        services.initialize_payment(stale, rf.get("/"))

    assert caught.value.code == "not_payable"
    assert (stale.status, gateway.page_requests) == (status, [])
    assert stored(stale).attempt == stale.attempt


@pytest.mark.parametrize("seen", ["created", "pending", "failed"])
def test_stale_copy_of_a_failed_payment_starts_a_new_attempt(
    gateway: FakeGateway, rf: RequestFactory, seen: str
) -> None:
    stale = as_seen(seen)
    Payment.objects.update(status="failed", attempt=1, opened_attempt=1, settled_attempt=1)
    gateway.opens(f"{PAGE_URL}2")

    assert services.initialize_payment(stale, rf.get("/")) == f"{PAGE_URL}2"
    assert [sent.reference for sent in gateway.page_requests] == [f"{stale.reference}-2"]
    assert (stored(stale).status, stored(stale).opened_attempt) == ("pending", 2)


def as_seen(status: str) -> Payment:
    """Return a payment as it was read a moment ago; a pending one with a page that is fresh."""
    values: dict[str, Any] = {**BEFORE[status]}
    if status == "pending":
        values |= {"payment_url": PAGE_URL, "initialized_at": timezone.now()}
    return stored(make_payment(**values))


# One call opens one page at most, however long it takes.

NO_TIME = timedelta(microseconds=1)


def test_call_that_outlasts_the_session_lifetime_opens_one_page(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment()

    with override_settings(PAIEMENTPRO_SESSION_LIFETIME=NO_TIME):
        for attempt in (1, 2):
            assert services.initialize_payment(payment, rf.get("/")) == PAGE_URL
            assert len(gateway.page_requests) == stored(payment).opened_attempt == attempt


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
def test_waiter_gets_the_page_of_a_very_slow_call(
    gateway: FakeGateway, rf: RequestFactory, monkeypatch: pytest.MonkeyPatch, before: dict[str, Any]
) -> None:
    payment = make_payment(**before)
    leases.acquire(payment)

    def open_page(seconds: float) -> None:
        Payment.objects.update(
            status="pending",
            opened_attempt=payment.attempt,
            payment_url=PAGE_URL,
            initialized_at=timezone.now() - timedelta(minutes=1),
            leased_until=None,
        )

    monkeypatch.setattr(services.checkout.time, "sleep", open_page)
    with override_settings(PAIEMENTPRO_SESSION_LIFETIME=NO_TIME):
        assert services.initialize_payment(stored(payment), rf.get("/")) == PAGE_URL
    assert gateway.page_requests == []


def test_waiter_gets_the_page_though_the_next_call_has_begun(
    gateway: FakeGateway, rf: RequestFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = make_payment()
    leases.acquire(payment)

    def open_page_and_ask_for_the_next(seconds: float) -> None:
        Payment.objects.update(
            status="pending",
            attempt=2,
            opened_attempt=1,
            payment_url=PAGE_URL,
            initialized_at=timezone.now() - timedelta(minutes=1),
        )

    monkeypatch.setattr(services.checkout.time, "sleep", open_page_and_ask_for_the_next)
    with override_settings(PAIEMENTPRO_SESSION_LIFETIME=NO_TIME):
        assert services.initialize_payment(stored(payment), rf.get("/")) == PAGE_URL
    assert gateway.page_requests == []


@pytest.mark.parametrize("status", ["succeeded", "expired", "cancelled"])
def test_waiter_gets_no_page_of_a_final_payment(
    gateway: FakeGateway, rf: RequestFactory, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    payment = make_payment()
    leases.acquire(payment)

    def end(seconds: float) -> None:
        Payment.objects.update(
            status=status,
            opened_attempt=1,
            payment_url=PAGE_URL,
            initialized_at=timezone.now(),
            leased_until=None,
        )

    monkeypatch.setattr(services.checkout.time, "sleep", end)
    with pytest.raises(ValidationError) as caught:
        services.initialize_payment(stored(payment), rf.get("/"))
    assert (caught.value.code, gateway.page_requests) == ("not_payable", [])


def test_waiter_gets_no_page_of_an_earlier_attempt(
    gateway: FakeGateway, rf: RequestFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    payment = make_payment(**BEFORE["pending"], payment_url=PAGE_URL, initialized_at=long_ago)
    leases.acquire(payment)
    monkeypatch.setattr(services.checkout.time, "sleep", lambda seconds: Payment.objects.update(leased_until=None))

    with pytest.raises(GatewayUnavailableError):
        services.initialize_payment(stored(payment), rf.get("/"))
    assert gateway.page_requests == []


def test_lease_of_a_dead_process_is_waited_for(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment(attempt=1, leased_until=timezone.now() + timedelta(seconds=0.3))

    assert client.get(payment.get_checkout_url()).status_code == 302
    assert [sent.reference for sent in gateway.page_requests] == [f"{payment.reference}-2"]
    assert timezone.now() > payment.leased_until


@pytest.mark.django_db(transaction=True)
def test_waiter_waits_for_one_call_only(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment(attempt=1, leased_until=timezone.now() + timedelta(minutes=1))

    with meanwhile(lambda: services.initialize_payment(payment, rf.get("/"))) as waiting:
        # The call of the first brings nothing, and another takes its place between two looks; and so on.
        for attempt in range(2, 22):
            time.sleep(0.2)
            Payment.objects.filter(pk=payment.pk).update(attempt=attempt)
        Payment.objects.filter(pk=payment.pk).update(leased_until=None)
    assert isinstance(waiting.exception(), GatewayUnavailableError)
    assert gateway.page_requests == []


def test_lease_lasts_for_the_time_outs_and_a_few_seconds(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment()
    leases_seen: list[Any] = []
    gateway.answers(lambda request: leases_seen.append(stored(payment).leased_until) or (500, {}, b""))

    with override_settings(PAIEMENTPRO_TIMEOUT=(1, 2)), pytest.raises(GatewayUnavailableError):
        services.initialize_payment(payment, rf.get("/"))

    assert timedelta(seconds=3) < leases_seen[0] - timezone.now() <= timedelta(seconds=8)


def overtaken_by(payment: Payment, **fields: Any) -> Any:
    """Return an answer that arrives after the gateway's notification."""

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        assert testing.notify(stored(payment), **fields).status_code == 200
        return 200, {}, {"success": True, "url": PAGE_URL}

    return answer


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
def test_success_before_the_page_is_recorded_settles(
    client: Client, gateway: FakeGateway, before: dict[str, Any]
) -> None:
    payment = make_payment(**before)
    gateway.answers(overtaken_by(payment))

    response = client.get(payment.get_checkout_url())

    assert (response.status_code, response["Location"]) == (302, payment.get_return_url())
    assert len(gateway.page_requests) == 1
    after = stored(payment)
    assert (after.status, after.settled_attempt, after.leased_until) == ("succeeded", payment.attempt + 1, None)


@pytest.mark.parametrize("before", [BEFORE["created"], BEFORE["pending"]], ids=["created", "pending"])
def test_page_of_an_attempt_that_has_failed_is_not_offered(
    client: Client, gateway: FakeGateway, before: dict[str, Any]
) -> None:
    payment = make_payment(**before)
    gateway.answers(overtaken_by(payment, responsecode=-1))

    assert client.get(payment.get_checkout_url()).status_code == 503

    after = stored(payment)
    assert (after.status, after.settled_attempt, after.leased_until) == ("failed", payment.attempt + 1, None)
    assert [(event.kind, event.outcome) for event in payment.events.all()] == [
        ("notification", "accepted"),
        ("initialize", "accepted"),
    ]
    gateway.opens()
    assert client.get(payment.get_checkout_url())["Location"] == PAGE_URL
    assert [sent.reference for sent in gateway.page_requests] == [
        payment.reference_of(payment.attempt + 1),
        payment.reference_of(payment.attempt + 2),
    ]
    assert (stored(payment).status, stored(payment).opened_attempt) == ("pending", payment.attempt + 2)


def test_failure_before_the_first_attempt_keeps_the_page(client: Client, gateway: FakeGateway, notify: Notify) -> None:
    payment = make_payment()
    notify(payment, responsecode=-1)
    assert (stored(payment).status, stored(payment).settled_attempt) == ("failed", 1)

    assert client.get(payment.get_checkout_url())["Location"] == PAGE_URL
    assert (stored(payment).status, stored(payment).opened_attempt) == ("pending", 1)


@pytest.mark.django_db(transaction=True)
def test_failure_of_an_earlier_attempt_keeps_the_page(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment(status="pending", attempt=1, opened_attempt=1)

    def overtaken(request: Any) -> tuple[int, dict[str, str], str]:
        # The call outlives its lease, so that the failure of the page before counts.
        Payment.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        assert receive_notification(payment.url_key, notification_of(payment, FAILURE_CODE, attempt=1))
        assert stored(payment).status == "failed"
        return 200, {}, {"success": True, "url": PAGE_URL}

    gateway.answers(overtaken)

    assert services.initialize_payment(payment, rf.get("/")) == PAGE_URL
    assert (stored(payment).status, stored(payment).opened_attempt) == ("pending", 2)
    assert columns(payment) == columns(stored(payment))


def test_slow_process_does_not_overwrite_a_later_attempt(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment()

    def overtaken(request: Any) -> tuple[int, dict[str, str], str]:
        Payment.objects.update(attempt=2, status="pending", payment_url=f"{PAGE_URL}2", initialized_at=timezone.now())
        return 200, {}, {"success": True, "url": PAGE_URL}

    gateway.answers(overtaken)

    assert services.initialize_payment(payment, rf.get("/")) == f"{PAGE_URL}2"
    assert stored(payment).payment_url == f"{PAGE_URL}2"


def test_page_of_an_earlier_attempt_is_not_stored(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment()

    def overtaken(request: Any) -> tuple[int, dict[str, str], str]:
        Payment.objects.filter(attempt=1).update(attempt=2, leased_until=None)
        return 200, {}, {"success": True, "url": PAGE_URL}

    gateway.answers(overtaken)

    with pytest.raises(GatewayUnavailableError, match=r"^the page came too late to be used$"):
        services.initialize_payment(payment, rf.get("/"))
    after = stored(payment)
    assert (after.status, after.opened_attempt, after.payment_url) == ("created", None, "")

    services.initialize_payment(payment, rf.get("/"))
    assert [sent.reference for sent in gateway.page_requests] == [payment.reference, f"{payment.reference}-3"]
    assert stored(payment).opened_attempt == 3


def test_finding_during_the_call_keeps_the_page(client: Client, gateway: FakeGateway, notify: Notify) -> None:
    payment = make_payment()

    def flagged(request: Any) -> tuple[int, dict[str, str], str]:
        notify(stored(payment), responsecode=7)
        return 200, {}, {"success": True, "url": PAGE_URL}

    gateway.answers(flagged)

    assert client.get(payment.get_checkout_url())["Location"] == PAGE_URL
    assert (len(gateway.page_requests), stored(payment).needs_review) == (1, True)


def test_bug_during_the_call_releases_the_lease(gateway: FakeGateway, rf: RequestFactory) -> None:
    gateway.answers(KeyError("a bug"))
    payment = make_payment()

    with pytest.raises(KeyError):
        services.initialize_payment(payment, rf.get("/"))
    assert stored(payment).leased_until is None


def test_waiter_can_retry_after_a_failed_call(rf: RequestFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = make_payment(attempt=1, leased_until=timezone.now() + timedelta(seconds=20))
    monkeypatch.setattr(services.checkout.time, "sleep", lambda seconds: Payment.objects.update(leased_until=None))

    with pytest.raises(GatewayUnavailableError, match=r"^another process got no answer from the gateway$"):
        services.initialize_payment(payment, rf.get("/"))
    assert stored(payment).attempt == 1


def test_head_request_opens_no_page(client: Client, gateway: FakeGateway) -> None:
    assert client.head(make_payment().get_checkout_url()).status_code == 405
    assert gateway.page_requests == []


def test_cancellation_during_the_call_prevents_checkout(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment()

    def overtaken(request: Any) -> tuple[int, dict[str, str], str]:
        services.cancel_payment(stored(payment), "sold out")
        return 200, {}, {"success": True, "url": PAGE_URL}

    gateway.answers(overtaken)

    assert client.get(payment.get_checkout_url())["Location"] == payment.get_return_url()
    assert stored(payment).status == "cancelled"


@pytest.mark.parametrize("status", ["created", "pending", "failed"])
def test_payable_payment_can_be_cancelled(status: str) -> None:
    payment = make_payment(status=status)

    services.cancel_payment(payment, "sold out")

    assert payment.status == stored(payment).status == "cancelled"
    event = payment.events.get()
    assert (event.kind, event.outcome, event.message) == ("host", "accepted", "sold out")


@pytest.mark.parametrize("status", ["succeeded", "refunded", "expired", "cancelled"])
def test_final_payment_cannot_be_cancelled(status: str) -> None:
    payment = make_payment(status=status)

    with pytest.raises(ValidationError):
        services.cancel_payment(payment, "sold out")
    assert stored(payment).status == status


def test_stale_copy_does_not_cancel_a_paid_payment(notify: Notify) -> None:
    payment = make_payment(status="pending", attempt=1)
    stale = stored(payment)
    notify(payment)

    with transaction.atomic(), pytest.raises(ValidationError):
        services.cancel_payment(stale, "sold out")
    assert stored(payment).status == "succeeded"


@pytest.mark.parametrize("answer", [(500, {}, ""), (200, {}, {"success": False})], ids=["away", "refused"])
def test_payer_who_has_paid_meanwhile_is_not_asked_to_retry(client: Client, gateway: FakeGateway, answer: Any) -> None:
    payment = make_payment()

    def paid_meanwhile(request: Any) -> Any:
        pay(payment)
        return answer

    gateway.answers(paid_meanwhile)

    response = client.get(payment.get_checkout_url())

    assert (response.status_code, response["Location"]) == (302, payment.get_return_url())


@pytest.mark.parametrize("encoded", [str, quote_plus])
def test_refusal_does_not_reveal_the_notification_url(
    admin_client: Client, gateway: FakeGateway, encoded: Callable[[str], str]
) -> None:
    payment = make_payment()
    url = encoded(f"https://testserver{payment.get_notification_url()}")
    gateway.refuses(f"notificationURL invalide : {url}")

    with pytest.raises(GatewayRefusedError, match=r"notificationURL invalide : .*\[URL\]") as caught:
        services.initialize_payment(payment)

    signature = payment.get_notification_url().rpartition(".")[2].rstrip("/")
    shown = admin_client.get(f"/admin/paiementpro/payment/{payment.pk}/change/").content.decode()
    assert "notificationURL invalide" in shown
    for text in (shown, str(caught.value), caught.value.message, payment.events.get().message):
        assert signature not in text


@pytest.mark.parametrize("encoded", [str, quote_plus])
def test_page_url_that_contains_the_notification_url_is_refused(
    client: Client, gateway: FakeGateway, encoded: Callable[[str], str]
) -> None:
    payment = make_payment()
    gateway.opens(f"{PAGE_URL}&n={encoded(payment.get_notification_url())}")

    assert client.get(payment.get_checkout_url()).status_code == 503
    assert stored(payment).payment_url == ""


def test_page_may_name_the_return_url(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment()
    page_url = f"{PAGE_URL}&r={quote_plus(payment.get_return_url())}"
    gateway.opens(page_url)

    location = client.get(payment.get_checkout_url())["Location"]

    assert unquote(unquote(location)) == unquote(page_url)


def no_events(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
    if sql.startswith(EVENT_INSERTS) and "paymentevent" in sql:
        raise DatabaseError("no more rows")
    return execute(sql, *args)


def reports_of(payment: Payment, request: HttpRequest) -> str:
    """Let a checkout fail, and return all that Django's error page and mails say about it."""
    errors = (DatabaseError, DisallowedHost, GatewayError, RuntimeError)
    with connection.execute_wrapper(no_events), pytest.raises(errors) as caught:
        services.initialize_payment(payment, request)
    reporter = ExceptionReporter(request, caught.type, caught.value, caught.tb)
    return reporter.get_traceback_html() + reporter.get_traceback_text()


TROUBLES: dict[str, Callable[[FakeGateway], object]] = {
    "in the database": lambda gateway: None,
    "in the connection": lambda gateway: gateway.is_away(),
    "below the connection": lambda gateway: gateway.answers(RuntimeError("oops")),
    "in the answer": lambda gateway: gateway.answers("<html>"),
    "in a refusal": lambda gateway: gateway.refuses("non"),
    "in the page": lambda gateway: gateway.opens("https://elsewhere.example/"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_error_reports_show_neither_customer_nor_signed_url(
    gateway: FakeGateway, rf: RequestFactory, trouble: str
) -> None:
    payment = make_payment(customer_last_name="Zoukou", return_context={"note": "Zoukou"})
    TROUBLES[trouble](gateway)

    reports = reports_of(payment, rf.get("/"))

    assert "initialize_payment" in reports
    for secret in (payment.get_notification_url(), payment.get_return_url()):
        assert secret.rpartition(".")[2].rstrip("/") not in reports
    for text in ("Zoukou", "awa@example.com", "0707123456", "07 07 12 34 56"):
        assert text not in reports


@pytest.mark.parametrize("values", [{}, {"ALLOWED_HOSTS": ["other.example"], "PAIEMENTPRO_SITE_URL": None}])
def test_debug_page_shows_no_signed_url(gateway: FakeGateway, rf: RequestFactory, values: dict[str, Any]) -> None:
    payment = make_payment()

    with override_settings(DEBUG=True, **values):
        reports = reports_of(payment, rf.get("/"))

    assert "initialize_payment" in reports
    for secret in (payment.get_notification_url(), payment.get_return_url()):
        assert secret.rpartition(".")[2].rstrip("/") not in reports


def test_error_reports_show_nothing_that_was_posted(rf: RequestFactory) -> None:
    request = rf.post("/", {"customer_phone": "07 07 12 34 56"})

    with pytest.raises(Http404):
        CheckoutView.as_view()(request, signed="x")

    html = ExceptionReporter(request, None, None, None).get_traceback_html()
    assert "customer_phone" in html
    assert "07 07 12 34 56" not in html


# A page is offered again only for what it was opened for.


@pytest.mark.parametrize(
    "values",
    [
        {"customer_phone": "05 05 12 34 56"},
        {"channel": "OMCIV2"},
        {"description": "Two sacks of rice"},
        {"customer_email": "awa.kone@example.com"},
        {"customer_first_name": "Aya"},
        {"customer_last_name": "Kouassi"},
        {"return_context": {"order": 2}},
    ],
    ids=lambda values: next(iter(values)),
)
def test_page_for_other_data_is_not_reused(client: Client, gateway: FakeGateway, values: dict[str, Any]) -> None:
    payment = make_payment()
    client.get(payment.get_checkout_url())
    corrected = stored(payment)
    for name, value in values.items():
        setattr(corrected, name, value)
    corrected.save()
    gateway.opens(f"{PAGE_URL}2")

    for _ in range(2):
        assert client.get(payment.get_checkout_url())["Location"] == f"{PAGE_URL}2"

    assert [sent.reference for sent in gateway.page_requests] == [payment.reference, f"{payment.reference}-2"]
    assert stored(payment).attempt == 2


@pytest.mark.parametrize("values", [{"amount": 6250}, {"merchant_id": "PP-F1"}, {"currency": "XAF"}])
def test_page_for_another_amount_or_merchant_is_not_reused(
    client: Client, gateway: FakeGateway, settings: Any, values: dict[str, Any]
) -> None:
    settings.PAIEMENTPRO_CURRENCIES = {"XOF": "952", "XAF": "950"}
    payment = make_payment()
    client.get(payment.get_checkout_url())
    Payment.objects.update(**values)

    client.get(payment.get_checkout_url())

    assert len(gateway.page_requests) == 2


def test_change_of_unsent_data_reuses_the_page(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment()
    client.get(payment.get_checkout_url())
    Payment.objects.update(success_url="/thanks/", needs_review=True)

    assert client.get(payment.get_checkout_url(), headers={"host": "testserver"})["Location"] == PAGE_URL
    assert len(gateway.page_requests) == 1


@pytest.mark.parametrize("context", [{"zz": 1, "a": {"c": 1, "b": [2, None]}}, {2: "b", "a": 1}])
def test_page_is_reused_by_stored_data(
    client: Client, gateway: FakeGateway, rf: RequestFactory, context: dict[Any, Any]
) -> None:
    payment = make_payment(return_context=context)
    services.initialize_payment(payment, rf.get("/"))

    assert client.get(payment.get_checkout_url())["Location"] == PAGE_URL
    assert len(gateway.page_requests) == 1


def test_page_is_reused_after_a_failure_in_another_country(
    client: Client, gateway: FakeGateway, notify: Notify
) -> None:
    payment = make_payment(customer_phone="01 97 12 34 56")
    client.get(payment.get_checkout_url())
    notify(stored(payment), responsecode=-1, channel="FLOOZBJ")

    for _ in range(2):
        client.get(payment.get_checkout_url())

    assert len(gateway.page_requests) == 2


def test_host_that_corrects_the_phone_gets_a_page_for_it(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment()
    services.initialize_payment(payment, rf.get("/"))
    stale = stored(payment)
    payment.customer_phone = "05 05 12 34 56"
    payment.save()

    services.initialize_payment(payment, rf.get("/"))
    services.initialize_payment(stale, rf.get("/"))

    assert [sent.customer_phone for sent in gateway.page_requests] == ["0707123456", "0505123456"]
    assert stale.customer_phone == "05 05 12 34 56"


@pytest.mark.django_db(transaction=True)
def test_phone_corrected_during_the_call_needs_another_page(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment()

    def corrected(request: Any) -> tuple[int, dict[str, str], str]:
        Payment.objects.update(customer_phone="05 05 12 34 56")
        return 200, {}, {"success": True, "url": PAGE_URL}

    gateway.answers(corrected)
    client.get(payment.get_checkout_url())
    gateway.opens(f"{PAGE_URL}2")

    assert client.get(payment.get_checkout_url())["Location"] == f"{PAGE_URL}2"
    assert [sent.customer_phone for sent in gateway.page_requests] == ["0707123456", "0505123456"]


def test_waiter_does_not_get_a_page_for_other_data(
    gateway: FakeGateway, rf: RequestFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = make_payment()
    gateway.opens(f"{PAGE_URL}2")
    other = stored(payment)
    leases.acquire(payment)

    def open_page(seconds: float) -> None:
        page_request = services.checkout._page_request(stored(payment), rf.get("/"))
        services.checkout._record_page(payment, page_request, PAGE_URL, 0)
        Payment.objects.update(channel="OMCIV2")

    monkeypatch.setattr(services.checkout.time, "sleep", open_page)

    assert services.initialize_payment(other, rf.get("/")) == f"{PAGE_URL}2"
    assert [sent.channel for sent in gateway.page_requests] == ["OMCIV2"]
    assert stored(payment).opened_attempt == 2


@pytest.mark.parametrize(
    ("ahead", "is_fresh"), [(timedelta(seconds=59), True), (timedelta(seconds=61), False), (timedelta(days=30), False)]
)
def test_page_of_a_clock_that_ran_ahead_is_not_fresh(
    client: Client, gateway: FakeGateway, ahead: timedelta, is_fresh: bool
) -> None:
    payment = make_payment()
    client.get(payment.get_checkout_url())
    Payment.objects.update(initialized_at=timezone.now() + ahead)

    client.get(payment.get_checkout_url())

    assert (len(gateway.page_requests) == 1) is is_fresh


def test_data_of_a_page_are_stored_as_a_digest(client: Client, gateway: FakeGateway, settings: Any) -> None:
    payment = make_payment()
    client.get(payment.get_checkout_url())
    digest = stored(payment).page_digest
    assert len(digest) == 32

    settings.SECRET_KEY = "x" * 50
    client.get(payment.get_checkout_url())

    assert stored(payment).page_digest not in {"", digest}


# Refusals in a row make the checkout pause.


def let_pass(seconds: float) -> None:
    """Let time pass, by dating the tries back."""
    PaymentEvent.objects.update(created_at=F("created_at") - timedelta(seconds=seconds))


def test_consecutive_refusals_pause_the_checkout(client: Client, gateway: FakeGateway) -> None:
    gateway.refuses()
    payment = make_payment()
    url = payment.get_checkout_url()
    assert [client.get(url).status_code for _ in range(3)] == [502, 502, 502]

    for number, pause in enumerate((15, 30, 60, 120, 240, 480, 900, 900), start=3):
        let_pass(pause - 10)
        response = client.get(url)
        assert response.status_code == 429
        assert 0 < int(response["Retry-After"]) <= 10
        assert len(gateway.page_requests) == stored(payment).events.count() == stored(payment).attempt == number
        let_pass(10)
        assert client.get(url).status_code == 502

    response = client.get(url)
    assert 850 < int(response["Retry-After"]) <= 900
    assert "try again in 15 minutes" in response.content.decode()
    assert 'href="' + url in response.content.decode()
    let_pass(841)
    assert "try again in 1 minute." in client.get(url).content.decode()


def test_many_clicks_on_a_refused_payment_make_few_calls(client: Client, gateway: FakeGateway) -> None:
    gateway.refuses()
    payment = make_payment()

    for _ in range(50):
        client.get(payment.get_checkout_url())

    assert len(gateway.page_requests) == payment.events.count() == 3


def test_error_has_the_length_of_the_pause(gateway: FakeGateway, rf: RequestFactory) -> None:
    gateway.refuses("Numero invalide")
    payment = make_payment()
    for _ in range(3):
        with pytest.raises(GatewayRefusedError):
            services.initialize_payment(payment, rf.get("/"))
    let_pass(4.5)

    with pytest.raises(TooManyRefusalsError) as caught:
        services.initialize_payment(payment, rf.get("/"))

    assert 0 < caught.value.retry_after <= 11
    assert caught.value.message == "Numero invalide"
    assert stored(payment).leased_until is None


def test_corrected_number_is_tried_at_once(client: Client, gateway: FakeGateway) -> None:
    gateway.refuses()
    payment = make_payment()
    for _ in range(4):
        client.get(payment.get_checkout_url())
    assert len(gateway.page_requests) == 3
    payment.customer_phone = "05 05 12 34 56"
    payment.save()
    gateway.opens()

    assert client.get(payment.get_checkout_url())["Location"] == PAGE_URL


def test_corrections_in_turn_are_bounded(client: Client, gateway: FakeGateway) -> None:
    gateway.refuses()
    payment = make_payment()

    for number in range(50):
        payment.customer_phone = f"05 05 12 34 {number % 2}6"
        payment.save()
        client.get(payment.get_checkout_url())

    assert len(gateway.page_requests) == 7
    assert 0 < int(client.get(payment.get_checkout_url())["Retry-After"]) <= 15


def test_opened_page_resets_the_refusals(client: Client, gateway: FakeGateway, notify: Notify) -> None:
    payment = make_payment()
    gateway.refuses()
    for _ in range(2):
        client.get(payment.get_checkout_url())
    gateway.opens()
    client.get(payment.get_checkout_url())
    notify(stored(payment), responsecode=-1)
    gateway.refuses()

    assert [client.get(payment.get_checkout_url()).status_code for _ in range(4)] == [502, 502, 502, 429]


def test_operator_failures_do_not_pause_the_checkout(client: Client, gateway: FakeGateway, notify: Notify) -> None:
    payment = make_payment()

    for _ in range(6):
        assert client.get(payment.get_checkout_url())["Location"] == PAGE_URL
        notify(stored(payment), responsecode=-1)


def test_outage_pauses_the_checkout_for_at_most_30_seconds(client: Client, gateway: FakeGateway) -> None:
    gateway.is_away()
    payment = make_payment()
    url = payment.get_checkout_url()
    for number, pause in enumerate((15, 30, 30, 30), start=3):
        assert [client.get(url).status_code for _ in range(5)] == [503] * 5
        assert len(gateway.page_requests) == number
        let_pass(pause)

    gateway.opens()
    assert client.get(url)["Location"] == PAGE_URL


def test_refusals_in_the_future_do_not_pause_the_checkout(client: Client, gateway: FakeGateway) -> None:
    gateway.refuses()
    payment = make_payment()
    for _ in range(3):
        client.get(payment.get_checkout_url())
    payment.events.update(created_at=timezone.now() + timedelta(days=30))

    assert client.get(payment.get_checkout_url()).status_code == 502


# A browser that loads the link in advance.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Sec-Purpose", "prefetch;anonymous-client-ip"),
        ("sec-purpose", "Prefetch"),
        ("Purpose", "prefetch"),
        ("Purpose", "preview"),
        ("X-Moz", "prefetch"),
        ("X-Purpose", "preview"),
    ],
)
@pytest.mark.parametrize("status", ["created", "pending", "failed"])
def test_prefetch_opens_no_page(client: Client, gateway: FakeGateway, name: str, value: str, status: str) -> None:
    payment = make_payment(**BEFORE[status])
    before = columns(stored(payment))

    response = client.get(payment.get_checkout_url(), headers={name: value})

    assert response.status_code == 403
    assert "no-store" in response["Cache-Control"]
    assert "Continue to payment" in response.content.decode()
    assert f'href="{payment.get_checkout_url()}"' in response.content.decode()
    assert columns(stored(payment)) == before
    assert gateway.page_requests == []
    assert not payment.events.exists()
    assert client.get(payment.get_checkout_url())["Location"] == PAGE_URL


def test_other_purpose_header_is_a_visit(client: Client, gateway: FakeGateway) -> None:
    response = client.get(make_payment().get_checkout_url(), headers={"Sec-Purpose": "", "Purpose": "buy"})

    assert response["Location"] == PAGE_URL


@pytest.mark.parametrize(("method", "status"), [("head", 405), ("options", 200), ("put", 405)])
def test_other_methods_open_no_page(client: Client, gateway: FakeGateway, method: str, status: int) -> None:
    payment = make_payment()

    assert getattr(client, method)(payment.get_checkout_url()).status_code == status
    assert (gateway.page_requests, stored(payment).attempt) == ([], 0)
