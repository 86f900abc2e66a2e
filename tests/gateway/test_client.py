import json
import math
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_paiementpro.exceptions import GatewayRefusedError, GatewayUnavailableError
from django_paiementpro.gateway import connections
from django_paiementpro.gateway.client import checked_page_url, look_up, open_page
from django_paiementpro.gateway.messages import PageRequest, StatusAnswer
from django_paiementpro.gateway.transport import Transport
from django_paiementpro.signing import NOTIFICATION, path_of, sign
from django_paiementpro.testing import FakeGateway
from tests.conftest import PAGE_URL, STATUS_URL
from tests.gateway.test_messages import request


class OwnTransport:
    """A transport that a host writes: any class with the two methods."""

    requests: list[PageRequest] = []
    page_url = PAGE_URL

    def open_page(self, request: PageRequest) -> str:
        self.requests.append(request)
        if request.amount < 100:
            raise GatewayRefusedError(f"Non : {request.notification_url}\x00")
        return self.page_url

    def look_up(self, reference: str, patience: float = math.inf) -> StatusAnswer:
        return StatusAnswer.from_json({"success": True, "reference": reference, "message": str(patience)})


@pytest.fixture
def own_transport(settings: Any) -> type[OwnTransport]:
    settings.PAIEMENTPRO_TRANSPORT = "tests.gateway.test_client.OwnTransport"
    OwnTransport.requests.clear()
    return OwnTransport


def test_host_may_write_a_transport(gateway: FakeGateway, own_transport: type[OwnTransport]) -> None:
    assert open_page(request()) == PAGE_URL
    assert own_transport.requests == [request()]
    answer = look_up("abc", 2.5)
    assert (answer.reference, answer.data["message"]) == ("abc", "2.5")
    assert (gateway.page_requests, gateway.look_ups) == ([], [])


@pytest.mark.parametrize("url", ["https://evil.example/", f"{PAGE_URL}&n={request().notification_url}"])
def test_page_of_a_hosts_transport_is_checked(
    own_transport: type[OwnTransport], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(OwnTransport, "page_url", url)
    with pytest.raises(GatewayUnavailableError):
        open_page(request())


def test_refusal_of_a_hosts_transport_holds_no_signed_url(own_transport: type[OwnTransport]) -> None:
    url = "https://testserver" + signed_path()
    with pytest.raises(GatewayRefusedError) as caught:
        open_page(replace(request(), amount=99, notification_url=url))
    assert caught.value.message.startswith("Non : https://testserver/")
    assert url.rstrip("/").rpartition("/")[2] not in caught.value.message
    assert "\x00" not in caught.value.message


def signed_path() -> str:
    return path_of(NOTIFICATION, sign("0123456789abcdef01234567-0123abcd", NOTIFICATION))


def test_transport_that_cannot_be_imported_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "django_paiementpro.gateway.soap", raising=False)
    monkeypatch.setitem(sys.modules, "defusedxml", None)
    monkeypatch.setitem(sys.modules, "defusedxml.ElementTree", None)

    with override_settings(PAIEMENTPRO_TRANSPORT="soap"), pytest.raises(ImproperlyConfigured) as caught:
        open_page(request())
    assert str(caught.value) == (
        'PAIEMENTPRO_TRANSPORT: "soap" needs defusedxml: pip install "django-paiementpro[soap]"'
    )


