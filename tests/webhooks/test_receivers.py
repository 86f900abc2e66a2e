"""From a signal to its webhooks: recorded once, sent after the response."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.delivery.after_response import collecting_work, run_after_response
from django_paiementpro.models import Payment
from django_paiementpro.signals import SIGNALS, payment_cancelled
from django_paiementpro.testing import make_payment, pay
from django_paiementpro.testing.notifications import notification_fields
from django_paiementpro.webhooks.models import Delivery, Endpoint
from django_paiementpro.webhooks.receivers import record
from tests.conftest import Statements, expire_leases, settled_event
from tests.host.models import Order
from tests.server import wire
from tests.server.fronts import Visitor
from tests.server.site import Site, running
from tests.server.threads import wait_until
from tests.webhooks.conftest import Receive

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("connected", "private")]


def make_endpoint(url: str = "http://127.0.0.1:9/", **values: Any) -> Endpoint:
    return Endpoint.objects.create(url=url, **values)


def bought() -> Payment:
    return make_payment(status="pending", attempt=1, content_object=Order.objects.create())


def test_payment_is_reported_to_each_endpoint(receive: Receive) -> None:
    receivers = [receive(), receive()]
    endpoints = [make_endpoint(receiver.url) for receiver in receivers]
    payment = bought()

    pay(payment)

    for receiver, endpoint in zip(receivers, endpoints, strict=True):
        [body] = receiver.verified(endpoint)
        assert (body["type"], body["data"]["reference"]) == ("payment.succeeded", payment.reference)
        assert body == json.loads(endpoint.deliveries.get().body)
    assert {*Delivery.objects.values_list("status", flat=True)} == {"delivered"}
    assert settled_event(payment).deliver_at is None


def test_receivers_are_named_for_the_outbox() -> None:
    assert [signal.receiver_names(Payment) for signal in SIGNALS.values()] == [
        [f"paiementpro_webhooks.{name}"] for name in SIGNALS
    ]


def test_endpoint_gets_what_it_takes(receive: Receive) -> None:
    receiver = receive()
    make_endpoint(receiver.url, events=["payment_cancelled", "payment_refunded"])
    make_endpoint(receiver.url, is_active=False)

    pay(bought())
    services.cancel_payment(bought(), "")

    assert receiver.types == ["payment.cancelled"]
    assert Delivery.objects.count() == 1


def test_without_endpoints_a_signal_costs_one_query(statements: Statements) -> None:
    payment = bought()
    pay(payment)
    event = settled_event(payment)
    with statements:
        record("payment_succeeded", payment, event)
    assert len(statements) == 1
    assert not Delivery.objects.exists()


def test_webhook_is_recorded_by_one_statement(statements: Statements, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_paiementpro.webhooks.receivers.run_after_response", lambda work: None)
    payment = bought()
    pay(payment)
    make_endpoint()
    make_endpoint()
    with statements:
        record("payment_succeeded", payment, settled_event(payment))
    assert [sql for sql in statements if "paiementpro_webhooks_delivery" in sql and sql.startswith("INSERT")]
    assert sum("paiementpro_webhooks" in sql for sql in statements) == 2


def test_signal_that_is_delivered_twice_is_sent_once(receive: Receive) -> None:
    receiver = receive()
    make_endpoint(receiver.url)
    payment = bought()
    pay(payment)

    event = settled_event(payment)
    record("payment_succeeded", payment, event)
    event.delivered, event.deliver_at = [], timezone.now()
    event.save(update_fields=["delivered", "deliver_at"])
    expire_leases()
    services.reconcile()

    assert receiver.types == ["payment.succeeded"]
    assert Delivery.objects.count() == 1


def test_event_with_two_signals_makes_two_webhooks(receive: Receive) -> None:
    receiver = receive()
    make_endpoint(receiver.url)
    payment = make_payment(status="cancelled", attempt=1)

    pay(payment)  # late: a success, and a finding

    assert sorted(receiver.types) == ["payment.flagged", "payment.succeeded"]
    assert len({visitor.headers["webhook-id"] for visitor in receiver.visitors}) == 2


def test_gateway_is_answered_before_the_webhook_is_sent(receive: Receive, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    answered: list[bool] = []
    receiver = receive(lambda visitor: (wait_until(lambda: bool(answered)), visitor.answers()))
    make_endpoint(receiver.url)
    payment = bought()

    with running(Site()) as site:
        answer = wire.notify(site.url + payment.get_notification_url(), notification_fields(payment))
        answered.append(True)
        wait_until(lambda: Delivery.objects.filter(status="delivered").exists())

    assert (answer.status, answer.body) == (200, b"OK")


def test_dead_endpoint_changes_nothing_for_the_gateway(client: Client) -> None:
    make_endpoint()
    payment = bought()
    pay(payment)
    payment.refresh_from_db()
    assert payment.status == "succeeded"
    assert settled_event(payment).deliver_at is None
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.failures) == ("pending", 1)


def test_other_receivers_do_not_wait_for_webhooks(receive: Receive) -> None:
    seen: list[str] = []

    def fulfil(payment: Payment, **kwargs: Any) -> None:
        seen.append(Delivery.objects.get().status)

    payment_cancelled.connect(fulfil, dispatch_uid="fulfil")
    make_endpoint(receive().url)
    try:
        services.cancel_payment(bought(), "")  # outside of requests
    finally:
        payment_cancelled.disconnect(dispatch_uid="fulfil")

    assert seen == ["pending"]
    assert Delivery.objects.get().status == "delivered"


def test_reconciliation_leaves_sending_to_its_end(receive: Receive) -> None:
    counts: list[int] = []

    def count(visitor: Visitor) -> None:
        counts.append(Delivery.objects.count())
        connections.close_all()  # that of the receiver's thread
        visitor.answers()

    receiver = receive(count)
    make_endpoint(receiver.url)
    for _ in range(3):
        payment = make_payment(status="pending", attempt=1)
        Payment.objects.filter(pk=payment.pk).update(
            created_at=timezone.now() - timedelta(days=2), initialized_at=timezone.now() - timedelta(days=2)
        )

    totals = services.reconcile()

    assert (totals.expired, totals.extensions["webhooks_delivered"]) == (3, 3)
    assert totals.extensions["webhooks_failed"] == 0
    assert receiver.types == ["payment.expired"] * 3
    assert counts == [3, 3, 3]


# Deferred work outside of requests.


def test_collected_work_is_done_once_at_the_end() -> None:
    done: list[str] = []

    def work() -> None:
        done.append("work")

    with collecting_work():
        run_after_response(work)
        with collecting_work():
            run_after_response(work)
        assert done == []
    assert done == ["work"]
    run_after_response(work)
    assert done == ["work"] * 2


def test_collected_work_can_be_left() -> None:
    done: list[str] = []
    with collecting_work(is_done=False):
        run_after_response(lambda: done.append("work"))
    assert done == []
    run_after_response(lambda: done.append("later"))
    assert done == ["later"]


def test_collected_work_is_done_even_if_the_block_fails() -> None:
    done: list[str] = []

    def fail() -> None:
        with collecting_work():
            run_after_response(lambda: done.append("work"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert done == ["work"]


def test_failing_work_is_logged_and_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    with collecting_work():
        run_after_response(fail)
        run_after_response(lambda: done.append("work"))
    assert done == ["work"]
    assert [record.getMessage().split()[0] for record in caplog.records] == ["deferred_work_failed"]
