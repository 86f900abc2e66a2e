"""What has been seen on the wire, byte for byte, through real sockets: the files of ``tests/samples``."""

import gzip
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import trustme

from django_paiementpro.gateway.parsing import MAX_BODY
from django_paiementpro.models import Payment
from django_paiementpro.signing import NOTIFICATION, sign, unsign
from django_paiementpro.testing import make_payment
from django_paiementpro.testing.notifications import notification_fields
from tests.gateway.test_messages import multipart
from tests.server import wire
from tests.server.gateway import UNKNOWN, Call, FakeGateway
from tests.server.site import ChunkedSite, Site, running
from tests.server.threads import DEADLINE

pytestmark = pytest.mark.django_db(transaction=True)

SAMPLES = Path(__file__).parent / "samples"
FORM = "application/x-www-form-urlencoded"
SESSION = "1a0ab9252785d65fcd396eaa47797e03"

# Connect and read; what a checkout may take beyond them on a busy machine, when what hangs does so for ``DEADLINE``.
TIMEOUT = (0.5, 1)
MARGIN = DEADLINE / 4


@pytest.fixture
def site(transactional_db: None, settings: Any) -> Iterator[Site]:
    settings.ALLOWED_HOSTS = ["127.0.0.1", "votre-site.com"]
    with running(Site()) as site:
        settings.PAIEMENTPRO_SITE_URL = site.url
        yield site


@pytest.fixture
def gateway(site: Site, settings: Any) -> Iterator[FakeGateway]:
    with running(FakeGateway()) as gateway:
        settings.PAIEMENTPRO_GATEWAY_URL = gateway.url
        yield gateway


def sample(name: str) -> str:
    return (SAMPLES / name).read_text(encoding="utf-8").strip()


def opened(reference: str, amount: int) -> Payment:
    return make_payment(reference=reference, amount=amount, status="pending", attempt=1)


def notification_url(site: Site, payment: Payment) -> str:
    return site.url + payment.get_notification_url()


def assert_settled(payment: Payment, **values: Any) -> None:
    payment.refresh_from_db()
    expected = {"status": "succeeded", "settled_by": "notification", "response_code": "0", "needs_review": False}
    assert {name: getattr(payment, name) for name in [*expected, *values]} == expected | values
    assert [event.outcome for event in payment.events.all()] == ["accepted"]


# Notifications.


def production_2026(payment: Payment) -> bytes:
    """Return the sample with what it leaves out: the signature, the other parts, CRLF and the length."""
    head, _, body = sample("notification_production_2026.http").partition("\n\n")
    shown, _, end = body.partition("(the other fields of the query string likewise)\n")
    others = "".join(
        f'{end.removesuffix("--")}\nContent-Disposition: form-data; name="{name}"\n\n{value}\n'
        for name, value in parse_qsl(urlsplit(head.split()[1]).query, keep_blank_values=True)
        if f'name="{name}"' not in shown
    )
    content = f"{shown}{others}{end}\n".replace("\n", "\r\n").encode()
    head = head.replace("<signed>", sign(payment.url_key, NOTIFICATION))
    return f"{head}\nContent-Length: {len(content)}\n\n".replace("\n", "\r\n").encode() + content


def test_production_notification_of_2026_settles(site: Site) -> None:
    payment = opened("b7c1f0a29d3e4f5a6b7c8d9e", 100)
    request = production_2026(payment)
    assert b"MSIE 6.0" in request
    assert request.count(b"Content-Disposition: form-data;") == 10

    assert wire.send(site.url, request) == (200, None, b"OK")

    assert_settled(
        payment,
        gateway_id="9210824147867",
        gateway_channel="MOMOCM",
        transaction_date=datetime(2026, 9, 25, 15, 44, 25, tzinfo=timezone.utc),
    )
    assert payment.events.get().data == {
        "merchantId": "PP-F324",
        "sessionId": SESSION,
        "payId": "9210824147867",
        "channel": "MOMOCM",
        "countryCurrencyCode": "952",
        "referenceNumber": "b7c1f0a29d3e4f5a6b7c8d9e",
        "amount": "100",
        "transactiondt": "2026-09-25 15:44:25",
        "returnContext": "",
        "responsecode": "0",
    }


