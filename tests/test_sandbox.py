import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from django.db import connections
from django.test import Client, RequestFactory
from django.utils.formats import time_format
from django.utils.timezone import localtime

from django_paiementpro import services
from django_paiementpro.gateway.messages import Notification
from django_paiementpro.gateway.parsing import body_fields
from django_paiementpro.sandbox import payer, protocol, sending
from django_paiementpro.sandbox.checks import check_switch
from django_paiementpro.sandbox.models import LIFETIME, SandboxSession, generate_session_id
from django_paiementpro.sandbox.operators import offered_operators, split_operators
from django_paiementpro.sandbox.payer import EDGE_CASES, Way
from django_paiementpro.sandbox.views import InitializeView
from django_paiementpro.testing import make_payment
from tests.server.threads import DEADLINE, at_once

INITIALIZE = "/sandbox/webservice/onlinepayment/init/curl-init.php"
PAGE = "/sandbox/sandbox.php"
STATUS = "/sandbox/status/"

# The sample of a request, and the order of a production notification.
REQUEST = {
    "merchantId": "PP-F324",
    "amount": 12500,
    "description": "Abonnement Premium",
    "channel": "MOMOCI",
    "countryCurrencyCode": "952",
    "referenceNumber": "b7c1f0a29d3e4f5a6b7c8d9e",
    "customerEmail": "test@example.com",
    "customerFirstName": "Ishola",
    "customerLastname": "Lamine",
    "customerPhoneNumber": "0102030405",
    "notificationURL": "",
    "returnURL": "https://shop.example/return/abc.DEF/",
    "returnContext": '{"order_id":"123"}',
}
NOTIFICATION = [
    "merchantId",
    "sessionId",
    "payId",
    "channel",
    "countryCurrencyCode",
    "referenceNumber",
    "amount",
    "transactiondt",
    "returnContext",
    "responsecode",
]


class Shop:
    """A shop that hears notifications over a real socket: what came in, byte by byte."""

    def __init__(self) -> None:
        self.status = 200
        self.heard: list[Any] = []
        self.arrived = threading.Condition()
        #: Called while the shop is being notified, before it answers.
        self.meanwhile: Callable[[], Any] = lambda: None
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                shop.meanwhile()
                with shop.arrived:
                    shop.heard.append((self.path, self.headers, body))
                    shop.arrived.notify_all()
                with suppress(ConnectionError):  # from a caller who has waited long enough
                    self.send_response(shop.status)
                    self.send_header("Location", shop.url + "elsewhere/")
                    self.end_headers()
                    self.wfile.write(b"OK")

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/notification/abc.SIGNATURE/"

    def wait(self, count: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.heard) >= count, 10)

    @property
    def fields(self) -> list[dict[str, str]]:
        return [dict(parse_qsl(urlsplit(path).query, keep_blank_values=True)) for path, _headers, _body in self.heard]

    @property
    def codes(self) -> list[str]:
        return [fields["responsecode"] for fields in self.fields]


