import json
import time
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import connection, transaction
from django.test import Client, RequestFactory, override_settings
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.exceptions import GatewayRefusedError, GatewayUnavailableError
from django_paiementpro.models import Payment
from django_paiementpro.testing import FakeGateway, make_payment, pay
from tests.conftest import PAGE_URL, Notify, Statements
from tests.server.threads import meanwhile

pytestmark = pytest.mark.django_db


def stored(payment: Payment) -> Payment:
    return Payment.objects.get(pk=payment.pk)


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_payer_is_sent_to_the_gateways_page(gateway: FakeGateway, method: str) -> None:
    payment = make_payment(channel="OMCIV2", return_context={"order": 1})

    response = getattr(Client(enforce_csrf_checks=True), method)(payment.get_absolute_url())

    assert response.status_code == 302
    assert response["Location"] == PAGE_URL
    assert "no-store" in response["Cache-Control"]
    [sent] = gateway.page_requests
    assert sent.reference == payment.reference
    assert sent.amount == 12500
    assert sent.customer_phone == "0707123456"
    assert sent.return_context == {"order": 1}
    assert sent.notification_url == f"http://testserver{payment.get_notification_url()}"
    assert sent.return_url == f"http://testserver{payment.get_return_url()}"
    payment = stored(payment)
    assert (payment.status, payment.attempt, payment.payment_url) == ("pending", 1, PAGE_URL)
    assert payment.initialized_at is not None
    assert payment.claimed_until is None
    event = payment.events.get()
    assert (event.kind, event.outcome, event.remote_address) == ("initialize", "accepted", "")
    assert event.data["referenceNumber"] == payment.reference
    assert "/paiementpro/" not in str(event.data)


@pytest.mark.django_db(transaction=True)
def test_checkout_takes_four_statements_and_one_when_repeated(
    client: Client, gateway: FakeGateway, statements: Statements
) -> None:
    payment = make_payment()

    with statements:
        client.get(payment.get_absolute_url())
    assert len(statements) == 4
    with statements:
        assert client.get(payment.get_absolute_url())["Location"] == PAGE_URL
    assert len(statements) == 1
    assert len(gateway.page_requests) == 1