def test_repeated_production_notification_settles_once(site: Site) -> None:
    payment = opened("b7c1f0a29d3e4f5a6b7c8d9e", 100)
    answers = [wire.send(site.url, production_2026(payment)) for _ in range(2)]
    assert answers == [(200, None, b"OK")] * 2
    assert [event.outcome for event in payment.events.all()] == ["accepted", "duplicate"]


def as_form(site: Site, payment: Payment, fields: str) -> wire.Answer:
    return wire.post(notification_url(site, payment), fields.encode(), FORM)


def as_form_without_a_content_type(site: Site, payment: Payment, fields: str) -> wire.Answer:
    return wire.post(notification_url(site, payment), fields.encode())


def as_query(site: Site, payment: Payment, fields: str) -> wire.Answer:
    return wire.post(notification_url(site, payment), b"", query=fields)


def as_both(site: Site, payment: Payment, fields: str) -> wire.Answer:
    return wire.post(notification_url(site, payment), fields.encode(), FORM, query=fields)


@pytest.mark.parametrize("send", [as_form, as_form_without_a_content_type, as_query, as_both])
def test_production_notification_of_2021_settles(site: Site, send: Callable[[Site, Payment, str], wire.Answer]) -> None:
    payment = opened("878AABCDEFZ1629812300", 157)

    assert send(site, payment, sample("notification_production_2021.txt")) == (200, None, b"OK")

    assert_settled(
        payment,
        gateway_id="9210824147867",
        gateway_channel="FLOOZ",
        transaction_date=datetime(2021, 8, 24, 15, 44, 25, tzinfo=timezone.utc),
    )
    data = payment.events.get().data
    assert data["returnContext"] == "test=2&ok=1&oui=2"
    assert data["hashcode"] == ""
    assert len(data["hash"]) == 64


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "text/plain", FORM, ""]
)
@pytest.mark.parametrize("mark", ["", "\N{BYTE ORDER MARK}"])
def test_sandbox_notification_of_2026_settles(site: Site, content_type: str, mark: str) -> None:
    payment = make_payment(amount=5000, status="pending", attempt=1)
    template = '"referenceNumber": "…"'
    text = sample("notification_sandbox_2026.json")
    assert template in text
    assert '"amount": 5000,' in text
    assert '"responsecode": 0}' in text
    body = mark + text.replace(template, f'"referenceNumber": "{payment.reference}"')

    assert wire.post(notification_url(site, payment), body.encode(), content_type) == (200, None, b"OK")

    assert_settled(payment, gateway_id="PAY-…", gateway_channel="CARD")
    assert payment.events.get().data["returnContext"] == '{"order_id": "42"}'


def test_fields_behind_a_second_question_mark_settle(site: Site) -> None:
    payment = opened("878AABCDEFZ1629812300", 157)
    query = f"shop=1?{sample('notification_production_2021.txt')}"
    assert as_query(site, payment, query).status == 200
    assert_settled(payment)


@pytest.mark.parametrize(
    "body", [b"x" * 70_000, b"amount=157&" + b"x=1&" * 20_000, b'{"amount": 157', b"\x00\xff", b"a=1&" * 600]
)
def test_unreadable_notification_does_not_block_the_next(site: Site, body: bytes) -> None:
    payment = opened("878AABCDEFZ1629812300", 157)
    answer = wire.post(notification_url(site, payment), body, FORM)
    assert answer == (400, None, b"Bad Request: malformed")
    payment.refresh_from_db()
    assert payment.status == "pending"
    assert as_form(site, payment, sample("notification_production_2021.txt")).status == 200