@pytest.fixture
def shop(settings: Any) -> Iterator[Shop]:
    shop = Shop()
    settings.PAIEMENTPRO_SITE_URL = f"http://127.0.0.1:{shop.server.server_port}"
    thread = threading.Thread(target=shop.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield shop
    shop.server.shutdown()
    shop.server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def return_hosts(settings: Any) -> None:
    settings.PAIEMENTPRO_RETURN_HOSTS = ["shop.example"]


def initialize(**changes: Any) -> Any:
    """Ask for a page as a shop does; None leaves a field out."""
    fields = {name: value for name, value in (REQUEST | changes).items() if value is not None}
    return ask(json.dumps(fields))


def ask(content: str | bytes) -> Any:
    response = Client(enforce_csrf_checks=True).post(INITIALIZE, content, content_type="application/json")
    assert response.status_code == 200
    return response.json()


def open_session(**changes: Any) -> SandboxSession:
    answer = initialize(**changes)
    assert answer["success"] is True
    return SandboxSession.objects.get(session_id=answer["url"].rpartition("=")[2])


def page_of(session: SandboxSession) -> str:
    return f"{PAGE}?sessionid={session.session_id}"


def choose(session: SandboxSession, way: str, **fields: Any) -> Any:
    values = {"way": way, "channel": "OMCIV2", "phone": "07 01-02.03 04", **fields}
    return Client().post(page_of(session), values)


def look_up(reference: str) -> Any:
    response = Client().get(STATUS + reference)
    assert response.status_code == 200
    return response.json()


def expire(session: SandboxSession) -> None:
    SandboxSession.objects.filter(pk=session.pk).update(created_at=session.created_at - LIFETIME)


# The switch.


def test_check_is_silent_where_the_sandbox_may_run(settings: Any) -> None:
    assert check_switch() == []
    settings.PAIEMENTPRO_SANDBOX = False
    settings.DEBUG = True
    assert check_switch() == []


@pytest.mark.parametrize("value", [False, "yes"])
def test_check_complains_where_it_must_not_run(settings: Any, value: object) -> None:
    settings.PAIEMENTPRO_SANDBOX = value
    [error] = check_switch()
    assert error.id == "paiementpro_sandbox.E001"
    assert "PAIEMENTPRO_SANDBOX = True" in str(error.hint)


def test_sandbox_is_404_when_switched_off(settings: Any, client: Client, db: None) -> None:
    session = open_session()
    settings.PAIEMENTPRO_SANDBOX = False
    assert client.post(INITIALIZE, REQUEST, content_type="application/json").status_code == 404
    assert client.get(page_of(session)).status_code == 404
    assert client.post(page_of(session), {"way": "pay"}).status_code == 404
    assert client.get(STATUS + session.reference).status_code == 404


# Initialisation.


def test_page_is_opened_as_the_sample_says(db: None) -> None:
    answer = initialize()
    session = SandboxSession.objects.get()
    assert list(answer) == ["success", "message", "url"]
    assert answer["message"] == "Initialisation effectuée avec succès"
    assert answer["url"] == f"http://testserver/sandbox/sandbox.php?sessionid={session.session_id}"
    assert re.fullmatch("[0-9a-f]{32}", session.session_id)
    assert (session.amount, session.channel, session.state) == (12500, "MOMOCI", "open")
    assert session.customer_last_name == "Lamine"
    assert str(session) == REQUEST["referenceNumber"]


@pytest.mark.parametrize(
    "name",
    [
        "merchantId",
        "amount",
        "description",
        "referenceNumber",
        "customerEmail",
        "customerFirstName",
        "customerLastname",
        "customerPhoneNumber",
    ],
)
@pytest.mark.parametrize("value", [None, "", [], {"a": 1}, True])
def test_obligatory_field_cannot_be_missing(db: None, name: str, value: object) -> None:
    answer = initialize(**{name: value})
    assert answer == {"success": False, "message": "Veuillez renseigner les champs obligatoire"}
    assert not SandboxSession.objects.exists()


def test_field_names_are_case_sensitive(db: None) -> None:
    assert initialize(customerLastname=None, customerLastName="Lamine")["success"] is False


@pytest.mark.parametrize("name", ["channel", "countryCurrencyCode", "notificationURL", "returnURL", "returnContext"])
def test_other_fields_can_be_missing(db: None, name: str) -> None:
    assert initialize(**{name: None})["success"] is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"merchantId": "PP-F325"}, "ID marchand inconnu"),
        ({"amount": 99}, "Le montant minimum est de 100 fr"),
        ({"amount": "0"}, "Le montant minimum est de 100 fr"),
        ({"amount": -12500}, "Le montant minimum est de 100 fr"),
        ({"amount": 12500.5}, "Echec de l'initialisation"),
        ({"amount": 12500.0}, "Echec de l'initialisation"),
        ({"amount": "12 500"}, "Echec de l'initialisation"),
        ({"amount": "١٢٥٠٠"}, "Echec de l'initialisation"),
        ({"amount": 10**18}, "Echec de l'initialisation"),
        ({"amount": float("nan")}, "Echec de l'initialisation"),
        ({"customerPhoneNumber": "0102030"}, "Echec de l'initialisation"),
        ({"customerPhoneNumber": "+2250102030405"}, "Echec de l'initialisation"),
        ({"customerPhoneNumber": "0102030405060708"}, "Echec de l'initialisation"),
        ({"referenceNumber": "x" * 256}, "Echec de l'initialisation"),
        ({"returnContext": "x" * 8001}, "Echec de l'initialisation"),
    ],
)
def test_refusal_is_in_the_gateways_words(db: None, changes: dict[str, Any], message: str) -> None:
    assert initialize(**changes) == {"success": False, "message": message}
    assert not SandboxSession.objects.exists()


@pytest.mark.parametrize("amount", [100, "100", 999_999_999_999_999_999])
def test_whole_amounts_are_taken(db: None, settings: Any, amount: object) -> None:
    settings.PAIEMENTPRO_MIN_AMOUNT = 5000
    assert open_session(amount=amount).amount == int(str(amount))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"merchantId=PP-F324",
        b'\xff\xfe{"merchantId": 1}',
        b"[" * 60_000,
        b'{"a":' * 60_000,
        b'{"amount": ' + b"9" * 5000 + b"}",
        json.dumps(REQUEST | {"description": "\x00\ud800"}).encode(),
    ],
)
def test_invalid_requests_are_no_server_error(db: None, content: bytes) -> None:
    assert isinstance(ask(content)["success"], bool)


def test_body_that_is_too_long_or_read_already_is_refused(db: None, settings: Any) -> None:
    request = RequestFactory().post(INITIALIZE, REQUEST)
    assert request.POST["merchantId"] == "PP-F324"  # by a middleware of the host's
    assert json.loads(InitializeView.as_view()(request).content)["success"] is False
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 64
    assert initialize()["success"] is False


def test_reference_is_taken_once(db: None) -> None:
    open_session()
    answer = initialize()
    assert answer == {"success": False, "message": "Echec de l'initialisation : Référence déjà utilisée"}


