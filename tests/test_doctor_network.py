"""The doctor's test notification, through real sockets, proxies and wrong servers."""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from django.test import override_settings

from django_paiementpro.doctor import Target
from django_paiementpro.doctor.network import examine
from django_paiementpro.models import Payment, PaymentEvent
from tests.conftest import INDISCREET
from tests.server import fronts
from tests.server.fronts import Front, Visitor
from tests.server.site import Site, running

pytestmark = pytest.mark.django_db(transaction=True)

GATEWAY = "http://127.0.0.1:9/sandbox"


@pytest.fixture(autouse=True)
def local(settings: Any) -> None:
    settings.PAIEMENTPRO_GATEWAY_URL = GATEWAY
    settings.ALLOWED_HOSTS = ["127.0.0.1"]


@pytest.fixture
def site() -> Iterator[Site]:
    with running(Site()) as site:
        yield site


Put = Callable[..., Front]


@pytest.fixture
def put() -> Iterator[Put]:
    """Put something before the site, or in its place."""
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(running(Front(*args, **kwargs)))


def results(url: str) -> list[tuple[str, str]]:
    lines = [(result.level.value, result.text) for result in examine(Target(url))]
    assert [text for _level, text in lines if INDISCREET.search(text)] == []
    return lines


def levels(lines: list[tuple[str, str]]) -> list[str]:
    return [level for level, _text in lines]


def only(lines: list[tuple[str, str]]) -> str:
    [(level, text)] = lines
    assert level == "fail"
    return text


def test_test_notification_reaches_the_app(site: Site) -> None:
    lines = results(site.url)
    assert levels(lines) == ["pass"]
    assert "reached the app" in lines[0][1]
    assert "from 127.0.0.1" in lines[0][1]
    assert lines[0][1].endswith("The server answers several requests at a time.")
    assert not Payment.objects.exists()
    assert not PaymentEvent.objects.exists()


@pytest.mark.parametrize(
    ("is_multiprocess", "expected"),
    [
        (True, "Each process of the server answers one request at a time"),
        (False, "The server answers one request at a time"),
    ],
)
def test_server_without_threads_is_a_warning(site: Site, is_multiprocess: bool, expected: str) -> None:
    app, flags = site.get_app(), {"wsgi.multithread": False, "wsgi.multiprocess": is_multiprocess}
    site.set_app(lambda environ, start_response: app({**environ, **flags}, start_response))

    lines = results(site.url)

    assert levels(lines) == ["pass", "warn"]
    assert "several requests" not in lines[0][1]
    assert lines[1][1].startswith(expected)
    assert "“gunicorn --threads 16”" in lines[1][1]


def test_wrong_clock_of_the_answering_process_is_a_warning(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_paiementpro.gateway.probe.time", SimpleNamespace(time=lambda: time.time() + 60))
    lines = results(site.url)
    assert levels(lines) == ["pass", "warn"]
    assert "The clock of the answering process differs from this machine’s by 60 s." in lines[1][1]


def test_test_notification_is_sent_as_the_gateway_sends_it(put: Put, site: Site) -> None:
    front = put(Visitor.passes_on, site.url)
    results(front.url)
    [visitor] = front.visitors
    assert "MSIE 6.0" in visitor.headers["User-Agent"]
    assert visitor.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert "responsecode=-1" in visitor.path
    assert b'name="responsecode"' in visitor.body


@override_settings(PAIEMENTPRO_SITE_URL=None)
def test_without_a_site_url_nothing_is_sent() -> None:
    [(verdict, text)] = results("")
    assert verdict == "warn"
    assert "--url" in text


def test_without_urls_nothing_is_sent() -> None:
    with override_settings(ROOT_URLCONF="django.conf.urls.i18n"):
        assert results("http://127.0.0.1:9") == []


# No answer.


def test_refused_connection_is_reported() -> None:
    assert "refuses the connection" in only(results("http://127.0.0.1:9"))


@pytest.mark.parametrize("play", [fronts.hangs, fronts.drips])
def test_hanging_server_is_reported(put: Put, play: Any) -> None:
    with override_settings(PAIEMENTPRO_TIMEOUT=(0.5, 0.5)):
        assert "does not answer in time" in only(results(put(play).url))


def test_closed_connection_is_reported(put: Put) -> None:
    assert "closes the connection without an answer" in only(results(put(fronts.hangs_up).url))


def test_endless_answer_is_not_read(put: Put) -> None:
    assert "The answer is 200" in only(results(put(fronts.floods).url))


def test_unknown_name_is_reported_once() -> None:
    assert "cannot be resolved" in only(results("http://shop.invalid"))
    with override_settings(PAIEMENTPRO_GATEWAY_URL=None):
        assert results("http://shop.invalid") == []  # the topic "address" reports it


# Certificates.


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def served_with(certificate: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the certificate authority of these tests."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))


@pytest.mark.usefixtures("trusted")
def test_good_certificate_passes(put: Put, site: Site, authority: trustme.CA) -> None:
    front = put(
        lambda visitor: visitor.passes_on(**{"X-Forwarded-Proto": "https"}),
        site.url,
        served_with(authority.issue_cert("127.0.0.1")),
    )
    with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        assert levels(results(front.url)) == ["pass"]


@pytest.mark.usefixtures("trusted")
def test_expired_certificate_is_reported(put: Put, authority: trustme.CA) -> None:
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    certificate = authority.issue_cert("127.0.0.1", not_before=yesterday - timedelta(days=90), not_after=yesterday)
    assert "has expired" in only(results(put(Visitor.answers, context=served_with(certificate)).url))


@pytest.mark.usefixtures("trusted")
def test_certificate_for_another_name_is_reported(put: Put, authority: trustme.CA) -> None:
    certificate = authority.issue_cert("www.shop.example")
    assert "is for another name" in only(results(put(Visitor.answers, context=served_with(certificate)).url))


def test_unknown_authority_is_reported(put: Put, authority: trustme.CA) -> None:
    certificate = authority.issue_cert("127.0.0.1")
    assert "its chain is incomplete" in only(results(put(Visitor.answers, context=served_with(certificate)).url))


def test_self_signed_certificate_is_reported(put: Put, authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "cert.pem"))
    authority.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert "is self-signed" in only(results(put(Visitor.answers, context=context).url))


def test_server_without_tls_is_reported(put: Put) -> None:
    url = put(Visitor.answers).url.replace("http:", "https:")
    assert "The TLS connection to" in only(results(url))


# Answers of other servers.


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("https://www.shop.example{path}", "It is redirected to the host www.shop.example."),
        ("/login/?next={path}", "A login is required"),
        ("/fr{path}", "with a language prefix"),
        ("{path}", "It is redirected to itself endlessly"),
        ("/home/", "/home/. Exempt the app’s URLs from redirects"),
    ],
)
def test_redirect_is_not_followed(put: Put, target: str, expected: str) -> None:
    front = put(fronts.redirects_to(target))
    text = only(results(front.url))
    assert expected in text
    assert len(front.visitors) == 1


