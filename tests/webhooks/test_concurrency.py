"""Several runs at once, in threads with connections of their own, on each database."""

import io
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.models import PaymentEvent
from django_paiementpro.testing import make_payment, pay
from django_paiementpro.webhooks import sending
from django_paiementpro.webhooks.models import Delivery, Endpoint
from django_paiementpro.webhooks.receivers import record
from tests.conftest import settled_event
from tests.server.fronts import Visitor
from tests.server.threads import DEADLINE, Gate, at_once, meanwhile
from tests.webhooks.conftest import Receive, Receiver
from tests.webhooks.test_receivers import bought, make_endpoint
from tests.webhooks.test_sending import make_delivery, run

pytestmark = [pytest.mark.usefixtures("alone", "private"), pytest.mark.django_db(transaction=True)]

ROOT = Path(__file__).parents[2]


def ids(receiver: Receiver) -> Counter[str]:
    return Counter(visitor.headers["webhook-id"] for visitor in receiver.visitors)


def test_runs_at_once_send_each_webhook_once(receive: Receive) -> None:
    receivers = [receive(), receive()]
    rows = [make_delivery(make_endpoint(receiver.url)) for receiver in receivers for _ in range(10)]

    totals = at_once(*[run] * 4)

    sent = ids(receivers[0]) + ids(receivers[1])
    assert sent == Counter(row.webhook_id for row in rows)
    assert sum(total["webhooks_delivered"] for total in totals) == 20
    assert not Delivery.objects.exclude(status="delivered").exists()


def test_second_run_leaves_a_webhook_that_is_on_the_way(receive: Receive) -> None:
    gate = Gate()
    receiver = receive(lambda visitor: (gate(), visitor.answers()))
    make_delivery(make_endpoint(receiver.url))

    with meanwhile(run) as first:
        gate.await_arrival()
        assert run() == {"webhooks_delivered": 0, "webhooks_failed": 0}
        gate.open()
    assert first.result()["webhooks_delivered"] == 1
    assert len(receiver.visitors) == 1


def test_signal_recorded_at_once_makes_one_webhook(receive: Receive) -> None:
    receiver = receive()
    payment = bought()
    pay(payment)
    make_endpoint(receiver.url)
    event = settled_event(payment)

    at_once(*[partial(record, "payment_succeeded", payment, event)] * 6)

    assert Delivery.objects.count() == 1
    assert len(receiver.visitors) == 1


@pytest.mark.usefixtures("connected")
def test_payments_settled_at_once_are_all_reported(receive: Receive) -> None:
    receiver = receive()
    make_endpoint(receiver.url)
    payments = [bought() for _ in range(8)]

    at_once(*[partial(pay, payment) for payment in payments])
    services.reconcile()  # what joined no run

    assert Counter(body["data"]["reference"] for body in receiver.bodies) == Counter(
        payment.reference for payment in payments
    )


def test_endpoint_is_switched_off_and_reported_once(receive: Receive, settings: Any, admins: None) -> None:
    from django.core import mail

    settings.PAIEMENTPRO_ALERT_EMAILS = ["owner@example.com"]
    endpoint = make_endpoint(receive(lambda visitor: visitor.answers(status=500)).url)
    for _ in range(8):
        make_delivery(endpoint, failures=5)

    at_once(*[run] * 4)

    assert not Endpoint.objects.get().is_active
    assert len(mail.outbox) == 1
    assert {*Delivery.objects.values_list("status", "next_at")} == {("failed", None)}


# Killed.

START = """
import json, os, signal, sys
import django
from django.conf import settings
for name, value in json.loads(sys.argv[1]).items():
    setattr(settings, name, value)
django.setup()
from django_paiementpro.models import Payment
from django_paiementpro.testing import pay
from django_paiementpro.webhooks import receivers, sending

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

{death}
pay(Payment.objects.get())
"""

#: Between the commit and the request; and when the request has arrived, which the receiver does.
DEATHS = {"before": "receivers.run_after_response = die", "during": ""}


@pytest.fixture
def start() -> Callable[[str], "subprocess.Popen[str]"]:
    database = ["ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS", "ATOMIC_REQUESTS"]
    values = {
        "DATABASES": {"default": {name: connection.settings_dict[name] for name in database}},
        "PAIEMENTPRO_WEBHOOKS_ALLOW_PRIVATE": True,
        "ALLOWED_HOSTS": ["*"],
    }
    return lambda death: subprocess.Popen(
        [sys.executable, "-c", START.replace("{death}", DEATHS[death]), json.dumps(values)], cwd=ROOT, text=True
    )


@pytest.mark.process
@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize(("death", "sent_before"), [("before", 0), ("during", 1)])
def test_webhook_of_a_killed_process_is_sent(
    start: Callable[[str], "subprocess.Popen[str]"], receive: Receive, death: str, sent_before: int
) -> None:
    processes: list[subprocess.Popen[str]] = []

    def kill(visitor: Visitor) -> None:
        os.kill(processes[0].pid, signal.SIGKILL)

    receiver = receive(kill)
    endpoint = make_endpoint(receiver.url)
    payment = make_payment(status="pending", attempt=1)

    with start(death) as process:
        processes.append(process)
        assert process.wait(DEADLINE) == -signal.SIGKILL

    assert len(receiver.visitors) == sent_before
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts) == ("pending", [])
    receiver.play = Visitor.answers
    # Let the leases of the signal and of the webhook run out.
    later = timezone.now() - sending.LEASE
    Delivery.objects.exclude(leased_until=None).update(leased_until=later)
    PaymentEvent.objects.exclude(deliver_at=None).update(deliver_at=later)

    at_once(*[partial(call_command, "paiementpro_reconcile", stdout=io.StringIO())] * 2)

    [body] = receiver.verified(endpoint)[sent_before:]
    assert body["data"]["reference"] == payment.reference
    assert len(ids(receiver)) == 1
    assert Delivery.objects.get().status == "delivered"