def test_other_merchants_may_use_the_same_reference(db: None, settings: Any) -> None:
    open_session()
    settings.PAIEMENTPRO_MERCHANT_ID = "PP-F325"
    open_session(merchantId="PP-F325")


@pytest.mark.django_db(transaction=True)
def test_reference_is_taken_once_by_ten_concurrent_requests() -> None:
    answers = at_once(*[initialize] * 10)
    assert sorted(answer["success"] for answer in answers) == [False] * 9 + [True]
    assert SandboxSession.objects.count() == 1


def test_other_currency_is_read_as_francs(db: None, shop: Shop) -> None:
    session = open_session(countryCurrencyCode="840", notificationURL=shop.url)
    assert "12 500 F CFA" in Client().get(page_of(session)).content.decode()
    choose(session, "pay")
    assert shop.fields[0]["countryCurrencyCode"] == "952"


# The payer's page.


def takes(**urls: str) -> bool:
    """Ask for a page with these URLs; one that is refused is refused in words, and leaves nothing behind."""
    answer = initialize(**{"notificationURL": None, "returnURL": None, "referenceNumber": generate_session_id()} | urls)
    assert answer["success"] or answer["message"] == protocol.URL_NOT_ALLOWED
    assert SandboxSession.objects.exists() == answer["success"]
    SandboxSession.objects.all().delete()
    return bool(answer["success"])


def calls_and_returns_to(url: str) -> tuple[bool, bool]:
    return takes(notificationURL=url), takes(returnURL=url)


#: What neither this site nor this machine is, however it is spelt, and with DEBUG or without.
ELSEWHERE = [
    "https://evil.example/a",
    "https://shop.example.evil.example/a",
    "https://evilshop.example/a",
    "https://shop.example:8443/a",
    "https://shop.example:0/a",
    "https://shop.example:/a",
    "https://shop.example:443:443/a",
    "https://shop.example:4430000/a",
    "https://shop.example:٤٤٣/a",
    "https://shop.example./a",
    "https://shop.example@evil.example/a",
    "https://user@shop.example/a",
    "https://user:password@shop.example/a",
    "https://evil.example#@shop.example/a",
    "https://evil.example?@shop.example/a",
    "https://evil.example\\@shop.example/a",
    "https://shop.example\\@evil.example/a",
    "https://shop.example\\.evil.example/a",
    "https://shop.example%2f@evil.example/a",
    "https://shop.example%00.evil.example/a",
    "https://shop\N{IDEOGRAPHIC FULL STOP}example/a",
    "https://shop\N{SOFT HYPHEN}.example/a",
    "https://\N{FULLWIDTH LATIN SMALL LETTER S}hop.example/a",
    "https://\N{CYRILLIC SMALL LETTER DZE}hop.example/a",
    "https://shop.example/a\r\nSet-Cookie: a=b",
    "https://shop.example/a b",
    "https://shop.example\n.evil.example/a",
    "https://shop.example\t/a",
    "https://shop.example\x00/a",
    "https://shop.example\x7f/a",
    " https://shop.example/a",
    "https:/shop.example/a",
    "https:///shop.example/a",
    "https:shop.example",
    "https://",
    "https://[",
    "https://[shop.example]/a",
    "https://shop.example]/a",
    "//shop.example/a",
    "/a",
    "http://shop.example/a",
    "http://shop.example:443/a",
    "http\N{LATIN SMALL LETTER LONG S}://shop.example/a",
    "http\N{LATIN SMALL LETTER LONG S}://127.0.0.1/a",
    "http://169.254.169.254/latest/meta-data/",
    "https://169.254.169.254/latest/meta-data/",
    "http://192.168.1.5:8000/a",
    "https://10.0.0.1/a",
    "http://[fd00::1]/a",
    "http://[::]/a",
    "http://[::ffff:127.0.0.1]/a",
    "http://[0:0:0:0:0:0:0:1]/a",
    "http://[::1%25lo]/a",
    "http://[127.0.0.1]/a",
    "http://::1/a",
    "http://0.0.0.0/a",
    "http://0/a",
    "http://2130706433/a",
    "http://0x7f000001/a",
    "http://0x7f.0.0.1/a",
    "http://0177.0.0.1/a",
    "http://127.1/a",
    "http://127.0.0.01/a",
    "http://127.0.0.1./a",
    "http://127.0.0.1.nip.io/a",
    "http://128.0.0.1/a",
    "http://12\N{FULLWIDTH DIGIT SEVEN}.0.0.1/a",
    "http://①②⑦.0.0.1/a",
    "http://localhost./a",
    "http://evil.localhost/a",
    "http://localhost.evil.example/a",
    "http://localhost@evil.example/a",
    "http://127.0.0.1:8000@evil.example/a",
    "http://127.0.0.1\\@evil.example/a",
    "javascript:alert(document.domain)//",
    " JavaScript:alert(1)",
    "java\nscript:alert(1)",
    "javascript://shop.example/%0aalert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "ftp://shop.example/a",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "ws://127.0.0.1/a",
    "otherapp://paid",
]

