"""The REST API under load: through real sockets, with the gateway on one too."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any
from uuid import uuid4

import pytest
import requests
from django.http import HttpRequest

from django_paiementpro import services
from django_paiementpro.api import calls
from django_paiementpro.models import IdempotencyKey, Payment
from tests.host.models import Order
from tests.host.payments import new_payment
from tests.server.gateway import Call, FakeGateway
from tests.server.site import Site, running
from tests.server.threads import DEADLINE, at_once, meanwhile

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


def test_a_key_sent_twenty_times_at_once_opens_one_payment(site: Site, gateway: FakeGateway, settings: Any) -> None:
    settings.PAIEMENTPRO_API_GATEWAY_CALLS = 10

    def play(call: Call) -> None:
        time.sleep(0.3)
        call.opens()

    gateway.play = play

    answers = at_once(*[opener(site, Order.objects.create(), str(uuid4()))] * 20)

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len(gateway.calls) == Payment.objects.count() == IdempotencyKey.objects.count() == 1


def test_a_request_without_a_place_waits_for_the_twin_that_has_one(
    site: Site, gateway: FakeGateway, settings: Any
) -> None:
    settings.PAIEMENTPRO_API_GATEWAY_CALLS = 1
    order, key = Order.objects.create(), str(uuid4())
    claim = services.Claim.of("anonymous", key, json.dumps({"order": str(order.pk)}))

    with calls.openings.place(), meanwhile(opener(site, order, key)) as answer:
        time.sleep(0.4)
        payment = new_payment(HttpRequest(), {"order": order.pk})
        services.store_payment(payment, claim)

    assert answer.result().status_code == 201
    assert answer.result().json()["reference"] == Payment.objects.get().reference


def test_a_gateway_that_hangs_holds_up_no_more_than_its_bound(site: Site, gateway: FakeGateway, settings: Any) -> None:
    settings.PAIEMENTPRO_TIMEOUT = (1, 5)
    gateway.play = lambda call: gateway.closing.wait(DEADLINE)
    order = Order.objects.create()
    beside: list[float] = []

    def post() -> str:
        response = opener(site, order)()
        return str(response.json()["type"])

    def ask() -> str:
        time.sleep(0.7)
        for _turn in range(5):
            started_at = time.monotonic()
            assert (
                requests.get(f"{site.url}/api/payments/", headers={"Connection": "close"}, timeout=DEADLINE).status_code
                == 403
            )
            beside.append(time.monotonic() - started_at)
        return "asked"

    told = Counter(at_once(*[post] * 200, ask))

    assert told == {
        "urn:paiementpro:problem:busy": 184,
        "urn:paiementpro:problem:gateway-unavailable": 16,
        "asked": 1,
    }
    # While the gateway hangs for five seconds.
    assert median(beside) < 1
    assert max(beside) < 4
    assert Payment.objects.count() == len(gateway.calls) == 16