def test_truncated_body_is_refused(site: Site) -> None:
    payment = opened("878AABCDEFZ1629812300", 157)
    head = f"POST {payment.get_notification_url()} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 358\r\n\r\n"
    with socket.create_connection(site.server_address) as connection:
        connection.sendall(f"{head}{sample('notification_production_2021.txt')[:200]}".encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")
    assert [event.outcome for event in payment.events.all()] == ["refused"]


def test_forged_notification_stores_nothing(site: Site) -> None:
    payment = opened("878AABCDEFZ1629812300", 157)
    url = site.url + payment.get_notification_url().replace(sign(payment.url_key, NOTIFICATION), "x.y")
    assert wire.post(url, sample("notification_production_2021.txt").encode(), FORM).status == 404
    assert not payment.events.exists()


# A body in chunks, without a length.


@pytest.fixture
def chunked_site(transactional_db: None, settings: Any) -> Iterator[ChunkedSite]:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    with running(ChunkedSite()) as site:
        yield site


def form_body(fields: dict[str, Any]) -> tuple[str, bytes]:
    return FORM, urlencode(fields).encode()


def json_body(fields: dict[str, Any]) -> tuple[str, bytes]:
    return "application/json", json.dumps(fields).encode()


@pytest.mark.parametrize("encode", [form_body, json_body, multipart])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_chunked_body_settles(
    chunked_site: ChunkedSite, encode: Callable[[dict[str, Any]], tuple[str, bytes]], size: int
) -> None:
    payment = opened("878AABCDEFZ1629812300", 157)
    content_type, body = encode(notification_fields(payment))
    url = notification_url(chunked_site, payment)

    answer = wire.post_chunks(url, wire.chunked(body, size), content_type)

    assert answer == (200, None, b"OK")
    assert_settled(payment)


@pytest.mark.parametrize("size", [1_000, 3_000_000])
def test_chunked_body_over_the_limit_is_refused_without_reading_the_rest(chunked_site: ChunkedSite, size: int) -> None:
    payment = opened("878AABCDEFZ1629812300", 157)
    body = urlencode(notification_fields(payment)).encode() + b"&x=" + b"x" * 3_000_000

    answer = wire.post_chunks(notification_url(chunked_site, payment), wire.chunked(body, size), FORM)

    assert answer.status == 400
    assert payment.events.get().message == f"a body of more than {MAX_BODY} bytes"
    assert chunked_site.counts == [MAX_BODY + 1]


def test_truncated_chunked_body_is_refused(chunked_site: ChunkedSite) -> None:
    payment = opened("878AABCDEFZ1629812300", 157)
    body = wire.chunked(urlencode(notification_fields(payment)).encode())

    answer = wire.post_chunks(notification_url(chunked_site, payment), body[:36] + b"nonsense\r\n", FORM)

    assert answer == (400, None, b"Bad Request: malformed")
    assert payment.events.get().message == "a body that cannot be read"


def test_server_that_does_not_end_a_chunked_body_answers_at_once(site: Site) -> None:
    payment = opened("878AABCDEFZ1629812300", 157)
    body = wire.chunked(urlencode(notification_fields(payment)).encode())
    started_at = time.monotonic()

    assert wire.post_chunks(notification_url(site, payment), body, FORM).status == 400

    assert time.monotonic() - started_at < MARGIN
    assert payment.events.get().message == "no merchantId"


# The status look-up.


@pytest.fixture
def looked_up(gateway: FakeGateway, settings: Any) -> Payment:
    """A payment that waits, and whose look-up is on."""
    settings.PAIEMENTPRO_STATUS_URL = f"{gateway.url}/status"
    return opened("b7c1f0a29d3e4f5a6b7c8d9e", 1000)


def test_lookup_success_settles(site: Site, gateway: FakeGateway, looked_up: Payment) -> None:
    gateway.play_status = lambda call, reference: call.says(sample("status_success.json").encode())

    assert b"Payment received" in wire.get(site.url + looked_up.get_return_url()).body

    assert gateway.asked == ["b7c1f0a29d3e4f5a6b7c8d9e"]
    assert_settled(
        looked_up,
        settled_by="status",
        gateway_id="CI2023013113165473",
        gateway_channel="OMCIV2",
        transaction_date=datetime(2023, 1, 31, 13, 20, 51, tzinfo=timezone.utc),
    )


def test_unknown_lookup_proves_nothing(site: Site, gateway: FakeGateway, looked_up: Payment) -> None:
    assert sample("status_unknown.json").encode() == UNKNOWN

    assert wire.get(site.url + looked_up.get_return_url()).status == 200

    assert gateway.asked == ["b7c1f0a29d3e4f5a6b7c8d9e"]
    looked_up.refresh_from_db()
    assert looked_up.status == "pending"


# Initialisation.


def seed_payment(**values: Any) -> Payment:
    """Return a payment with the values of the seed, but for its reference, which could be another's second attempt."""
    return make_payment(
        reference="REF772105",
        amount=1000,
        description="Abonnement Premium",
        channel="CARD",
        customer_email="test@example.com",
        customer_first_name="Ishola",
        customer_last_name="Lamine",
        customer_phone="01234567",
        return_context={"order_id": "123", "user": "88"},
        **values,
    )


def check_out(site: Site, payment: Payment) -> wire.Answer:
    answer = wire.get(site.url + payment.get_checkout_url())
    payment.refresh_from_db()
    return answer


def test_page_request_matches_the_sample(site: Site, gateway: FakeGateway) -> None:
    payment = seed_payment()
    expected = json.loads(sample("init_request.json")) | {"referenceNumber": "REF772105"}
    gateway.play = lambda call: call.says(sample("init_success.json").encode())

    answer = check_out(site, payment)

    assert answer[:2] == (302, "https://sandbox.paiementpro.net/sandbox.php?sessionid=1234567890")
    assert (payment.status, payment.attempt, payment.payment_url) == ("pending", 1, answer.location)
    [call] = gateway.calls
    assert call.headers["Content-Type"] == "application/json"
    sent = call.fields
    assert list(sent) == list(expected)
    assert json.loads(sent.pop("returnContext")) == json.loads(expected.pop("returnContext"))
    urls = {name: sent.pop(name) for name in ("notificationURL", "returnURL")}
    assert {name: value for name, value in expected.items() if name not in urls} == sent
    assert urls == {
        "notificationURL": site.url + payment.get_notification_url(),
        "returnURL": site.url + payment.get_return_url(),
    }


def test_url_given_to_the_gateway_settles_the_payment(site: Site, gateway: FakeGateway) -> None:
    payment = seed_payment()
    check_out(site, payment)
    [call] = gateway.calls
    fields = {
        "merchantId": call.fields["merchantId"],
        "payId": "PAY-1",
        "referenceNumber": call.fields["referenceNumber"],
        "amount": call.fields["amount"],
        "returnContext": call.fields["returnContext"],
        "responsecode": 0,
    }
    url = call.fields["notificationURL"]
    assert unsign(urlsplit(url).path.split("/")[-2], NOTIFICATION) == payment.url_key
    assert wire.notify(url, fields).status == 200
    payment.refresh_from_db()
    assert (payment.status, payment.gateway_id) == ("succeeded", "PAY-1")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("init_refused.json", "Echec de l'initialisation : Référence déjà utilisée"),
        ("init_refused_error_key.json", "Veuillez renseigner les champs obligatoire"),
    ],
)
def test_sample_refusal_is_recorded_and_not_shown(site: Site, gateway: FakeGateway, name: str, message: str) -> None:
    payment = seed_payment()
    gateway.play = lambda call: call.says(sample(name).encode())

    answer = check_out(site, payment)

    assert answer.status == 502
    assert message not in answer.body.decode()
    assert (payment.status, payment.attempt, payment.leased_until) == ("created", 1, None)
    event = payment.events.get()
    assert (event.kind, event.outcome, event.message) == ("initialize", "refused", message)