#: This machine, in each of its usual spellings.
LOOPBACK = [
    "http://127.0.0.1:8000/a",
    "http://127.0.0.1",
    "http://127.8.9.1:1/a",
    "http://localhost:8000?a=b",
    "HTTP://LOCALHOST/a",
    "http://[::1]:8000/a",
    "https://localhost:8443/a",
]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("url", ELSEWHERE)
def test_sandbox_calls_and_returns_to_no_other_site(db: None, settings: Any, url: str, debug: bool) -> None:
    settings.PAIEMENTPRO_SITE_URL = "https://shop.example"
    settings.DEBUG = debug

    assert calls_and_returns_to(url) == (False, False)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/a",
        "https://shop.example",
        "https://shop.example?a=b",
        "https://shop.example#a",
        "https://shop.example:443/a",
        "HTTPS://Shop.Example/a",
        "https://shop.example/a?b=user@evil.example:8000",
    ],
)
def test_sandbox_calls_and_returns_to_its_own_site(db: None, settings: Any, url: str) -> None:
    settings.PAIEMENTPRO_SITE_URL = "https://shop.example"

    assert calls_and_returns_to(url) == (True, True)


@pytest.mark.parametrize("url", LOOPBACK)
def test_loopback_is_called_in_development_alone(db: None, settings: Any, url: str) -> None:
    settings.PAIEMENTPRO_SITE_URL = "https://shop.example"

    assert calls_and_returns_to(url) == (False, False)
    settings.DEBUG = True
    assert calls_and_returns_to(url) == (True, True)


def test_loopback_site_is_called_on_its_own_port(db: None, settings: Any) -> None:
    """As in a test with a live server, where Django turns DEBUG off."""
    settings.PAIEMENTPRO_SITE_URL = "http://localhost:8000"

    assert calls_and_returns_to("http://localhost:8000/a") == (True, True)
    for url in ["http://localhost:8001/a", "http://127.0.0.1:8000/a", "https://localhost:8000/a"]:
        assert calls_and_returns_to(url) == (False, False)
    settings.PAIEMENTPRO_SITE_URL = "http://127.0.0.1"
    assert calls_and_returns_to("http://127.0.0.1:80/a") == (True, True)
    assert calls_and_returns_to("http://127.0.0.1:443/a") == (False, False)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("site_url", ["http://shop.example:8000", "http://192.168.1.5:8000"])
def test_site_without_https_is_not_called(db: None, settings: Any, site_url: str, debug: bool) -> None:
    settings.PAIEMENTPRO_SITE_URL = site_url
    settings.DEBUG = debug

    assert calls_and_returns_to(f"{site_url}/a") == (False, False)


def test_site_may_have_a_port_or_an_international_name(db: None, settings: Any) -> None:
    settings.PAIEMENTPRO_SITE_URL = "https://attiéké.example:8443"

    assert calls_and_returns_to("https://attiéké.example:8443/a") == (True, True)
    assert calls_and_returns_to("https://attiéké.example/a") == (False, False)


def test_without_site_url_the_requested_host_is_the_site(db: None, settings: Any) -> None:
    settings.PAIEMENTPRO_SITE_URL = None

    assert calls_and_returns_to("https://testserver/a") == (True, True)
    for url in ["https://testserver:8443/a", "http://testserver/a", "https://evil.example/a"]:
        assert calls_and_returns_to(url) == (False, False)
    # The client chooses the port, and any host that is not validated.
    content = json.dumps(REQUEST | {"notificationURL": "https://testserver:8443/a"})
    response = Client().post(INITIALIZE, content, content_type="application/json", headers={"host": "testserver:8443"})
    assert response.json()["message"] == protocol.URL_NOT_ALLOWED
    settings.ALLOWED_HOSTS = ["*"]
    assert calls_and_returns_to("https://testserver/a") == (False, False)


@pytest.mark.parametrize("host", ["[2001:db8::1]", "[2001:DB8::1]:8443"])
def test_without_site_url_the_requested_address_is_the_site(db: None, settings: Any, host: str) -> None:
    settings.PAIEMENTPRO_SITE_URL = None
    settings.ALLOWED_HOSTS = ["[2001:db8::1]"]
    urls = {"notificationURL": "https://[2001:db8::1]/a", "returnURL": "https://[2001:db8::1]/b"}
    content = json.dumps(REQUEST | urls)
    response = Client().post(INITIALIZE, content, content_type="application/json", headers={"host": host})
    assert response.json()["success"] is True


@pytest.mark.parametrize(
    ("url", "is_returned_to"),
    [
        ("https://shop.example/a", True),
        ("https://below.shop.example/a", False),
        ("https://app.example:8443/a", True),
        ("https://app.example/a", False),
        ("shopapp://paid", True),
        ("http://shop.example/a", False),
        ("http://plain.example/a", False),
        ("HTTP://plain.example/a", False),
    ],
)
def test_payer_may_return_to_listed_hosts_and_apps(db: None, settings: Any, url: str, is_returned_to: bool) -> None:
    settings.PAIEMENTPRO_RETURN_HOSTS = [
        "shop.example",
        "https://app.example:8443",
        "shopapp://",
        "http://plain.example",
    ]

    assert calls_and_returns_to(url) == (False, is_returned_to)


