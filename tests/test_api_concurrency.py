"""The REST API under load: through real sockets, with the gateway on one too."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
from tests.server.threads import DEADLINE, at_once, wait_until

pytestmark = [pytest.mark.usefixtures("alone"), pytest.mark.django_db(transaction=True)]


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


def test_key_sent_twenty_times_at_once_creates_one_payment(site: Site, gateway: FakeGateway) -> None:
    def play(call: Call) -> None:
        time.sleep(0.3)
        call.opens()

    gateway.play = play

    answers = at_once(*[opener(site, Order.objects.create(), str(uuid4()))] * 20)

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len(gateway.calls) == Payment.objects.count() == IdempotencyKey.objects.count() == 1


def test_anonymous_half_body_is_answered_immediately(site: Site) -> None:
    head = "POST /api/payments/x/checkout/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"

    answer = wire.send(site.url, f"{head}Content-Length: 1000\r\n\r\n{{".encode())

    assert answer.status == 403
    assert b"not-authenticated" in answer.body


CLIENTS = 100


@pytest.mark.parametrize("keys", [0, 1, CLIENTS], ids=["without keys", "with one key", "with a key each"])
def test_hanging_gateway_blocks_no_more_requests_than_allowed(
    site: Site, gateway: FakeGateway, settings: Any, monkeypatch: pytest.MonkeyPatch, keys: int
) -> None:
    settings.PAIEMENTPRO_TIMEOUT = (DEADLINE, DEADLINE)
    monkeypatch.setattr(bulkhead, "SILENT_AFTER", 2 * DEADLINE)  # else fewer would wait on a slow machine
    bound = conf.api_gateway_calls
    order = Order.objects.create()
    answers = Counter[str]()
    hang_is_over = threading.Event()
    gateway.play = lambda call: hang_is_over.wait(DEADLINE)

    def post(key: str) -> Callable[[], None]:
        def post() -> None:
            response = opener(site, order, key)()
            answers[response.json()["type"].rpartition(":")[2]] += 1

        return post

    def ask_for_a_list() -> None:
        wait_until(lambda: answers.total() == CLIENTS - bound)
        answer = requests.get(f"{site.url}/api/payments/", headers={"Connection": "close"}, timeout=DEADLINE)
        assert (answer.status_code, answers) == (403, {"busy": CLIENTS - bound})
        hang_is_over.set()

    at_once(*[post(f"{turn % keys:032}" if keys else "") for turn in range(CLIENTS)], ask_for_a_list)

    assert answers == {"busy": CLIENTS - bound, "gateway-unavailable": bound}
    assert Payment.objects.count() == len(gateway.calls) == (1 if keys == 1 else bound)