def test_after_a_refusal_another_reference_is_sent(site: Site, gateway: FakeGateway) -> None:
    payment = seed_payment()
    gateway.play = lambda call: call.says(sample("init_refused.json").encode())
    check_out(site, payment)
    gateway.play = Call.opens
    assert check_out(site, payment).location == gateway.page_of("REF772105-2")
    assert gateway.references == ["REF772105", "REF772105-2"]


def test_answer_is_read_whatever_its_content_type(site: Site, gateway: FakeGateway) -> None:
    body = "\N{BYTE ORDER MARK}" + sample("init_success.json")
    gateway.play = lambda call: call.says(body.encode(), **{"Content-Type": "text/html; charset=iso-8859-1"})
    assert check_out(site, seed_payment()).status == 302


def in_chunks(call: Call, body: bytes) -> None:
    call.send_response(200)
    call.send_header("Transfer-Encoding", "chunked")
    call.end_headers()
    call.wfile.write(b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:]))


def compressed(call: Call, body: bytes) -> None:
    call.says(gzip.compress(body), **{"Content-Encoding": "gzip"})


def unencoded(call: Call, body: bytes) -> None:
    call.says(body, **{"Content-Encoding": "Identity"})


@pytest.mark.parametrize("says", [in_chunks, unencoded])
def test_answer_is_read_whatever_its_transfer_encoding(
    site: Site, gateway: FakeGateway, says: Callable[[Call, bytes], None]
) -> None:
    gateway.play = lambda call: says(call, sample("init_success.json").encode())
    assert check_out(site, seed_payment()).status == 302


