"""One POST: what it looks like, and what it survives."""

import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from django_paiementpro.webhooks import transport
from django_paiementpro.webhooks.enums import Failure
from django_paiementpro.webhooks.transport import MAX_ANSWER, Answer, post
from tests.server import fronts
from tests.server.fronts import Visitor
from tests.webhooks.conftest import PUBLIC, Internet, Receive, served_with

URL = "https://hooks.example.com/in?key=1"
OTHER = "198.200.1.8"


def send(url: str = URL) -> Answer:
    return post(url, b'{"type":"test"}', {"Content-Type": "application/json", "webhook-id": "msg_1"})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 0.6)


# To a public address, over https.


@pytest.fixture
def public(internet: Internet, receive: Receive, authority: trustme.CA, trusted: None) -> Any:
    """A receiver whose certificate is for hooks.example.com, at a public address."""
    receiver = receive(context=served_with(authority.issue_cert("hooks.example.com")))
    internet.names["hooks.example.com"] = [[PUBLIC]]
    internet.routes[PUBLIC] = receiver.server_port
    return receiver


def test_webhook_arrives_over_https_with_the_name_of_the_url(public: Any, internet: Internet) -> None:
    answer = send()

    assert (answer.status, answer.text, answer.failure, answer.is_success) == (200, "taken", None, True)
    assert 0 < answer.seconds < 5
    [visitor] = public.visitors
    assert (visitor.path, visitor.body) == ("/in?key=1", b'{"type":"test"}')
    assert dict(visitor.headers) == {
        "Host": "hooks.example.com",
        "Content-Length": "15",
        "Content-Type": "application/json",
        "webhook-id": "msg_1",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    assert (internet.asked, internet.reached) == (["hooks.example.com"], [PUBLIC])


def test_port_is_in_the_host_header(public: Any) -> None:
    send("https://hooks.example.com:8443/")
    assert public.visitors[0].headers["Host"] == "hooks.example.com:8443"


def test_rebinding_the_name_gains_nothing(public: Any, internet: Internet) -> None:
    internet.names["hooks.example.com"] = [[PUBLIC], ["127.0.0.1"]]

    assert send().is_success
    assert internet.reached == [PUBLIC]
    assert send().failure == Failure.URL
    assert internet.reached == [PUBLIC]


def test_certificate_for_another_name_is_refused(public: Any, internet: Internet) -> None:
    internet.names["other.example.com"] = [[PUBLIC]]
    answer = send("https://other.example.com/")
    assert (answer.status, answer.failure) == (None, Failure.TLS)
    assert public.visitors == []


def test_certificate_of_an_unknown_authority_is_refused(public: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert send().failure == Failure.TLS
    assert public.visitors == []


def test_folder_of_certificates_is_read(public: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))  # without the hashed names that OpenSSL expects
    assert send().failure == Failure.TLS


def test_next_address_is_tried_if_the_first_refuses(public: Any, internet: Internet) -> None:
    internet.names["hooks.example.com"] = [[OTHER, PUBLIC]]
    assert send().is_success
    assert internet.reached == [OTHER, PUBLIC]


def test_few_addresses_are_tried(internet: Internet) -> None:
    internet.names["hooks.example.com"] = [[f"198.200.1.{number}" for number in range(50)]]
    assert send().failure == Failure.CONNECTION
    assert len(internet.reached) == transport.MAX_ADDRESSES


@pytest.mark.usefixtures("quick")
def test_server_that_does_not_finish_the_handshake_is_left(internet: Internet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        internet.names["hooks.example.com"] = [[PUBLIC]]
        internet.routes[PUBLIC] = silent.getsockname()[1]
        answer = send()
    assert answer.failure == Failure.TIMEOUT
    assert answer.seconds < 3


def test_proxies_of_the_environment_are_ignored(public: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert send().is_success


def test_url_is_checked_when_it_is_sent(internet: Internet) -> None:
    for url in ("http://hooks.example.com/", "https://127.0.0.1/", "https://[::ffff:10.0.0.1]/", "https://0x7f.1/"):
        # Pythons write a mapped address in two ways.
        mapped = {name: [["::ffff:10.0.0.1"]] for name in ("::ffff:a00:1", "::ffff:10.0.0.1")}
        internet.names |= {"127.0.0.1": [["127.0.0.1"]], **mapped}
        assert send(url).failure == Failure.URL
    assert send("https://hooks.invalid/").failure == Failure.NAME
    assert internet.reached == []


# Answers, over http.

pytestmark = pytest.mark.usefixtures("lenient")


@pytest.fixture
def lenient(request: pytest.FixtureRequest, settings: Any) -> None:
    """Allow this machine's addresses in the tests that use no public one."""
    settings.PAIEMENTPRO_WEBHOOKS_ALLOW_PRIVATE = "internet" not in request.fixturenames


@pytest.mark.parametrize(("status", "is_success"), [(200, True), (204, True), (299, True), (404, False), (500, False)])
def test_only_2xx_is_a_success(receive: Receive, status: int, is_success: bool) -> None:
    answer = send(receive(lambda visitor: visitor.answers(status=status)).url)
    assert (answer.status, answer.is_success, answer.failure) == (status, is_success, None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(receive: Receive, status: int) -> None:
    elsewhere = receive()
    answer = send(receive(lambda visitor: visitor.answers(status=status, Location=elsewhere.url)).url)
    assert (answer.status, answer.is_success) == (status, False)
    assert elsewhere.visitors == []


def test_beginning_of_a_long_answer_is_kept(receive: Receive) -> None:
    answer = send(receive(fronts.floods).url)
    assert answer.is_success
    assert answer.text == " " * MAX_ANSWER


def test_answer_that_cannot_be_stored_is_made_readable(receive: Receive) -> None:
    answer = send(receive(lambda visitor: visitor.answers("reçu \0".encode() + b"\xff")).url)
    assert answer.text == "reçu \ufffd\ufffd"


@pytest.mark.usefixtures("quick")
def test_slow_answer_is_not_waited_for(receive: Receive) -> None:
    answer = send(receive(fronts.hangs).url)
    assert (answer.status, answer.failure) == (None, Failure.TIMEOUT)
    assert 0.5 < answer.seconds < 3


@pytest.mark.usefixtures("quick")
def test_dripping_body_is_cut_at_the_deadline(receive: Receive) -> None:
    answer = send(receive(fronts.drips).url)
    assert (answer.status, answer.is_success) == (200, True)
    assert answer.text.strip() == ""
    assert answer.seconds < 3


def raw(*parts: bytes, pause: float = 0.0) -> Callable[[Visitor], None]:
    def play(visitor: Visitor) -> None:
        for part in parts:
            visitor.wfile.write(part)
            time.sleep(pause)

    return play


@pytest.mark.usefixtures("quick")
def test_dripping_headers_are_cut_at_the_deadline(receive: Receive) -> None:
    answer = send(receive(raw(b"HTTP/1.1 200 OK\r\n", *[b"X-A: 1\r\n"] * 50, pause=0.1)).url)
    assert (answer.status, answer.failure) == (None, Failure.TIMEOUT)
    assert answer.seconds < 3


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.example.com ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
        b"",
    ],
)
def test_what_is_not_http_is_a_failure(receive: Receive, answer: bytes) -> None:
    assert send(receive(raw(answer)).url).failure in {Failure.PROTOCOL, Failure.CONNECTION}


def test_interrupted_body_keeps_the_status(receive: Receive) -> None:
    answer = send(receive(raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ntak")).url)
    assert answer.is_success


def test_closed_port_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert send(f"http://127.0.0.1:{port}/").failure == Failure.CONNECTION


def test_server_without_tls_is_a_failure(receive: Receive) -> None:
    assert send(receive().url.replace("http:", "https:")).failure == Failure.TLS


def test_broken_connection_while_sending_is_a_failure(receive: Receive, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(transport._Bounded, "sendall", fail)
    assert send(receive().url).failure == Failure.CONNECTION


@pytest.mark.usefixtures("quick")
def test_time_for_connecting_counts(monkeypatch: pytest.MonkeyPatch, receive: Receive) -> None:
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 0.0)
    assert send(receive().url).failure == Failure.TIMEOUT


def test_context_is_loaded_once_for_each_bundle() -> None:
    bundle = transport.DEFAULT_CA_BUNDLE_PATH
    context = transport._tls_context(bundle)
    assert transport._tls_context(bundle) is context
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
