"""The doctor's notification to itself, through real sockets, proxies and other servers."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import trustme
from django.test import override_settings

from django_paiementpro.doctor import Visit
from django_paiementpro.doctor.network import findings
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
    """Put a front before the site, or in place of it."""
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(running(Front(*args, **kwargs)))


def told(url: str) -> list[tuple[str, str]]:
    lines = [(finding.verdict.value, finding.text) for finding in findings(Visit(url))]
    assert [text for _verdict, text in lines if INDISCREET.search(text)] == []
    return lines


def verdicts(lines: list[tuple[str, str]]) -> list[str]:
    return [verdict for verdict, _text in lines]


def only(lines: list[tuple[str, str]]) -> str:
    [(verdict, text)] = lines
    assert verdict == "fail"
    return text


def test_a_notification_to_oneself_is_recognised(site: Site) -> None:
    lines = told(site.url)
    assert verdicts(lines) == ["pass", "pass"]
    assert "was recognised" in lines[0][1]
    assert "it came from 127.0.0.1" in lines[0][1]
    assert lines[1][1] == "The clock of the answering process agrees with this machine’s."
    assert not Payment.objects.exists()
    assert not PaymentEvent.objects.exists()


def test_probe_looks_like_a_gateway_notification(put: Put, site: Site) -> None:
    front = put(Visitor.passes_on, site.url)
    told(front.url)
    [visitor] = front.visitors
    assert "MSIE 6.0" in visitor.headers["User-Agent"]
    assert visitor.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert "responsecode=-1" in visitor.path
    assert b'name="responsecode"' in visitor.body


@override_settings(PAIEMENTPRO_SITE_URL=None)
def test_without_a_base_nothing_is_sent() -> None:
    [(verdict, text)] = told("")
    assert verdict == "warn"
    assert "--url" in text


def test_without_urls_nothing_is_sent() -> None:
    with override_settings(ROOT_URLCONF="django.conf.urls.i18n"):
        assert told("http://127.0.0.1:9") == []


# No answer.


def test_refused_connection_is_reported() -> None:
    assert "refuses the connection" in only(told("http://127.0.0.1:9"))


@pytest.mark.parametrize("play", [fronts.hangs, fronts.drips])
def test_hanging_server_is_reported(put: Put, play: Any) -> None:
    with override_settings(PAIEMENTPRO_TIMEOUT=(0.5, 0.5)):
        assert "does not answer in time" in only(told(put(play).url))


def test_closed_connection_is_reported(put: Put) -> None:
    assert "hangs up without an answer" in only(told(put(fronts.hangs_up).url))


def test_an_answer_without_an_end_is_not_read(put: Put) -> None:
    assert "The answer is 200" in only(told(put(fronts.floods).url))


def test_unknown_host_name_is_reported() -> None:
    assert "is not known here" in only(told("http://shop.invalid"))
    with override_settings(PAIEMENTPRO_GATEWAY_URL=None):
        assert told("http://shop.invalid") == []  # told of the address


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
def test_a_good_certificate_passes(put: Put, site: Site, authority: trustme.CA) -> None:
    front = put(
        lambda visitor: visitor.passes_on(**{"X-Forwarded-Proto": "https"}),
        site.url,
        served_with(authority.issue_cert("127.0.0.1")),
    )
    with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        assert verdicts(told(front.url)) == ["pass", "pass"]


@pytest.mark.usefixtures("trusted")
def test_expired_certificate_is_reported(put: Put, authority: trustme.CA) -> None:
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    certificate = authority.issue_cert("127.0.0.1", not_before=yesterday - timedelta(days=90), not_after=yesterday)
    assert "has expired" in only(told(put(Visitor.answers, context=served_with(certificate)).url))


@pytest.mark.usefixtures("trusted")
def test_certificate_for_another_name_is_reported(put: Put, authority: trustme.CA) -> None:
    certificate = authority.issue_cert("www.shop.example")
    assert "is for another name" in only(told(put(Visitor.answers, context=served_with(certificate)).url))


def test_unknown_certificate_authority_is_reported(put: Put, authority: trustme.CA) -> None:
    certificate = authority.issue_cert("127.0.0.1")
    assert "its chain is incomplete" in only(told(put(Visitor.answers, context=served_with(certificate)).url))


def test_self_signed_certificate_is_reported(put: Put, authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "cert.pem"))
    authority.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert "is signed by itself" in only(told(put(Visitor.answers, context=context).url))


def test_server_without_tls_is_reported(put: Put) -> None:
    url = put(Visitor.answers).url.replace("http:", "https:")
    assert "No TLS connection" in only(told(url))


# Somebody else's answer.


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("https://www.shop.example{path}", "It is redirected to the host www.shop.example."),
        ("/login/?next={path}", "A login is asked for"),
        ("/fr{path}", "as if it had no language"),
        ("{path}", "It is redirected to itself, without end"),
        ("/home/", "/home/. Exempt the app’s URLs from redirects"),
    ],
)
def test_a_redirect_is_not_followed(put: Put, target: str, expected: str) -> None:
    front = put(fronts.redirects_to(target))
    text = only(told(front.url))
    assert expected in text
    assert len(front.visitors) == 1


LOGIN_PAGE = b"<form><input name='password' type='password'></form>"


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (LOGIN_PAGE, 200, "A login page is shown"),
        (b"<title>Parked</title>", 200, "The answer is 200 (server: "),
        (b'{"proof": "x"}', 200, "The answer is 200"),
        (b"", 202, "The answer is 202"),
        (b"", 400, "ALLOWED_HOSTS"),
        (b"", 401, "A password is asked for"),
        (b"", 403, "by a firewall"),
        (b"<h1>Forbidden</h1><p>CSRF verification failed.</p>", 403, "A CSRF token is asked for"),
        (b"", 406, "by a firewall"),
        (b"<title>Not here</title>", 404, "another site or another path answers"),
        (b"", 405, "a POST such as the gateway’s is not taken"),
        (b"", 502, "the proxy before it is out of order"),
    ],
)
def test_answer_of_another_site_is_reported(put: Put, body: bytes, status: int, expected: str) -> None:
    text = only(told(put(lambda visitor: visitor.answers(body, status)).url))
    assert text.startswith("A notification sent to oneself over the network was not recognised.")
    assert expected in text


def test_other_secret_key_is_reported(put: Put) -> None:
    text = only(told(put(lambda visitor: visitor.answers(b"Not Found", 404)).url))
    assert "does not know the signature" in text
    assert "clock" not in text


def at_another_hour(visitor: Visitor, hours: int) -> None:
    moment = datetime.now(timezone.utc) + timedelta(hours=hours)
    visitor.date_time_string = lambda timestamp=None: moment.strftime("%a, %d %b %Y %H:%M:%S GMT")  # type: ignore[method-assign]
    visitor.answers(b"Not Found", 404)


def test_a_signature_may_be_too_old_for_another_clock(put: Put) -> None:
    text = only(told(put(lambda visitor: at_another_hour(visitor, 2)).url))
    assert "The clock there differs by 7" in text


def without_a_date(visitor: Visitor) -> None:
    visitor.date_time_string = lambda timestamp=None: "yesterday"  # type: ignore[method-assign]
    visitor.answers(b"Not Found", 404)


def test_missing_date_header_is_ignored(put: Put) -> None:
    assert "clock" not in only(told(put(without_a_date).url))


# What the way changes.


@pytest.mark.parametrize(
    ("play", "verdict", "expected"),
    [
        (fronts.strips_body, "warn", "The body does not arrive."),
        (fronts.strips_query, "warn", "The query string does not arrive."),
        (fronts.strips_both, "fail", "The query string does not arrive."),
        (fronts.strips_context, "warn", "Fields of the body do not arrive: returnContext."),
        (fronts.cleans, "fail", "Fields arrive altered (returnContext): notifications would be refused."),
    ],
)
def test_parts_removed_by_proxies_are_reported(put: Put, site: Site, play: Any, verdict: str, expected: str) -> None:
    lines = told(put(play, site.url).url)
    assert (lines[0][0], lines[1][0]) == ("pass", verdict)
    assert expected in lines[1][1]


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "Have the proxy send X-Forwarded-Proto with each request, and write"),
        ({"X-Forwarded-Proto": "https"}, "for http. Write SECURE_PROXY_SSL_HEADER = ("),
    ],
)
def test_undetected_https_is_reported(
    put: Put, site: Site, authority: trustme.CA, headers: dict[str, str], expected: str
) -> None:
    context = served_with(authority.issue_cert("127.0.0.1"))
    lines = told(put(lambda visitor: visitor.passes_on(**headers), site.url, context).url)
    assert verdicts(lines) == ["pass", "warn", "pass"]
    assert "It was sent by https, and the app takes it for http." in lines[1][1]
    assert expected in lines[1][1]


@pytest.mark.parametrize(("forwards", "expected"), [(True, "USE_X_FORWARDED_HOST = True"), (False, "as it came.")])
def test_changed_host_header_is_reported(put: Put, site: Site, forwards: bool, expected: str) -> None:
    def play(visitor: Visitor) -> None:
        visitor.passes_on(Host="localhost:8001", **{"X-Forwarded-Host": visitor.server.netloc if forwards else ""})

    with override_settings(ALLOWED_HOSTS=["localhost", "127.0.0.1"]):
        lines = told(put(play, site.url).url)
    assert verdicts(lines) == ["pass", "warn", "pass"]
    assert "the app takes itself for localhost:8001" in lines[1][1]
    assert expected in lines[1][1]
