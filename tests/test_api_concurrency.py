"""The REST API under load: through real sockets, with the gateway on one too."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any
from uuid import uuid4

import pytest
import requests

from django_paiementpro.conf import conf
from django_paiementpro.models import IdempotencyKey, Payment
from django_paiementpro.services import bulkhead
from tests.host.models import Order
from tests.server import wire
from tests.server.gateway import Call, FakeGateway
from tests.server.site import Site, running
from tests.server.threads import DEADLINE, at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site(transactional_db: None, settings: Any) -> Iterator[Site]:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.host.payments.new_payment"
    with running(Site()) as site:
        yield site


@pytest.fixture
def gateway(site: Site, settings: Any) -> Iterator[FakeGateway]:
    with running(FakeGateway()) as gateway:
        settings.PAIEMENTPRO_GATEWAY_URL = gateway.url
        yield gateway


def opener(site: Site, order: Order, key: str = "") -> Callable[[], requests.Response]:
    # A connection that is kept would keep the site from closing where a test fails.
    headers = {"Connection": "close"} | ({"Idempotency-Key": key} if key else {})

    def post() -> requests.Response:
        url = f"{site.url}/api/payments/"
        return requests.post(url, json={"order": str(order.pk)}, headers=headers, timeout=DEADLINE)

    return post


def test_a_key_sent_twenty_times_at_once_opens_one_payment(site: Site, gateway: FakeGateway) -> None:
    def play(call: Call) -> None:
        time.sleep(0.3)
        call.opens()

    gateway.play = play

    answers = at_once(*[opener(site, Order.objects.create(), str(uuid4()))] * 20)

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len(gateway.calls) == Payment.objects.count() == IdempotencyKey.objects.count() == 1


def test_stranger_who_sends_half_a_body_is_answered_at_once(site: Site) -> None:
    head = "POST /api/payments/x/checkout/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"

    answer = wire.send(site.url, f"{head}Content-Length: 1000\r\n\r\n{{".encode())

    assert answer.status == 403
    assert b"not-authenticated" in answer.body


@pytest.mark.parametrize("keys", [0, 1, 200], ids=["without keys", "with one key", "with a key each"])
def test_a_gateway_that_hangs_holds_up_no_more_than_its_bound(
    site: Site, gateway: FakeGateway, settings: Any, monkeypatch: pytest.MonkeyPatch, keys: int
) -> None:
    settings.PAIEMENTPRO_TIMEOUT = (1, 10)
    monkeypatch.setattr(bulkhead, "SILENT_AFTER", DEADLINE)  # else fewer would wait on a slow machine
    gateway.play = lambda call: gateway.closing.wait(DEADLINE)
    order = Order.objects.create()
    beside: list[float] = []
    durations: list[float] = []

    def post(key: str) -> Callable[[], str]:
        def post() -> str:
            started_at = time.monotonic()
            response = opener(site, order, key)()
            durations.append(time.monotonic() - started_at)
            return str(response.json()["type"])

        return post

    def ask() -> str:
        time.sleep(4)  # while the gateway hangs, and all clients have come
        for _turn in range(5):
            started_at = time.monotonic()
            answer = requests.get(f"{site.url}/api/payments/", headers={"Connection": "close"}, timeout=DEADLINE)
            assert answer.status_code == 403
            beside.append(time.monotonic() - started_at)
        return "asked"

    told = Counter(at_once(*[post(f"{turn % keys:032}" if keys else "") for turn in range(200)], ask))

    bound = conf.api_gateway_calls
    assert told["urn:paiementpro:problem:gateway-unavailable"] == bound
    assert told["urn:paiementpro:problem:busy"] == 200 - bound
    # While the gateway hangs.
    assert median(beside) < 1
    assert max(beside) < 4
    assert max(durations) < DEADLINE
    assert Payment.objects.count() == len(gateway.calls) == (1 if keys == 1 else bound)
