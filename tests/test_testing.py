import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, get_args
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from django.core.management import call_command
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client, TestCase, override_settings
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.delivery.backends import FRAMEWORK
from django_paiementpro.exceptions import GatewayRefusedError, GatewayUnavailableError
from django_paiementpro.gateway.messages import Notification
from django_paiementpro.gateway.parsing import body_fields
from django_paiementpro.models import Payment
from django_paiementpro.signals import payment_succeeded
from django_paiementpro.testing import (
    FakeGateway,
    come_back,
    decline,
    deliver_signals,
    expire,
    make_payment,
    notify,
    pay,
)
from django_paiementpro.testing.gateway import OUTAGES, Outage
from django_paiementpro.testing.notifications import Encoding, notification_fields, prepare_notification
from tests.conftest import PAGE_URL, STATUS_URL, Heard

pytestmark = pytest.mark.django_db


ENCODINGS = get_args(Encoding)


# Notifications --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_payment_is_paid_in_any_encoding(heard: Heard, encoding: Encoding) -> None:
    payment = make_payment(return_context={"commande": "Thé & attiéké"})

    assert pay(payment, encoding=encoding) is payment

    assert (payment.status, payment.settled_by) == ("succeeded", "notification")
    assert heard == [("payment_succeeded", payment)]
    assert payment.events.get().data["returnContext"] == '{"commande":"Thé & attiéké"}'


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_payment_is_declined_in_any_encoding(heard: Heard, encoding: Encoding) -> None:
    payment = decline(make_payment(), encoding=encoding, message="Solde insuffisant")

    assert (payment.status, payment.response_message) == ("failed", "Solde insuffisant")
    assert heard.names == ["payment_failed"]


@pytest.mark.parametrize(
    ("encoding", "in_query", "in_body"),
    [
        ("query+multipart", True, "multipart/form-data"),
        ("query", True, ""),
        ("urlencoded", False, "application/x-www-form-urlencoded"),
        ("multipart", False, "multipart/form-data"),
        ("json", False, "application/json"),
    ],
)
def test_fields_are_sent_in_the_given_encoding(encoding: Encoding, in_query: bool, in_body: str) -> None:
    fields = notification_fields(make_payment())

    request = prepare_notification("https://shop.example/n/", fields, encoding)

    query, body, content_type = (
        urlsplit(request.url).query,
        request.body or b"",
        request.headers.get("Content-Type", ""),
    )
    body = body.encode() if isinstance(body, str) else body
    assert dict(parse_qsl(query)) == ({name: str(value) for name, value in fields.items()} if in_query else {})
    assert content_type.partition(";")[0] == in_body
    assert bool(body) is bool(in_body)
    if in_body:
        assert Notification.from_fields(body_fields(content_type, body, [])).as_fields() == fields
    assert b"filename" not in body


def test_unknown_encoding_is_an_error() -> None:
    with pytest.raises(ValueError, match=re.escape("'xml' is not an encoding: use one of query+multipart, query,")):
        notify(make_payment(), encoding="xml")


def test_each_field_can_be_overridden() -> None:
    payment = make_payment()

    answer = notify(payment, amount=1)

    assert (answer.status_code, answer.content) == (400, b"Bad Request: amount_mismatch")
    assert Payment.objects.get().needs_review


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_field_may_be_omitted(encoding: Encoding) -> None:
    assert notify(make_payment(), encoding=encoding, amount=None).content == b"Bad Request: malformed"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_field_may_have_two_values(encoding: Encoding) -> None:
    payment = make_payment()

    assert notify(payment, encoding=encoding, amount=[12500, 1]).content == b"Bad Request: malformed"
    assert payment.events.get().data["amount"] == ["12500", "1"]


def test_field_may_be_added() -> None:
    payment = make_payment()
    notify(payment, hash="0b1958d0")
    assert payment.events.get().data["hash"] == "0b1958d0"