def test_a_stale_page_is_not_offered_again(
    client: Client, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    payment = make_payment()
    client.get(payment.get_absolute_url())
    Payment.objects.update(initialized_at=now - timedelta(minutes=5) + timedelta(microseconds=1))
    client.get(payment.get_absolute_url())
    assert len(gateway.page_requests) == 1
    Payment.objects.update(initialized_at=now - timedelta(minutes=5))

    client.get(payment.get_absolute_url())

    assert [sent.reference for sent in gateway.page_requests] == [payment.reference, f"{payment.reference}-2"]
    assert stored(payment).attempt == 2


def test_a_failed_payment_is_tried_again_at_once(client: Client, gateway: FakeGateway, notify: Notify) -> None:
    payment = make_payment()
    client.get(payment.get_absolute_url())
    notify(stored(payment), responsecode=-1)
    assert stored(payment).status == "failed"

    assert client.get(payment.get_absolute_url())["Location"] == PAGE_URL

    payment = stored(payment)
    assert (payment.status, payment.attempt, len(gateway.page_requests)) == ("pending", 2, 2)
    assert (payment.settled_by, payment.settled_at, payment.gateway_id, payment.response_code) == ("", None, "", "")


@pytest.mark.parametrize("status", ["succeeded", "refunded", "expired", "cancelled"])
def test_what_is_over_goes_to_the_return_page(client: Client, gateway: FakeGateway, status: str) -> None:
    payment = make_payment(status=status, attempt=1)

    response = client.get(payment.get_absolute_url())

    assert (response.status_code, response["Location"]) == (302, payment.get_return_url())
    assert gateway.page_requests == []


@pytest.mark.parametrize(
    ("body", "status"),
    [(requests.ConnectTimeout(), 0), (requests.ReadTimeout(), 0), (b"", 500), (b"<html>", 200)],
)
def test_a_gateway_that_is_away_may_be_tried_again(
    client: Client, gateway: FakeGateway, body: Any, status: int
) -> None:
    gateway.answers(body, status=status)
    payment = make_payment()

    response = client.get(payment.get_absolute_url())

    assert response.status_code == 503
    assert response["Retry-After"] == "30"
    assert payment.get_absolute_url() in response.content.decode()
    payment = stored(payment)
    assert (payment.status, payment.attempt, payment.claimed_until) == ("created", 1, None)
    assert payment.events.get().outcome == "failed"
    gateway.opens()
    assert client.get(payment.get_absolute_url()).status_code == 302
    assert [sent.reference for sent in gateway.page_requests] == [payment.reference, f"{payment.reference}-2"]


def test_a_refusal_is_told_without_internals(client: Client, gateway: FakeGateway) -> None:
    gateway.refuses("ID marchand inconnu PP-F324")
    payment = make_payment()

    response = client.get(payment.get_absolute_url(), headers={"accept-language": "fr"})

    assert response.status_code == 502
    assert "marchand" not in response.content.decode()
    assert 'lang="fr"' in response.content.decode()
    event = stored(payment).events.get()
    assert (event.outcome, event.message) == ("refused", "ID marchand inconnu PP-F324")
    assert stored(payment).status == "created"
    assert stored(payment).claimed_until is None


@pytest.mark.parametrize(
    "values",
    [
        {"customer_phone": "0700"},
        {"customer_email": "awa"},
        {"customer_last_name": ""},
        {"description": ""},
        {"amount": 99},
        {"currency": "EUR"},
        {"merchant_id": ""},
        {"channel": "NEW"},
        {"reference": "abc-2"},
        {"attempt": 999},
    ],
)
def test_data_that_the_gateway_would_refuse_are_not_sent(
    client: Client, gateway: FakeGateway, values: dict[str, Any]
) -> None:
    payment = make_payment(**values)

    assert client.get(payment.get_absolute_url()).status_code == 400
    assert gateway.page_requests == []
    assert stored(payment).attempt == payment.attempt


def test_data_that_the_gateway_is_not_told_are_not_checked(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment()
    payment.failure_url = "x" * 501

    assert services.initialize_payment(payment, rf.get("/")) == PAGE_URL


@pytest.mark.parametrize("path", ["checkout", "return", "status"])
@pytest.mark.parametrize("signed", ["abc", "abc.def", "é", "a" * 5000])
def test_a_stranger_finds_nothing(client: Client, path: str, signed: str, statements: Statements) -> None:
    with statements:
        assert client.get(f"/paiementpro/{path}/{signed}/").status_code == 404
    assert statements == []


def test_a_payment_that_is_gone_is_not_found(client: Client) -> None:
    payment = make_payment()
    payment.delete()

    assert client.get(payment.get_absolute_url()).status_code == 404


def test_a_page_elsewhere_is_never_gone_to(client: Client, gateway: FakeGateway) -> None:
    gateway.opens("https://paiementpro.net.evil.com/")

    assert client.get(make_payment().get_absolute_url()).status_code == 503


def test_the_site_url_is_told_rather_than_the_requests_host(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment()

    with override_settings(PAIEMENTPRO_SITE_URL="https://shop.example/"):
        client.get(payment.get_absolute_url())

    assert gateway.page_requests[0].notification_url == f"https://shop.example{payment.get_notification_url()}"


def test_without_a_request_the_site_url_is_needed(gateway: FakeGateway) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        services.initialize_payment(make_payment())
    assert str(caught.value) == (
        'PAIEMENTPRO_SITE_URL: write the public base of this site, like "https://example.com": '
        "without a request nothing else tells it"
    )


def test_a_host_may_take_the_page_itself(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment()

    assert services.initialize_payment(payment, rf.get("/")) == PAGE_URL
    assert (payment.status, payment.payment_url) == ("pending", PAGE_URL)
    assert services.initialize_payment(payment, rf.get("/")) == PAGE_URL


@pytest.mark.parametrize("status", ["succeeded", "refunded", "expired", "cancelled"])
def test_what_is_over_is_invalid_for_the_host(rf: RequestFactory, status: str) -> None:
    with pytest.raises(ValidationError) as caught:
        services.initialize_payment(make_payment(status=status), rf.get("/"))
    assert (caught.value.code, caught.value.messages) == ("not_payable", ["This payment can no longer be paid."])


def test_what_was_tried_too_often_is_invalid_for_the_host(rf: RequestFactory) -> None:
    with pytest.raises(ValidationError) as caught:
        services.initialize_payment(make_payment(attempt=999), rf.get("/"))
    assert caught.value.code == "too_many_attempts"
    assert caught.value.messages == ["This payment has been tried too often."]


def test_a_number_is_read_as_in_the_country_of_the_operator(gateway: FakeGateway, rf: RequestFactory) -> None:
    services.initialize_payment(make_payment(channel="OMSN", customer_phone="221 77 123 45 67"), rf.get("/"))

    assert gateway.page_requests[0].customer_phone == "771234567"


def test_a_refusal_is_raised_to_the_host(gateway: FakeGateway, rf: RequestFactory) -> None:
    gateway.answers({"success": False, "error": "Le montant minimum est de 100 fr"})

    with pytest.raises(GatewayRefusedError) as caught:
        services.initialize_payment(make_payment(), rf.get("/"))
    assert caught.value.message == "Le montant minimum est de 100 fr"


def test_a_refusal_that_quotes_the_payer_is_not_logged(
    gateway: FakeGateway, rf: RequestFactory, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.answers({"success": False, "error": "Le numéro 0707123456 de Awa Koné est invalide"})
    payment = make_payment()

    with pytest.raises(GatewayRefusedError):
        services.initialize_payment(payment, rf.get("/"))

    # What else is logged is read in every test: see discreet_log.
    assert "page_refused" in caplog.messages
    assert "0707123456" in payment.events.get().message


@pytest.mark.parametrize("verb", [services.initialize_payment, services.check_payment])
def test_no_transaction_of_the_hosts_stays_open_during_a_call(verb: Any) -> None:
    payment = make_payment()

    with transaction.atomic(), pytest.raises(RuntimeError):
        verb(payment)


@pytest.mark.django_db(transaction=True)
def test_no_transaction_of_ours_stays_open_during_a_call(client: Client, gateway: FakeGateway) -> None:
    seen = []
    gateway.answers(lambda request: seen.append(connection.in_atomic_block) or (200, {}, b"{}"))

    client.get(make_payment().get_absolute_url())

    assert seen == [False]


def test_a_stale_copy_of_a_payment_is_read_again(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment()
    stale = stored(payment)
    services.initialize_payment(payment, rf.get("/"))

    assert services.initialize_payment(stale, rf.get("/")) == PAGE_URL
    assert len(gateway.page_requests) == 1


def test_a_dead_process_blocks_no_longer_than_its_claim(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment(attempt=1, claimed_until=timezone.now() + timedelta(seconds=0.3))

    assert client.get(payment.get_absolute_url()).status_code == 302
    assert [sent.reference for sent in gateway.page_requests] == [f"{payment.reference}-2"]
    assert timezone.now() > payment.claimed_until


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_one_call_does_not_wait_for_the_next(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment(attempt=1, claimed_until=timezone.now() + timedelta(minutes=1))

    with meanwhile(lambda: services.initialize_payment(payment, rf.get("/"))) as waiting:
        # The call of the first brings nothing, and another takes its place between two looks; and so on.
        for attempt in range(2, 22):
            time.sleep(0.2)
            Payment.objects.filter(pk=payment.pk).update(attempt=attempt)
        Payment.objects.filter(pk=payment.pk).update(claimed_until=None)
    assert isinstance(waiting.exception(), GatewayUnavailableError)
    assert gateway.page_requests == []


def test_a_claim_lasts_for_the_time_outs_and_a_few_seconds(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment()
    claims = []
    gateway.answers(lambda request: claims.append(stored(payment).claimed_until) or (500, {}, b""))

    with override_settings(PAIEMENTPRO_TIMEOUT=(1, 2)), pytest.raises(GatewayUnavailableError):
        services.initialize_payment(payment, rf.get("/"))

    assert timedelta(seconds=3) < claims[0] - timezone.now() <= timedelta(seconds=8)


@pytest.mark.parametrize(
    ("responsecode", "status", "answer", "asked"),
    [(0, "succeeded", 302, 1), (-1, "pending", 302, 2)],
)
def test_a_notification_may_overtake_the_answer(
    client: Client, gateway: FakeGateway, notify: Notify, responsecode: int, status: str, answer: int, asked: int
) -> None:
    payment = make_payment()

    def overtaken(request: Any) -> tuple[int, dict[str, str], str]:
        current = stored(payment)
        if current.attempt == 1:
            notify(current, responsecode=responsecode)
        return 200, {}, json.dumps({"success": True, "url": PAGE_URL})

    gateway.answers(overtaken)

    response = client.get(payment.get_absolute_url())

    assert (response.status_code, len(gateway.page_requests)) == (answer, asked)
    assert response["Location"] == (payment.get_return_url() if status == "succeeded" else PAGE_URL)
    assert (stored(payment).status, stored(payment).claimed_until) == (status, None)


def test_a_slow_process_does_not_overwrite_a_later_attempt(gateway: FakeGateway, rf: RequestFactory) -> None:
    payment = make_payment()

    def overtaken(request: Any) -> tuple[int, dict[str, str], str]:
        Payment.objects.update(attempt=2, status="pending", payment_url=f"{PAGE_URL}2", initialized_at=timezone.now())
        return 200, {}, json.dumps({"success": True, "url": PAGE_URL})

    gateway.answers(overtaken)

    assert services.initialize_payment(payment, rf.get("/")) == f"{PAGE_URL}2"
    assert stored(payment).payment_url == f"{PAGE_URL}2"


def test_the_page_of_an_earlier_attempt_is_not_stored_as_that_of_a_later(
    gateway: FakeGateway, rf: RequestFactory
) -> None:
    payment = make_payment()

    def overtaken(request: Any) -> tuple[int, dict[str, str], str]:
        Payment.objects.filter(attempt=1).update(attempt=2, claimed_until=None)
        return 200, {}, json.dumps({"success": True, "url": PAGE_URL})

    gateway.answers(overtaken)

    services.initialize_payment(payment, rf.get("/"))

    assert [sent.reference for sent in gateway.page_requests] == [payment.reference, f"{payment.reference}-3"]
    assert stored(payment).opened_attempt == 3


def test_a_flag_during_the_call_throws_no_page_away(client: Client, gateway: FakeGateway, notify: Notify) -> None:
    payment = make_payment()

    def flagged(request: Any) -> tuple[int, dict[str, str], str]:
        notify(stored(payment), responsecode=7)
        return 200, {}, json.dumps({"success": True, "url": PAGE_URL})

    gateway.answers(flagged)

    assert client.get(payment.get_absolute_url())["Location"] == PAGE_URL
    assert (len(gateway.page_requests), stored(payment).needs_review) == (1, True)


def test_a_bug_during_the_call_blocks_no_payment(gateway: FakeGateway, rf: RequestFactory) -> None:
    gateway.answers(KeyError("a bug"))
    payment = make_payment()

    with pytest.raises(KeyError):
        services.initialize_payment(payment, rf.get("/"))
    assert stored(payment).claimed_until is None


def test_who_waited_for_another_in_vain_may_try_again(rf: RequestFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = make_payment(attempt=1, claimed_until=timezone.now() + timedelta(seconds=20))
    monkeypatch.setattr(services.checkout.time, "sleep", lambda seconds: Payment.objects.update(claimed_until=None))

    with pytest.raises(GatewayUnavailableError, match=r"^no answer from the gateway to another process$"):
        services.initialize_payment(payment, rf.get("/"))
    assert stored(payment).attempt == 1


def test_to_look_at_a_link_opens_no_page(client: Client, gateway: FakeGateway) -> None:
    assert client.head(make_payment().get_absolute_url()).status_code == 405
    assert gateway.page_requests == []


def test_a_cancellation_during_the_call_keeps_the_payer_away(client: Client, gateway: FakeGateway) -> None:
    payment = make_payment()

    def overtaken(request: Any) -> tuple[int, dict[str, str], str]:
        services.cancel_payment(stored(payment), "sold out")
        return 200, {}, json.dumps({"success": True, "url": PAGE_URL})

    gateway.answers(overtaken)

    assert client.get(payment.get_absolute_url())["Location"] == payment.get_return_url()
    assert stored(payment).status == "cancelled"


@pytest.mark.parametrize("status", ["created", "pending", "failed"])
def test_what_can_be_paid_can_be_cancelled(status: str) -> None:
    payment = make_payment(status=status)

    services.cancel_payment(payment, "sold out")

    assert payment.status == stored(payment).status == "cancelled"
    event = payment.events.get()
    assert (event.kind, event.outcome, event.message) == ("host", "accepted", "sold out")


@pytest.mark.parametrize("status", ["succeeded", "refunded", "expired", "cancelled"])
def test_what_is_over_cannot_be_cancelled(status: str) -> None:
    payment = make_payment(status=status)

    with pytest.raises(ValidationError):
        services.cancel_payment(payment, "sold out")
    assert stored(payment).status == status


def test_a_stale_copy_does_not_cancel_what_was_paid(notify: Notify) -> None:
    payment = make_payment(status="pending", attempt=1)
    stale = stored(payment)
    notify(payment)

    with transaction.atomic(), pytest.raises(ValidationError):
        services.cancel_payment(stale, "sold out")
    assert stored(payment).status == "succeeded"


@pytest.mark.parametrize("answer", [(500, {}, ""), (200, {}, '{"success": false}')], ids=["away", "refused"])
def test_who_has_paid_meanwhile_is_not_told_to_try_again(client: Client, gateway: FakeGateway, answer: Any) -> None:
    payment = make_payment()

    def paid_meanwhile(request: Any) -> Any:
        pay(payment)
        return answer

    gateway.answers(paid_meanwhile)

    response = client.get(payment.get_absolute_url())

    assert (response.status_code, response["Location"]) == (302, payment.get_return_url())