def test_page_shows_what_is_paid_to_whom(db: None, client: Client) -> None:
    response = client.get(page_of(open_session()))
    content = response.content.decode()
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert '<html lang="en">' in content
    for text in ["12 500 F CFA", "shop.example · ", ">PP-F324<", "Abonnement Premium", "Sandbox: no money moves"]:
        assert text in content
    assert 'name="phone" value="0102030405"' in content
    assert 'value="MOMOCI" checked' in content
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', content)


def test_page_is_in_french(db: None, client: Client) -> None:
    content = client.get(page_of(open_session()), headers={"Accept-Language": "fr"}).content.decode()
    assert '<html lang="fr">' in content
    for text in [">Payer<", ">Refuser<", ">Annuler<", "Bac à sable", "Cas particuliers", "12 500 F CFA"]:
        assert text in content


def test_page_offers_every_way(db: None, client: Client) -> None:
    content = client.get(page_of(open_session())).content.decode()
    assert re.findall('name="way" value="([a-z_]+)"', content) == [
        *["pay", "refuse", "cancel"],
        *[way.value for way in EDGE_CASES],
    ]
    assert all(str(way.advice) in content for way in EDGE_CASES)
    assert Way.PAY.advice == ""


def test_page_preselects_the_first_operator(db: None, client: Client) -> None:
    assert 'value="OMCIV2" checked' in client.get(page_of(open_session(channel=None))).content.decode()
    session = open_session(channel="WAVE", referenceNumber="unknown-channel")
    assert 'value="OMCIV2" checked' in client.get(page_of(session)).content.decode()


def test_page_asks_for_a_phone_only_for_mobile_money(db: None, client: Client, settings: Any) -> None:
    settings.PAIEMENTPRO_CHANNELS = ["OMCIV2", "CARD", "PAYPAL", ("NEWPAY", "New Pay")]
    content = client.get(page_of(open_session(channel="CARD"))).content.decode()
    assert ":has(#channel-CARD:checked)" in content
    assert ":has(#channel-OMCIV2:checked)" not in content
    assert "New Pay" in content


def test_page_shows_few_of_many_operators(settings: Any) -> None:
    operators = offered_operators()
    shown, others = split_operators(operators, "TOGOCEL")
    assert [operator.channel for operator in shown] == ["OMCIV2", "MOMOCI", "FLOOZ", "WAVECI", "TOGOCEL", "CARD"]
    assert len(shown) + len(others) == len(operators)
    settings.PAIEMENTPRO_CHANNELS = ["WAVESN", "OMSN", "CARD"]
    shown, others = split_operators(offered_operators(), "CARD")
    assert [operator.channel for operator in shown] == ["WAVESN", "OMSN", "CARD"]
    assert others == []


@pytest.mark.parametrize("session_id", ["", "?sessionid=", "?sessionid=" + "0" * 32, "?sessionid=%00"])
def test_unknown_session_is_not_found(db: None, client: Client, session_id: str) -> None:
    for response in [client.get(PAGE + session_id), client.post(PAGE + session_id, {"way": "pay"})]:
        assert response.status_code == 404
        assert "Page not found" in response.content.decode()


def test_page_is_protected_from_forged_posts(db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    session = open_session()
    assert client.post(page_of(session), {"way": "pay", "channel": "CARD"}).status_code == 403
    token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', client.get(page_of(session)).content.decode())
    assert token
    values = {"way": "pay", "channel": "CARD", "csrfmiddlewaretoken": token[1]}
    assert client.post(page_of(session), values).status_code == 302


def test_unknown_way_is_a_bad_request(db: None) -> None:
    assert choose(open_session(), "steal").status_code == 400


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"channel": ""}, "Choose how you want to pay."),
        ({"channel": "x" * 100}, "Choose how you want to pay."),
        ({"phone": "07"}, "Enter a number of 8 to 15 digits."),
        ({"phone": "0701020304a"}, "Enter a number of 8 to 15 digits."),
    ],
)
def test_mistake_is_shown_and_nothing_paid(db: None, shop: Shop, fields: dict[str, str], message: str) -> None:
    session = open_session(notificationURL=shop.url)
    response = choose(session, "pay", **fields)
    assert response.status_code == 200
    assert message in response.content.decode()
    assert not shop.heard
    session.refresh_from_db()
    assert session.state == "open"


# What the payer may do.