LOGIN_PAGE = b"<form><input name='password' type='password'></form>"


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (LOGIN_PAGE, 200, "A login page answers"),
        (b"<title>Parked</title>", 200, "The answer is 200 (server: "),
        (b'{"proof": "x"}', 200, "The answer is 200"),
        (b"", 202, "The answer is 202"),
        (b"", 400, "ALLOWED_HOSTS"),
        (b"", 401, "A password is required"),
        (b"", 403, "probably by a firewall"),
        (b"<h1>Forbidden</h1><p>CSRF verification failed.</p>", 403, "A CSRF token is required"),
        (b"", 406, "probably by a firewall"),
        (b"<title>Not here</title>", 404, "another site or another path answers"),
        (b"", 405, "POST requests like the gateway’s are not accepted"),
        (b"", 502, "a proxy before it, has failed"),
    ],
)
def test_answer_from_another_server_is_explained(put: Put, body: bytes, status: int, expected: str) -> None:
    text = only(results(put(lambda visitor: visitor.answers(body, status)).url))
    assert text.startswith("A test notification sent over the network did not reach the app.")
    assert expected in text


def test_another_secret_key_is_reported(put: Put) -> None:
    text = only(results(put(lambda visitor: visitor.answers(b"Not Found", 404)).url))
    assert "does not accept the signature" in text
    assert "clock" not in text


def at_another_hour(visitor: Visitor, hours: int) -> None:
    moment = datetime.now(timezone.utc) + timedelta(hours=hours)
    visitor.date_time_string = lambda timestamp=None: moment.strftime("%a, %d %b %Y %H:%M:%S GMT")  # type: ignore[method-assign]
    visitor.answers(b"Not Found", 404)


def test_wrong_clock_is_reported_with_a_rejected_signature(put: Put) -> None:
    text = only(results(put(lambda visitor: at_another_hour(visitor, 2)).url))
    assert "The clock there differs by 7" in text


def without_a_date(visitor: Visitor) -> None:
    visitor.date_time_string = lambda timestamp=None: "yesterday"  # type: ignore[method-assign]
    visitor.answers(b"Not Found", 404)


def test_answer_without_a_date_is_accepted(put: Put) -> None:
    assert "clock" not in only(results(put(without_a_date).url))


# Changes on the way.


@pytest.mark.parametrize(
    ("play", "level", "expected"),
    [
        (fronts.strips_body, "warn", "The body does not arrive."),
        (fronts.strips_query, "warn", "The query string does not arrive."),
        (fronts.strips_both, "fail", "The query string does not arrive."),
        (fronts.strips_context, "warn", "Fields of the body do not arrive: returnContext."),
        (fronts.cleans, "fail", "Fields arrive altered (returnContext): notifications would be refused."),
    ],
)
def test_lost_and_altered_fields_are_reported(put: Put, site: Site, play: Any, level: str, expected: str) -> None:
    lines = results(put(play, site.url).url)
    assert (lines[0][0], lines[1][0]) == ("pass", level)
    assert expected in lines[1][1]


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "Make the proxy send X-Forwarded-Proto with each request, and set"),
        ({"X-Forwarded-Proto": "https"}, "sees http. Set SECURE_PROXY_SSL_HEADER = ("),
    ],
)
def test_https_that_the_app_does_not_see_is_a_warning(
    put: Put, site: Site, authority: trustme.CA, headers: dict[str, str], expected: str
) -> None:
    context = served_with(authority.issue_cert("127.0.0.1"))
    lines = results(put(lambda visitor: visitor.passes_on(**headers), site.url, context).url)
    assert levels(lines) == ["pass", "warn"]
    assert "It was sent over https, but the app sees http." in lines[1][1]
    assert expected in lines[1][1]


@pytest.mark.parametrize(("forwards", "expected"), [(True, "USE_X_FORWARDED_HOST = True"), (False, "on unchanged.")])
def test_changed_host_is_a_warning(put: Put, site: Site, forwards: bool, expected: str) -> None:
    def play(visitor: Visitor) -> None:
        visitor.passes_on(Host="localhost:8001", **{"X-Forwarded-Host": visitor.server.netloc if forwards else ""})

    with override_settings(ALLOWED_HOSTS=["localhost", "127.0.0.1"]):
        lines = results(put(play, site.url).url)
    assert levels(lines) == ["pass", "warn"]
    assert "the app sees the host localhost:8001" in lines[1][1]
    assert expected in lines[1][1]