def empty_error(call: Call) -> None:
    call.says(b"", status=500)


def page_in_html(call: Call) -> None:
    call.says(b"<!DOCTYPE html><title>Maintenance</title>")


def seventy_kilobytes(call: Call) -> None:
    call.says(sample("init_success.json").encode().ljust(70_000))


def endless_answer(call: Call) -> None:
    call.send_response(200)
    call.end_headers()
    with suppress(OSError):
        while True:
            call.wfile.write(b" " * 4096)


def deep_array(call: Call) -> None:
    call.says(b"[" * 60_000)


def deep_object(call: Call) -> None:
    call.says(b'{"a":' * 12_000)


def nothing_at_all(call: Call) -> None:
    """Close the connection without a response."""


def half_an_answer(call: Call) -> None:
    call.says(sample("init_success.json").encode(), **{"Content-Length": "4000"})


def compressed_answer(call: Call) -> None:
    compressed(call, sample("init_success.json").encode())


def compressed_bomb(call: Call) -> None:
    body = b" " * 50_000_000
    for _turn in range(3):
        body = gzip.compress(body)
    call.says(body, **{"Content-Encoding": "gzip, gzip, gzip"})


def other_compression(call: Call) -> None:
    call.says(sample("init_success.json").encode(), **{"Content-Encoding": "gzip"})


def unknown_encoding(call: Call) -> None:
    call.says(sample("init_success.json").encode(), **{"Content-Encoding": "zip"})


def success_without_a_page(call: Call) -> None:
    call.says(b'{"success": true}')


def success_as_a_text(call: Call) -> None:
    call.says(b'{"success": "true", "url": "https://www.paiementpro.net/"}')


def page_elsewhere(call: Call) -> None:
    call.says(sample("init_success.json").replace("paiementpro.net", "paiementpro.net.example").encode())


UNUSABLE = [
    empty_error,
    page_in_html,
    seventy_kilobytes,
    endless_answer,
    deep_array,
    deep_object,
    nothing_at_all,
    half_an_answer,
    compressed_answer,
    compressed_bomb,
    other_compression,
    unknown_encoding,
    success_without_a_page,
    success_as_a_text,
    page_elsewhere,
]


def assert_may_be_tried_again(site: Site, gateway: FakeGateway, payment: Payment) -> None:
    assert (payment.status, payment.attempt, payment.leased_until) == ("created", 1, None)
    assert [event.outcome for event in payment.events.all()] == ["failed"]
    gateway.play = Call.opens
    assert check_out(site, payment).location == gateway.page_of("REF772105-2")


@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize("play", UNUSABLE)
def test_unusable_answer_is_an_outage(site: Site, gateway: FakeGateway, play: Callable[[Call], None]) -> None:
    payment = seed_payment()
    gateway.play = play
    assert check_out(site, payment).status == 503
    assert gateway.references == ["REF772105"]
    assert_may_be_tried_again(site, gateway, payment)


@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(site: Site, gateway: FakeGateway, status: int) -> None:
    payment = seed_payment()
    gateway.play = lambda call: call.says(b"", status, Location=f"{gateway.url}/status/elsewhere")
    assert check_out(site, payment).status == 503
    assert (gateway.references, gateway.asked) == (["REF772105"], [])
    assert_may_be_tried_again(site, gateway, payment)