def test_forged_signature_is_not_found() -> None:
    payment = make_payment()

    assert notify(payment, forged=True).status_code == 404
    assert not payment.events.exists()


def test_repeated_notification_pays_once(heard: Heard) -> None:
    payment = make_payment()
    answers = [notify(payment) for _ in range(2)]
    assert [answer.content for answer in answers] == [b"OK", b"OK"]
    assert heard.names == ["payment_succeeded"]
    assert [event.outcome for event in payment.events.all()] == ["accepted", "duplicate"]


@pytest.mark.parametrize(("status", "is_flagged"), [("failed", False), ("expired", False), ("cancelled", True)])
def test_success_may_arrive_late(heard: Heard, status: str, is_flagged: bool) -> None:
    payment = pay(make_payment(status=status, attempt=1))

    assert payment.needs_review is is_flagged
    assert heard.names[0] == "payment_succeeded"


def test_stale_copy_notifies_for_the_newest_attempt() -> None:
    payment = make_payment(status="pending", attempt=1)
    Payment.objects.update(attempt=2)

    decline(payment)

    assert payment.events.get().data["referenceNumber"] == f"{payment.reference}-2"


def test_notify_uses_the_gateways_user_agent_and_the_client() -> None:
    seen = []

    class Curious(Client):
        def post(self, *args: Any, **kwargs: Any) -> Any:
            response = super().post(*args, **kwargs)
            seen.append(response.wsgi_request)
            return response

    payment = make_payment()
    with override_settings(ALLOWED_HOSTS=["shop.example"]):
        answer = notify(payment, client=Curious(REMOTE_ADDR="203.0.113.7", SERVER_NAME="shop.example"))

    assert answer.content == b"OK"
    assert payment.events.get().remote_address == "203.0.113.7"
    assert "MSIE 6.0" in seen[0].headers["User-Agent"]
    assert not seen[0].is_secure()