def test_notification_is_as_the_samples_show(db: None, shop: Shop) -> None:
    session = open_session(notificationURL=shop.url)
    before = datetime.now(timezone.utc).replace(microsecond=0)
    choose(session, "pay")
    [(path, headers, body)] = shop.heard
    fields = parse_qsl(urlsplit(path).query, keep_blank_values=True)
    values = dict(fields)
    assert urlsplit(path).path == "/notification/abc.SIGNATURE/"
    assert [name for name, _value in fields] == NOTIFICATION
    assert headers["User-Agent"] == "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"
    media_type, _, boundary = headers["Content-Type"].partition("; boundary=")
    assert media_type == "multipart/form-data"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    ]
    assert body.decode() == "".join(parts) + f"--{boundary}--\r\n"
    moment = datetime.strptime(values["transactiondt"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
    assert before <= moment <= before + timedelta(seconds=10)
    assert values["responsecode"] == "0"
    assert values["returnContext"] == '{"order_id":"123"}'
    assert values["channel"] == "OMCIV2"
    notification = Notification.from_fields(body_fields(headers["Content-Type"], body, []))
    assert (notification.is_success, notification.amount) == (True, 12500)


@pytest.mark.parametrize("way", ["pay", "before"])
def test_payer_returns_after_the_notification(db: None, shop: Shop, way: str) -> None:
    session = open_session(notificationURL=shop.url)
    response = choose(session, way)
    assert shop.codes == ["0"]
    session.refresh_from_db()
    assert session.is_paid
    url, _, query = response["Location"].partition("?")
    assert response.status_code == 302
    assert url == "https://shop.example/return/abc.DEF/"
    assert dict(parse_qsl(query)) == {name: value for name, value in shop.fields[0].items() if name != "payId"}


def test_return_url_with_a_query_gets_a_second_question_mark(db: None) -> None:
    response = choose(open_session(returnURL="https://shop.example/return?order=1"), "pay")
    assert response["Location"].startswith("https://shop.example/return?order=1?merchantId=PP-F324&sessionId=")


def test_return_url_may_be_a_long_app_url(db: None, settings: Any) -> None:
    settings.PAIEMENTPRO_RETURN_HOSTS = ["shopapp://"]
    session = open_session(returnURL="shopapp://paid", returnContext="é" * 5000)
    response = choose(session, "pay")
    assert response.status_code == 302
    assert response["Location"].startswith("shopapp://paid?merchantId=")
    assert session.shop_url == ""


def test_return_url_is_written_in_ascii(db: None) -> None:
    response = choose(open_session(returnURL="https://testserver/reçu"), "pay")
    assert response["Location"].startswith("https://testserver/re%C3%A7u?merchantId=")


def test_payer_without_return_url_stays(db: None) -> None:
    session = open_session(returnURL="")
    assert "The last attempt was not paid." in choose(session, "refuse").content.decode()
    assert "Already paid" in choose(session, "pay").content.decode()
    assert (session.shop_url, session.shop_name) == ("", "")


@pytest.mark.parametrize("way", ["refuse", "cancel"])
def test_failed_session_can_be_paid_afterwards(db: None, shop: Shop, way: str) -> None:
    session = open_session(notificationURL=shop.url)
    response = choose(session, way, channel="", phone="")
    assert dict(parse_qsl(response["Location"]))["responsecode"] == "-1"
    assert shop.fields[0]["channel"] == "MOMOCI"
    assert look_up(session.reference) == {"success": False, "error": "Aucune transaction"}
    assert "The last attempt was not paid." in Client().get(page_of(session)).content.decode()
    choose(session, "pay")
    assert shop.codes == ["-1", "0"]
    assert look_up(session.reference)["success"] is True


@pytest.mark.parametrize(("way", "name"), [("after", "AFTER_SECONDS"), ("late", "LATE_SECONDS")])
def test_notification_after_the_return(
    db: None, shop: Shop, monkeypatch: pytest.MonkeyPatch, way: str, name: str
) -> None:
    monkeypatch.setattr(payer, name, 0.3)
    session = open_session(notificationURL=shop.url)
    assert dict(parse_qsl(choose(session, way)["Location"]))["responsecode"] == "0"
    assert not shop.heard
    assert {thread.daemon for thread in threading.enumerate() if isinstance(thread, threading.Timer)} == {True}
    assert look_up(session.reference)["success"] is True
    shop.wait(1)
    assert shop.codes == ["0"]


def test_delays_are_as_the_page_says() -> None:
    assert (payer.AFTER_SECONDS, payer.LATE_SECONDS) == (2, 10)


def test_lost_notification_leaves_the_look_up(db: None, shop: Shop) -> None:
    session = open_session(notificationURL=shop.url)
    assert dict(parse_qsl(choose(session, "lost")["Location"]))["responsecode"] == "0"
    assert not shop.heard
    assert look_up(session.reference)["amount"] == 12500


def test_doubled_notification_is_the_same_twice_at_once(db: None, shop: Shop) -> None:
    session = open_session(notificationURL=shop.url)
    both = threading.Barrier(2)
    shop.meanwhile = lambda: both.wait(10)  # the first is not answered before the second is there
    choose(session, "doubled")
    first, second = shop.fields
    assert first == second
    assert first["responsecode"] == "0"


def test_wrong_amount_is_notified_and_looked_up(db: None, shop: Shop) -> None:
    session = open_session(notificationURL=shop.url)
    response = choose(session, "wrong_amount")
    assert shop.fields[0]["amount"] == "6250"
    assert "amount=6250&" in response["Location"]
    assert look_up(session.reference)["amount"] == 6250
    assert "6 250 F CFA" in Client().get(page_of(session)).content.decode()


def test_forged_notification_goes_to_another_signature(db: None, shop: Shop) -> None:
    shop.status = 404
    session = open_session(notificationURL=shop.url)
    response = choose(session, "forged")
    [(path, _headers, _body)] = shop.heard
    assert urlsplit(path).path == "/notification/abc.SIGNATURA/"
    assert shop.codes == ["0"]
    assert response.status_code == 302
    session.refresh_from_db()
    assert session.state == "open"
    assert look_up(session.reference)["success"] is False


@pytest.mark.parametrize(
    ("url", "forged"),
    [
        ("https://shop.example/n/abc.SIGA/", "https://shop.example/n/abc.SIGB/"),
        ("https://shop.example/n/abc.sig-_", "https://shop.example/n/abc.siA-_"),
        ("https://shop.example/n/?token=abc", "https://shop.example/n/?token=abA"),
        ("https://shop.example?token=abc", "https://shop.example?token=abA"),
        ("https://shop.example/", "https://shop.example/"),
        ("https://shop.example", "https://shop.example"),
        ("", ""),
    ],
)
def test_forged_character_after_the_host_is_refused(url: str, forged: str) -> None:
    assert protocol.forged_url(url) == forged


def test_refused_then_paid_sends_both_notifications(db: None, shop: Shop) -> None:
    session = open_session(notificationURL=shop.url)
    response = choose(session, "refused_then_paid")
    assert shop.codes == ["-1", "0"]
    failure, success = shop.fields
    assert failure["sessionId"] == success["sessionId"]
    assert failure["payId"] != success["payId"]
    assert dict(parse_qsl(response["Location"]))["responsecode"] == "0"
    session.refresh_from_db()
    assert session.is_paid


def test_return_without_payment_claims_success(db: None, shop: Shop) -> None:
    session = open_session(notificationURL=shop.url)
    response = choose(session, "unpaid_return")
    assert dict(parse_qsl(response["Location"]))["responsecode"] == "0"
    assert not shop.heard
    assert look_up(session.reference)["success"] is False


def test_leaving_sends_no_notification(db: None, shop: Shop) -> None:
    session = open_session(notificationURL=shop.url)
    response = choose(session, "leave")
    assert response.status_code == 200
    content = response.content.decode()
    assert "You have left the page" in content
    assert time_format(localtime(session.expires_at), "H:i:s") in content
    assert 'href="https://shop.example/"' in content
    assert not shop.heard
    assert choose(session, "pay").status_code == 302


# Once, and in time.


def test_paid_session_is_not_paid_again(db: None, shop: Shop) -> None:
    session = open_session(notificationURL=shop.url)
    first = choose(session, "pay")
    for way in Way.values:
        assert choose(session, way)["Location"] == first["Location"]
    assert shop.codes == ["0"]
    response = Client().get(page_of(session))
    assert "Already paid" in response.content.decode()
    assert response.context["return_url"] == first["Location"]


@pytest.mark.parametrize("way", ["pay", "refuse", "refused_then_paid"])
def test_second_click_decides_nothing(db: None, shop: Shop, way: str) -> None:
    session = open_session(notificationURL=shop.url)
    late_click = SandboxSession.objects.get()
    choose(session, "pay")
    assert payer.act(late_click, Way(way), "CARD") == "0"
    assert late_click.channel == "OMCIV2"
    assert shop.codes == ["0"]


@pytest.mark.django_db(transaction=True)
def test_ten_clicks_at_once_pay_once(shop: Shop) -> None:
    session = open_session(notificationURL=shop.url)
    responses = at_once(*[lambda: choose(session, "pay")] * 10)
    assert [response.status_code for response in responses] == [302] * 10
    assert len({response["Location"] for response in responses}) == 1
    assert shop.codes == ["0"]


def test_expired_session_cannot_be_paid(db: None, shop: Shop) -> None:
    session = open_session(notificationURL=shop.url)
    expire(session)
    for response in [Client().get(page_of(session)), choose(session, "pay"), choose(session, "unpaid_return")]:
        assert response.status_code == 200
        assert "This page has expired" in response.content.decode()
        assert 'href="https://shop.example/"' in response.content.decode()
    # Opened in time, clicked too late.
    assert payer.act(session, Way.PAY, "CARD") is None
    assert payer.act(session, Way.REFUSE, "CARD") is None
    assert not shop.heard


def test_session_lives_five_minutes(db: None) -> None:
    session = open_session()
    assert session.expires_at - session.created_at == timedelta(minutes=5)
    assert not session.is_expired


def test_paid_session_does_not_expire(db: None) -> None:
    session = open_session()
    choose(session, "pay")
    expire(session)
    assert "Already paid" in Client().get(page_of(session)).content.decode()
    assert look_up(session.reference)["success"] is True


# The status look-up.


def test_status_is_as_the_sample_says(db: None, shop: Shop) -> None:
    session = open_session(notificationURL=shop.url)
    choose(session, "pay")
    answer = look_up(session.reference)
    assert list(answer) == ["marchant_id", "pay_id", "reference", "amount", "channel", "token", "date", "success"]
    token = answer.pop("token")
    assert session.session_id not in token
    notified = shop.fields[0]
    assert answer == {
        "marchant_id": "PP-F324",
        "pay_id": notified["payId"],
        "reference": session.reference,
        "amount": 12500,
        "channel": "OMCIV2",
        "date": notified["transactiondt"],
        "success": True,
    }
    assert re.fullmatch("CI[0-9]{20}", notified["payId"])


def test_status_may_be_asked_by_post(db: None) -> None:
    session = open_session()
    choose(session, "pay")
    response = Client(enforce_csrf_checks=True).post(STATUS + session.reference)
    assert response.json()["success"] is True


@pytest.mark.parametrize("reference", ["unknown", "B7C1F0A29D3E4F5A6B7C8D9E", "%00"])
def test_status_reference_is_case_sensitive(db: None, reference: str) -> None:
    choose(open_session(), "pay")
    assert look_up(reference) == {"success": False, "error": "Aucune transaction"}


# Notifications on their way.


@pytest.mark.parametrize("status", [302, 400, 503])
def test_notification_is_sent_once_whatever_is_answered(
    db: None, shop: Shop, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    shop.status = status
    session = open_session(notificationURL=shop.url)
    assert choose(session, "pay").status_code == 302
    assert len(shop.heard) == 1
    assert f"notification for {session.reference} (responsecode 0): HTTP {status}" in caplog.text
    assert "SIGNATURE" not in caplog.text


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/SIGNATURE", "ftp://127.0.0.1/SIGNATURE", "http://[SIGNATURE", "x"])
def test_shop_that_cannot_be_reached_is_logged(db: None, caplog: pytest.LogCaptureFixture, url: str) -> None:
    session = open_session()
    SandboxSession.objects.update(notification_url=url)
    assert choose(session, "pay").status_code == 302
    assert f"notification for {session.reference} (responsecode 0): no answer" in caplog.text
    assert "SIGNATURE" not in caplog.text


def test_silent_shop_is_given_up_after_the_timeout(
    db: None, shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert sending.TIMEOUT == 10
    monkeypatch.setattr(sending, "TIMEOUT", 0.2)
    answered = threading.Event()
    shop.meanwhile = lambda: answered.wait(DEADLINE)
    session = open_session(notificationURL=shop.url)
    assert choose(session, "pay").status_code == 302
    assert "no answer (ReadTimeout)" in caplog.text
    answered.set()


def test_environment_proxies_are_ignored(db: None, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    choose(open_session(notificationURL=shop.url), "pay")
    assert shop.codes == ["0"]


def test_threads_leave_no_database_connection_open(db: None, shop: Shop) -> None:
    used = []

    class DatabaseHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with connections["default"].cursor() as cursor:
                cursor.execute("SELECT 1")
            used.append(connections["default"])

    shop.status = 400
    handler = DatabaseHandler()
    sending.logger.addHandler(handler)
    choose(open_session(notificationURL=shop.url), "doubled")
    sending.logger.removeHandler(handler)
    assert len(used) == 2
    assert [connection.connection for connection in used] == [None, None]


# With the app, over real sockets.


def take_payment(way: str, live_server: Any) -> tuple[Any, str]:
    """Take a payment to the sandbox, choose the way in a browser's place; return it, and what the return page says."""
    payment = make_payment()
    page = services.initialize_payment(payment)
    with requests.Session() as browser:
        browser.trust_env = False
        token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', browser.get(page, timeout=DEADLINE).text)
        assert token
        values = {"way": way, "channel": "OMCIV2", "phone": "0701020304", "csrfmiddlewaretoken": token[1]}
        response = browser.post(page, data=values, timeout=DEADLINE)
    assert response.status_code == 200
    assert response.url.startswith(live_server.url + "/paiementpro/return/")
    payment.refresh_from_db()
    return payment, response.text


@pytest.fixture
def site(transactional_db: None, live_server: Any, settings: Any) -> Any:
    settings.PAIEMENTPRO_SITE_URL = live_server.url
    settings.PAIEMENTPRO_GATEWAY_URL = live_server.url + "/sandbox"
    return live_server


@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize(
    ("way", "status", "needs_review"),
    [
        ("pay", "succeeded", False),
        ("doubled", "succeeded", False),
        ("refused_then_paid", "succeeded", False),
        ("refuse", "failed", False),
        ("lost", "pending", False),
        ("unpaid_return", "pending", False),
        ("forged", "pending", False),
        ("wrong_amount", "pending", True),
    ],
)
def test_app_handles_every_sandbox_choice(site: Any, way: str, status: str, needs_review: bool) -> None:
    payment, _page = take_payment(way, site)
    assert (payment.status, payment.needs_review) == (status, needs_review)


@pytest.mark.usefixtures("transport")
def test_app_recovers_a_lost_notification(site: Any, settings: Any) -> None:
    settings.PAIEMENTPRO_STATUS_URL = site.url + "/sandbox/status"
    payment, _page = take_payment("lost", site)
    assert (payment.status, payment.settled_by) == ("succeeded", "status")