def test_soap_is_imported_only_when_it_is_used() -> None:
    """An installation without the extra starts, and opens pages by JSON."""
    code = (
        "import sys, django; django.setup();"
        "from django_paiementpro.gateway.client import get_transport; get_transport();"
        "import django_paiementpro.sandbox.views, django_paiementpro.testing;"
        "assert not [name for name in sys.modules if name.partition('.')[0] == 'defusedxml']"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_transport_without_an_own_page_is_no_transport() -> None:
    with pytest.raises(NotImplementedError):
        Transport().open_page(request())


def test_page_is_opened(gateway: FakeGateway) -> None:
    assert open_page(request()) == PAGE_URL
    assert gateway.page_requests == [request()]
    assert gateway.mock.calls[0].request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("content_type", ["text/html", "application/json", "text/plain; charset=utf-16", ""])
def test_answer_is_read_whatever_its_content_type(gateway: FakeGateway, content_type: str) -> None:
    gateway.answers(
        b"\xef\xbb\xbf" + json.dumps({"success": True, "url": PAGE_URL}).encode(), content_type=content_type
    )

    assert open_page(request()) == PAGE_URL


@pytest.mark.parametrize("status", [200, 400, 403])
@pytest.mark.parametrize("key", ["message", "error"])
def test_refusal_has_the_gateways_message(gateway: FakeGateway, key: str, status: int) -> None:
    gateway.answers(json.dumps({"success": False, key: "Référence déjà utilisée"}), status=status)

    with pytest.raises(GatewayRefusedError) as caught:
        open_page(request())
    assert caught.value.message == "Référence déjà utilisée"


def test_refusal_may_have_no_message(gateway: FakeGateway) -> None:
    gateway.answers({"success": False})

    with pytest.raises(GatewayRefusedError) as caught:
        open_page(request())
    assert caught.value.message == ""
    assert str(caught.value)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 500),
        (b'{"success": false, "message": "no"}', 503),
        (b'{"success": true, "url": "%s"}' % PAGE_URL.encode(), 500),
        (b'{"success": true, "url": "%s"}' % PAGE_URL.encode(), 302),
        (b'{"success": true}', 200),
        (b'{"success": "true", "url": "%s"}' % PAGE_URL.encode(), 200),
        (b"{}", 200),
        (b'{"message": "Too Many Requests"}', 429),
        (b"", 200),
        (b"<html>maintenance</html>", 200),
        (b"[" * 60_000, 200),
        (b'{"a":' * 12_000, 200),
        (b'{"success": true, "url": "%s", "x": "%s"}' % (PAGE_URL.encode(), b"x" * 70_000), 200),
        (b"\xff\xfe\x00", 200),
    ],
)
def test_unclear_response_is_an_outage(gateway: FakeGateway, body: bytes, status: int) -> None:
    gateway.answers(body, status=status)

    with pytest.raises(GatewayUnavailableError):
        open_page(request())


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError(),
        requests.Timeout(),
        requests.exceptions.SSLError(),
        requests.exceptions.ChunkedEncodingError(),
        urllib3.exceptions.ProtocolError(),
    ],
)
def test_connection_error_is_an_outage(gateway: FakeGateway, error: Exception) -> None:
    gateway.answers(error)

    with pytest.raises(GatewayUnavailableError):
        open_page(request())


def test_slow_answer_times_out(gateway: FakeGateway) -> None:
    with override_settings(PAIEMENTPRO_TIMEOUT=(1e-9, 1e-9)), pytest.raises(GatewayUnavailableError, match="too slow"):
        open_page(request())


@pytest.mark.usefixtures("transport")
def test_calls_are_bounded_verified_and_not_redirected(gateway: FakeGateway) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("REQUESTS_CA_BUNDLE", raising=False)
        environment.delenv("CURL_CA_BUNDLE", raising=False)
        open_page(request())

    arguments = gateway.mock.calls[0].request.req_kwargs
    assert arguments["timeout"] == (3.05, 20)
    assert arguments["verify"] is True
    assert arguments["stream"] is True


@pytest.mark.usefixtures("transport")
def test_redirect_is_not_followed(gateway: FakeGateway) -> None:
    gateway.answers(lambda request: (307, {"Location": PAGE_URL}, ""))

    with pytest.raises(GatewayUnavailableError):
        open_page(request())
    assert len(gateway.mock.calls) == 1


@pytest.mark.parametrize("location", ["http://[", "//[::1", "\xff", "/elsewhere"])
def test_malformed_redirect_is_not_read(gateway: FakeGateway, location: str) -> None:
    gateway.answers(lambda request: (302, {"Location": location}, ""))

    with pytest.raises(GatewayUnavailableError):
        open_page(request())


def test_cookies_are_not_kept_between_calls(gateway: FakeGateway) -> None:
    body = json.dumps({"success": True, "url": PAGE_URL})
    gateway.answers(lambda request: (200, {"Set-Cookie": "PHPSESSID=payer1; path=/"}, body))

    for _ in range(2):
        open_page(request())
    assert "Cookie" not in gateway.mock.calls[1].request.headers