def needs_a_token(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Play middleware of a host's that takes a notification for a form of the site's own."""

    def middleware(request: HttpRequest) -> HttpResponse:
        is_excused = getattr(request, "_dont_enforce_csrf_checks", False)
        return get_response(request) if is_excused else HttpResponse("CSRF", status=403)

    return middleware


def test_notification_has_no_csrf_token(settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.needs_a_token"]

    assert notify(make_payment()).status_code == 403
    with pytest.raises(AssertionError, match="the payment is created, not succeeded; the shop answered 403 'CSRF'"):
        pay(make_payment())


def test_notification_uses_https_when_the_host_redirects() -> None:
    payment = make_payment()
    with override_settings(SECURE_SSL_REDIRECT=True):
        pay(payment)
        assert come_back(payment).status_code == 200


def test_unsettled_payment_is_an_error() -> None:
    payment = make_payment()
    with pytest.raises(AssertionError, match="is created, not succeeded; the shop answered 400 'Bad Request: amount"):
        pay(payment, amount=1)
    pay(payment)
    with pytest.raises(AssertionError, match="the payment is succeeded, not failed; the shop answered 200 'OK'"):
        decline(payment)


@pytest.fixture
def broken_receiver() -> Iterator[None]:
    def fail(**kwargs: Any) -> None:
        raise ZeroDivisionError

    payment_succeeded.connect(fail, dispatch_uid="fail")
    yield
    payment_succeeded.disconnect(dispatch_uid="fail")


@pytest.mark.usefixtures("broken_receiver")
def test_failing_receiver_is_an_error() -> None:
    payment = make_payment()
    assert notify(payment).status_code == 200
    with pytest.raises(AssertionError, match="a receiver of payment_succeeded failed: the log"):
        pay(payment)


@pytest.mark.usefixtures("broken_receiver")
def test_queued_receiver_error_is_not_raised(settings: Any) -> None:
    settings.PAIEMENTPRO_DELIVERY = "task"
    settings.TASKS = {"default": {"BACKEND": f"{FRAMEWORK}.backends.dummy.DummyBackend"}}
    assert pay(make_payment()).status == "succeeded"


# Payers ---------------------------------------------------------------------------------------------------------------


def test_return_without_payment_is_not_believed() -> None:
    payment = make_payment(status="pending", attempt=1)

    answer = come_back(payment)

    assert (answer.status_code, answer.wsgi_request.GET["responsecode"]) == (200, "0")
    assert "payId" not in answer.wsgi_request.GET
    assert "do not pay again" in answer.content.decode()
    payment.refresh_from_db()
    assert payment.status == "pending"


def test_return_carries_the_given_fields() -> None:
    answer = come_back(make_payment(), responsecode=[0, -1], amount=None)

    assert answer.wsgi_request.GET.getlist("responsecode") == ["0", "-1"]
    assert "amount" not in answer.wsgi_request.GET


def test_paid_payer_is_redirected() -> None:
    payment = pay(make_payment(success_url="/thanks/"))
    assert come_back(payment)["Location"] == "/thanks/"


def test_return_uses_the_given_client() -> None:
    client = Client(headers={"accept-language": "fr"})
    assert 'lang="fr"' in come_back(make_payment(), client=client).content.decode()


@pytest.mark.usefixtures("look_up")
def test_return_settles_by_lookup(heard: Heard) -> None:
    payment = make_payment(status="pending", attempt=1)
    with FakeGateway() as gateway:
        gateway.confirms(payment)
        assert "Payment received" in come_back(payment).content.decode()
    assert heard.names == ["payment_succeeded"]


# Expiry ---------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("look_up")
def test_expire_passes_a_day(heard: Heard) -> None:
    young, payment = (make_payment(status="pending", attempt=1) for _ in range(2))
    with FakeGateway() as gateway:
        assert expire(payment) is payment
    assert gateway.look_ups == []
    pay(payment)

    assert heard == [("payment_expired", payment), ("payment_succeeded", payment)]
    young.refresh_from_db()
    assert young.status == "pending"


@pytest.mark.parametrize("status", ["created", "failed"])
def test_every_unpaid_payment_expires(status: str) -> None:
    assert expire(make_payment(status=status, attempt=1, settled_at=timezone.now())).status == "expired"


def test_paid_payment_does_not_expire() -> None:
    with pytest.raises(AssertionError, match="the payment is succeeded, not expired: paid and cancelled payments"):
        expire(pay(make_payment()))


# Commits --------------------------------------------------------------------------------------------------------------


class UnderTestCase(TestCase):
    def setUp(self) -> None:
        self.calls: list[Payment] = []
        payment_succeeded.connect(self.receive, dispatch_uid="receive")
        self.addCleanup(payment_succeeded.disconnect, dispatch_uid="receive")

    def receive(self, payment: Payment, **kwargs: Any) -> None:
        transaction.on_commit(lambda: self.calls.append(payment))

    def test_receivers_and_their_commit_hooks_run(self) -> None:
        payment = pay(make_payment())
        assert self.calls == [payment]

    def test_captured_commits_run_hooks_once(self) -> None:
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            payment = pay(make_payment())
            transaction.on_commit(lambda: self.calls.append(payment))
        assert self.calls == [payment] * 2
        assert len(callbacks) == 1

    def test_raising_block_runs_hooks_once(self) -> None:
        outer, inner = self.captureOnCommitCallbacks(execute=True), deliver_signals()
        payment = make_payment()
        with outer, pytest.raises(ZeroDivisionError), inner:
            raise ZeroDivisionError(transaction.on_commit(lambda: self.calls.append(payment)))
        assert len(self.calls) == 1

    @override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL)
    def test_command_in_deliver_signals_delivers(self) -> None:
        payment = make_payment(status="pending", attempt=1)
        with FakeGateway() as gateway, deliver_signals():
            gateway.confirms(payment)
            call_command("paiementpro_reconcile")
            assert self.calls == []
        assert self.calls == [payment]


@pytest.mark.django_db(transaction=True)
def test_real_commits_are_left_alone(heard: Heard) -> None:
    with transaction.atomic():
        transaction.on_commit(lambda: heard.append(("committed", payment)))
        payment = make_payment()
    pay(payment)
    assert heard.names == ["committed", "payment_succeeded"]


# The gateway ----------------------------------------------------------------------------------------------------------


def check_out(payment: Payment) -> HttpResponse:
    return Client().get(payment.get_checkout_url())


def test_fake_gateway_records_page_requests() -> None:
    payment = make_payment(amount=2500, channel="WAVECI", return_context={"order": 7})
    with FakeGateway() as gateway:
        assert check_out(payment)["Location"] == gateway.page_url == PAGE_URL
    [asked] = gateway.page_requests
    assert (asked.amount, asked.currency_number, asked.reference) == (2500, "952", payment.reference)
    assert (asked.channel, asked.customer_phone, asked.return_context) == ("WAVECI", "0707123456", {"order": 7})
    assert asked.notification_url == f"https://testserver{payment.get_notification_url()}"


def test_fake_gateway_uses_the_configured_urls() -> None:
    with FakeGateway() as gateway, override_settings(PAIEMENTPRO_GATEWAY_URL="http://127.0.0.1:8000/sandbox"):
        assert check_out(make_payment())["Location"] == gateway.page_url
        assert gateway.page_url.startswith("http://127.0.0.1:8000/sandbox/webservice/")
    assert len(gateway.page_requests) == 1


def test_fake_gateway_opens_the_given_page() -> None:
    with FakeGateway() as gateway:
        gateway.opens("https://evil.example/")
        assert check_out(make_payment()).status_code == 503


def test_fake_gateway_refuses_with_a_message(rf: Any) -> None:
    with FakeGateway() as gateway:
        gateway.refuses("ID marchand inconnu")
        assert check_out(make_payment()).status_code == 502
        with pytest.raises(GatewayRefusedError) as caught:
            services.initialize_payment(make_payment(), rf.get("/"))
        assert caught.value.message == "ID marchand inconnu"
        gateway.opens()
        assert check_out(make_payment()).status_code == 302


@pytest.mark.usefixtures("look_up")
@pytest.mark.parametrize("how", get_args(Outage))
def test_fake_gateway_can_be_away(rf: Any, heard: Heard, how: Outage) -> None:
    payment = make_payment(status="pending", attempt=1)
    with FakeGateway() as gateway:
        gateway.confirms(payment)
        gateway.is_away(how)
        assert check_out(make_payment()).status_code == 503
        with pytest.raises(GatewayUnavailableError):
            services.initialize_payment(make_payment(), rf.get("/"))
        assert services.check_payment(payment) == "pending"
        assert gateway.look_ups == [payment.reference]
        gateway.opens()
        gateway.confirms(payment)
        assert check_out(make_payment()).status_code == 302
        assert services.check_payment(payment) == "succeeded"
    assert set(OUTAGES) == set(get_args(Outage))


@pytest.mark.usefixtures("look_up")
def test_fake_gateway_knows_no_payment_by_default() -> None:
    first, second = (make_payment(status="pending", attempt=1) for _ in range(2))
    with FakeGateway() as gateway:
        assert requests.get(f"{STATUS_URL}/abc", timeout=1).json() == {"success": False, "error": "Aucune transaction"}
        gateway.look_ups.clear()
        assert services.check_payment(first) == "pending"
        gateway.confirms(first)
        gateway.confirms(second)
        assert services.check_payment(first) == "succeeded"
        gateway.knows_nothing()
        assert services.check_payment(second) == "pending"
    assert gateway.look_ups == [first.reference, first.reference, second.reference]


@pytest.mark.usefixtures("look_up")
def test_notification_and_lookup_share_a_transaction() -> None:
    payment = make_payment(status="pending", attempt=2)
    with FakeGateway() as gateway:
        gateway.confirms(payment)
        assert services.check_payment(payment) == "succeeded"
        pay(payment)
    assert (payment.gateway_id, payment.needs_review) == (f"PAY-{payment.reference}-2", False)


@pytest.mark.usefixtures("look_up")
@pytest.mark.parametrize("changes", [{"amount": 1}, {"marchant_id": "PP-F1"}, {"reference": None}, {"success": "true"}])
def test_mismatched_confirmation_proves_nothing(changes: dict[str, Any]) -> None:
    payment = make_payment(status="pending", attempt=1)
    with FakeGateway() as gateway:
        gateway.confirms(payment, **changes)
        assert services.check_payment(payment) == "pending"


@pytest.mark.usefixtures("look_up")
def test_fake_gateway_returns_the_given_answer() -> None:
    payment = make_payment(status="pending", attempt=1)
    with FakeGateway() as gateway:
        gateway.answers({"success": False, "error": "Non"})
        assert check_out(make_payment()).status_code == 502
        gateway.answers(b"", 500)
        assert check_out(make_payment()).status_code == 503
        gateway.answers(lambda request: (200, {}, json.dumps({"success": True, "url": PAGE_URL})))
        assert check_out(make_payment()).status_code == 302
        gateway.tells(payment.reference, requests.ConnectionError())
        assert services.check_payment(payment) == "pending"
        gateway.tells(payment.reference, lambda request: (200, {}, '{"success": false}'))
        assert services.check_payment(payment) == "pending"
    assert [event.outcome for event in payment.events.all()] == []


@pytest.mark.parametrize("url", ["https://sms.example/", "https://www.paiementpro.net/", f"{STATUS_URL}s"])
@pytest.mark.usefixtures("look_up")
def test_other_hosts_are_blocked_by_default(url: str) -> None:
    with FakeGateway() as gateway:
        for method in ("GET", "POST"):
            with pytest.raises(requests.ConnectionError, match="Connection refused by Responses"):
                requests.request(method, url, timeout=1)
            gateway.mock.add(method, url, body="sent")
            assert requests.request(method, url, timeout=1).text == "sent"
    assert (gateway.page_requests, gateway.look_ups) == ([], [])


def test_disabled_lookup_is_not_asked() -> None:
    with FakeGateway() as gateway, pytest.raises(requests.ConnectionError):
        requests.get(f"{STATUS_URL}/abc", timeout=1)
    assert gateway.look_ups == []


def test_network_is_restored() -> None:
    send = requests.adapters.HTTPAdapter.send
    with FakeGateway():
        assert requests.adapters.HTTPAdapter.send is not send
    assert requests.adapters.HTTPAdapter.send is send


@pytest.mark.usefixtures("look_up")
def test_earlier_attempt_can_be_confirmed() -> None:
    payment = make_payment(status="pending", attempt=3)
    with FakeGateway() as gateway:
        gateway.confirms(payment, 2)
        services.check_payment(payment)
    assert (payment.settled_attempt, payment.gateway_id) == (2, f"PAY-{payment.reference}-2")


def test_fixtures_are_a_gateway_and_a_pending_payment(
    paiementpro_gateway: FakeGateway, paiementpro_payment: Payment
) -> None:
    check_out(make_payment())
    assert len(paiementpro_gateway.page_requests) == 1
    assert (paiementpro_payment.status, paiementpro_payment.amount) == ("pending", 12500)
    assert pay(paiementpro_payment).status == "succeeded"


def test_missing_extra_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "responses", None)
    monkeypatch.delitem(sys.modules, "django_paiementpro.testing.gateway")

    with pytest.raises(ImportError, match=re.escape('pip install "django-paiementpro[testing]"')):
        importlib.import_module("django_paiementpro.testing.gateway")