def seconds_of_checkout(site: Site, payment: Payment) -> float:
    started_at = time.monotonic()
    assert check_out(site, payment).status == 503
    return time.monotonic() - started_at


@pytest.mark.usefixtures("transport")
def test_body_of_an_encoded_answer_is_not_read(site: Site, gateway: FakeGateway, settings: Any) -> None:
    def play(call: Call) -> None:
        call.send_response(200)
        call.send_header("Content-Encoding", "gzip")
        call.send_header("Content-Length", "1000")
        call.end_headers()
        gateway.closing.wait(DEADLINE)

    settings.PAIEMENTPRO_TIMEOUT = (DEADLINE, DEADLINE)
    gateway.play = play
    assert seconds_of_checkout(site, seed_payment()) < MARGIN


@pytest.mark.usefixtures("transport")
def test_silent_gateway_times_out(site: Site, gateway: FakeGateway, settings: Any) -> None:
    settings.PAIEMENTPRO_TIMEOUT = TIMEOUT
    payment = seed_payment()
    gateway.play = lambda call: gateway.closing.wait(DEADLINE)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.PAIEMENTPRO_GATEWAY_URL = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert TIMEOUT[1] <= seconds_of_checkout(site, payment) < sum(TIMEOUT) + MARGIN
    settings.PAIEMENTPRO_GATEWAY_URL = gateway.url
    assert_may_be_tried_again(site, gateway, payment)


@pytest.mark.usefixtures("transport")
def test_unreachable_gateway_fails_within_the_timeouts(site: Site, gateway: FakeGateway, settings: Any) -> None:
    settings.PAIEMENTPRO_TIMEOUT = TIMEOUT
    payment = seed_payment()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        settings.PAIEMENTPRO_GATEWAY_URL = f"http://127.0.0.1:{closed.getsockname()[1]}"
    assert seconds_of_checkout(site, payment) < sum(TIMEOUT) + MARGIN
    settings.PAIEMENTPRO_GATEWAY_URL = gateway.url
    assert_may_be_tried_again(site, gateway, payment)


def drip(call: Call, drop: bytes = b" ") -> None:
    """Send a drop every 0.3 seconds, for as long as the gateway stands."""
    while not call.server.closing.wait(0.3):
        with suppress(OSError):
            call.wfile.write(drop)


def dripping_body(call: Call) -> None:
    call.send_response(200)
    call.send_header("Content-Length", "60000")
    call.end_headers()
    drip(call)


def dripping_body_without_a_length(call: Call) -> None:
    call.send_response(200)
    call.end_headers()
    drip(call)


def dripping_chunks(call: Call) -> None:
    call.send_response(200)
    call.send_header("Transfer-Encoding", "chunked")
    call.end_headers()
    drip(call, b"1\r\n \r\n")


@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize("play", [dripping_body, dripping_body_without_a_length, dripping_chunks])
def test_slow_gateway_times_out(site: Site, gateway: FakeGateway, settings: Any, play: Callable[[Call], None]) -> None:
    settings.PAIEMENTPRO_TIMEOUT = TIMEOUT
    payment = seed_payment()
    gateway.play = play
    assert seconds_of_checkout(site, payment) < sum(TIMEOUT) + MARGIN
    assert_may_be_tried_again(site, gateway, payment)


@pytest.mark.usefixtures("transport")
def test_certificate_that_is_not_trusted_is_an_outage(site: Site, gateway: FakeGateway, settings: Any) -> None:
    payment = seed_payment()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with running(FakeGateway()) as stranger:
        stranger.socket = context.wrap_socket(stranger.socket, server_side=True)
        settings.PAIEMENTPRO_GATEWAY_URL = stranger.url.replace("http:", "https:")
        assert check_out(site, payment).status == 503
        assert stranger.calls == []
    settings.PAIEMENTPRO_GATEWAY_URL = gateway.url
    assert_may_be_tried_again(site, gateway, payment)