def test_netrc_credentials_are_not_sent(gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret")
    monkeypatch.setenv("NETRC", str(netrc))

    open_page(request())
    assert "Authorization" not in gateway.mock.calls[0].request.headers


def test_one_session_serves_a_thread(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = connections._Connections()
    session = pool.get()
    others: list[Any] = []
    thread = threading.Thread(target=lambda: others.append(pool.get()))
    thread.start()
    thread.join()

    assert pool.get() is session
    assert others[0] is not session


def test_forked_process_has_its_own_session(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = connections._Connections()
    session = pool.get()
    monkeypatch.setattr(os, "getpid", lambda: -1)

    assert pool.get() is not session
    assert pool.get() is pool.get()


def test_idle_connection_is_not_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = connections._Connections()
    session = pool.get()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + connections.MAX_IDLE_SECONDS + 1)

    assert pool.get() is not session


@pytest.mark.parametrize(
    "url",
    [
        PAGE_URL,
        "https://sandbox.paiementpro.net/sandbox.php?sessionid=1234567890",
        "https://paiementpro.net/a",
        "https://paiementpro.net",
        "HTTPS://WWW.PAIEMENTPRO.NET/a",
        "https://www.paiementpro.net:443/a?b=c#d",
    ],
)
def test_gateway_page_is_trusted(url: str) -> None:
    assert checked_page_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://www.paiementpro.net/a",
        "ftp://www.paiementpro.net/a",
        "javascript:alert(1)//paiementpro.net",
        "//www.paiementpro.net/a",
        "https:www.paiementpro.net/a",
        "https:///www.paiementpro.net/a",
        "https:/\\www.paiementpro.net/a",
        "https://evilpaiementpro.net/a",
        "https://paiementpro.net.evil.com/a",
        "https://evil.com/paiementpro.net",
        "https://evil.com?paiementpro.net",
        "https://evil.com#.paiementpro.net",
        "https://evil.com\\.paiementpro.net/",
        "https://evil.com\\@www.paiementpro.net/",
        "https://www.paiementpro.net@evil.com/",
        "https://www.paiementpro.net:443@evil.com/",
        "https://evil.com%2f.paiementpro.net/",
        "https://evil.com\t.paiementpro.net/",
        "https://evil.com/\n.paiementpro.net/",
        " https://www.paiementpro.net/a",
        "https://www.paiementpro.net/a\n",
        "https://www.paiementpro.net/a b",
        "https://www.paiementpro.net/a\\b",
        "https://www.paiementpro.net/\x00",
        "https://www.paiementpro。net/",
        "https://раiementpro.net/",  # noqa: RUF001  a Cyrillic look-alike
        "https://www.paiementpro.net:http/a",
        "https://[::1]/a",
        "https://www.paiementpro.net./a",
        "https://.paiementpro.net/a",
        "https://a..paiementpro.net/a",
        "https://www.paiementpro.net/" + "a" * 2000,
        "data:text/html,https://www.paiementpro.net/",
    ],
)
def test_page_on_another_host_is_not_trusted(url: str) -> None:
    with pytest.raises(GatewayUnavailableError) as caught:
        checked_page_url(url)
    assert not url or url not in str(caught.value)


def test_configured_gateway_may_use_http() -> None:
    with override_settings(PAIEMENTPRO_GATEWAY_URL="http://127.0.0.1:8000/sandbox"):
        assert checked_page_url("http://127.0.0.1:8000/sandbox/sandbox.php?sessionid=1")
        assert checked_page_url("https://127.0.0.1/a")
        with pytest.raises(GatewayUnavailableError):
            checked_page_url("http://127.0.0.2:8000/a")
    with override_settings(PAIEMENTPRO_GATEWAY_URL="http://[::1]:8000"):
        assert checked_page_url("http://[::1]:8000/sandbox.php?sessionid=1")
    with override_settings(PAIEMENTPRO_GATEWAY_URL="https://proxy.example.com/"):
        assert checked_page_url("https://proxy.example.com/a")
        with pytest.raises(GatewayUnavailableError):
            checked_page_url("http://proxy.example.com/a")


def test_allowed_hosts_are_read_as_django_reads_its_own() -> None:
    with override_settings(PAIEMENTPRO_ALLOWED_REDIRECT_HOSTS=["pay.example.com"]):
        assert checked_page_url("https://pay.example.com/a")
        with pytest.raises(GatewayUnavailableError, match="PAIEMENTPRO_ALLOWED_REDIRECT_HOSTS"):
            checked_page_url(PAGE_URL)


def test_status_is_looked_up(gateway: FakeGateway) -> None:
    gateway.tells("abc-2", {"success": True, "reference": "abc-2", "amount": "100", "marchant_id": "PP-F324"})

    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL + "/"):
        answer = look_up("abc-2")
    assert (answer.is_success, answer.reference, answer.amount) == (True, "abc-2", 100)


@pytest.mark.parametrize("body", [b"", b"[]", b"oops", requests.ConnectionError()])
def test_lookup_may_be_unanswered(gateway: FakeGateway, body: Any) -> None:
    gateway.tells("abc", body)

    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL), pytest.raises(GatewayUnavailableError):
        look_up("abc")


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip, gzip", "identity, gzip", "br", "x-unknown"])
@pytest.mark.parametrize("status", [200, 403, 500])
def test_encoded_answer_is_unusable(gateway: FakeGateway, encoding: str, status: int) -> None:
    answer = (status, {"Content-Encoding": encoding}, json.dumps({"success": True, "url": PAGE_URL}))
    gateway.answers(lambda request: answer)
    gateway.tells("abc", lambda request: answer)

    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL):
        with pytest.raises(GatewayUnavailableError, match="encoded"):
            open_page(request())
        with pytest.raises(GatewayUnavailableError, match="encoded"):
            look_up("abc")


@pytest.mark.parametrize("encoding", ["identity", "Identity", "", "identity, identity"])
def test_answer_that_is_not_encoded_is_read(gateway: FakeGateway, encoding: str) -> None:
    body = json.dumps({"success": True, "url": PAGE_URL})
    gateway.answers(lambda request: (200, {"Content-Encoding": encoding}, body))

    assert open_page(request()) == PAGE_URL
