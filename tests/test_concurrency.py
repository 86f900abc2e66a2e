"""
Real threads through real sockets, each with a database connection of its own.

What must hold whoever comes first is tried both ways: at once, and with one held at the statement where it hurts.
"""

import io
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core.management import call_command
from django.core.signals import request_started
from django.utils import timezone

from django_paiementpro import outbox
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.signals import payment_succeeded
from tests.conftest import fields_of, make_payment
from tests.host.models import Order
from tests.server import moments, receivers, wire
from tests.server.gateway import Call, FakeGateway, knows_paid
from tests.server.site import Site, running
from tests.server.threads import Count, Gate, at_once, meanwhile, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

logger = logging.getLogger(__name__)

HOUR = timedelta(hours=1)
OK = (200, None, b"OK")
Heard = list[tuple[str, Payment]]


@pytest.fixture
def site(transactional_db: None, settings: Any) -> Iterator[Site]:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    with running(Site()) as site:
        yield site


@pytest.fixture
def gateway(site: Site, settings: Any) -> Iterator[FakeGateway]:
    with running(FakeGateway()) as gateway:
        settings.PAIEMENTPRO_GATEWAY_URL = gateway.url
        settings.PAIEMENTPRO_STATUS_URL = f"{gateway.url}/status"
        yield gateway


@pytest.fixture
def calls(db: None) -> Iterator[Order]:
    """Count the calls of a receiver of ``payment_succeeded`` in the database, for payments of ``counted``."""
    payment_succeeded.connect(receivers.count_call)
    yield Order.objects.create()
    payment_succeeded.disconnect(receivers.count_call)


def counted(calls: Order, **values: Any) -> Payment:
    return make_payment(return_context={"calls": calls.pk}, **{"status": "pending", "attempt": 1, **values})


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Tell the log how long it takes: ``pytest --log-cli-level=INFO``."""
    started_at = time.monotonic()
    yield
    logger.info("%s: %.2f s", what, time.monotonic() - started_at)


def checkout(site: Site, payment: Payment) -> Callable[[], wire.Answer]:
    return partial(wire.get, site.url + payment.get_absolute_url())


def notification(site: Site, payment: Payment, **fields: Any) -> Callable[[], wire.Answer]:
    return partial(wire.notify, site.url + payment.get_notification_url(), fields_of(payment, **fields))


def outcomes(payment: Payment, kind: str = "notification") -> list[str]:
    return [event.outcome for event in payment.events.filter(kind=kind)]


def stands(payment: Payment, status: str) -> None:
    """Assert where a payment stands, with nothing left behind."""
    payment.refresh_from_db()
    assert (payment.status, payment.claimed_until) == (status, None)
    assert not payment.events.exclude(deliver_at=None).exists()


# Checkout.


@contextmanager
def slow(gateway: FakeGateway, answer: Callable[[Call], object], visitors: int) -> Iterator[None]:
    """Let the gateway answer half a second after all visitors have knocked at the site."""
    knocks = Count()

    def play(call: Call) -> None:
        wait_until(lambda: int(knocks) == visitors)
        time.sleep(0.5)
        answer(call)

    gateway.play = play
    request_started.connect(knocks)
    try:
        yield
    finally:
        request_started.disconnect(knocks)


def test_twenty_checkouts_at_once_ask_for_one_page(site: Site, gateway: FakeGateway) -> None:
    payment = make_payment()

    with slow(gateway, Call.opens, visitors=20), timed("20 checkouts at once"):
        answers = at_once(*[checkout(site, payment)] * 20)

    assert Counter(answer[:2] for answer in answers) == {(302, gateway.page_of(payment.reference)): 20}
    assert gateway.references == [payment.reference]
    stands(payment, "pending")
    assert payment.attempt == 1
    assert outcomes(payment, "initialize") == ["accepted"]


def test_twenty_checkouts_at_once_share_a_refusal(site: Site, gateway: FakeGateway) -> None:
    payment = make_payment()

    with slow(gateway, lambda call: call.says(b'{"success": false}'), visitors=20):
        answers = at_once(*[checkout(site, payment)] * 20)

    assert Counter(answer.status for answer in answers) == {502: 20}
    assert len(gateway.calls) <= 2
    stands(payment, "created")


def test_twenty_checkouts_at_once_share_an_outage(site: Site, gateway: FakeGateway) -> None:
    payment = make_payment()

    with slow(gateway, lambda call: call.says(b"", status=500), visitors=20):
        answers = at_once(*[checkout(site, payment)] * 20)

    assert Counter(answer.status for answer in answers) == {503: 20}
    assert len(gateway.calls) <= 2
    stands(payment, "created")


def test_twenty_payers_at_once_wait_for_nobody_else(site: Site, gateway: FakeGateway) -> None:
    payments = [make_payment() for _ in range(20)]

    with slow(gateway, Call.opens, visitors=20), timed("20 checkouts of 20 payments at once"):
        answers = at_once(*[checkout(site, payment) for payment in payments])

    assert [answer.location for answer in answers] == [gateway.page_of(payment.reference) for payment in payments]


def test_a_second_click_during_the_call_waits_for_its_page(site: Site, gateway: FakeGateway) -> None:
    payment = make_payment()
    call_is_held, reads = Gate(), Count()
    gateway.play = lambda call: (call_is_held(), call.opens())

    with meanwhile(checkout(site, payment)) as first:
        call_is_held.await_arrival()
        with moments.at("SELECT", payment.reference, after=reads), meanwhile(checkout(site, payment)) as second:
            wait_until(lambda: int(reads) > 0 or len(gateway.calls) > 1)
            wait_until(second.running)
            time.sleep(0.3)
            call_is_held.open()

    page = gateway.page_of(payment.reference)
    assert [first.result().location, second.result().location] == [page, page]
    assert gateway.references == [payment.reference]


def test_who_read_the_payment_before_another_claimed_it_asks_for_no_page(site: Site, gateway: FakeGateway) -> None:
    payment = make_payment()
    claim = Gate()

    with moments.at("UPDATE", "claimed_until", before=claim), meanwhile(checkout(site, payment)) as late:
        claim.await_arrival()
        claim.before = None
    assert late


def test_an_answer_that_outlives_its_claim_replaces_no_page(site: Site, gateway: FakeGateway) -> None:
    payment = make_payment()
    answer = Gate()
    gateway.play = lambda call: (answer(), call.opens())

    with meanwhile(checkout(site, payment)) as late:
        answer.await_arrival()
        Payment.objects.update(claimed_until=timezone.now() - HOUR)
        gateway.play = Call.opens
        second = checkout(site, payment)()
        answer.open()

    page = gateway.page_of(f"{payment.reference}-2")
    assert [second.location, late.result().location] == [page, page]
    stands(payment, "pending")
    assert (payment.attempt, payment.payment_url) == (2, page)
