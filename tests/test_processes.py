"""
Real server processes, killed with SIGKILL at each step: no order is lost, and none is fulfilled twice.

The site runs in its own process, on the test's database; the test plays the gateway and the payer. The start script of
a child decides where it dies, at a statement or on commit, so that the app runs unchanged.
"""

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from django_paiementpro.models import Payment, PaymentEvent, ReconciliationRun
from django_paiementpro.receipts.models import Receipt
from django_paiementpro.signals import payment_succeeded
from django_paiementpro.testing import make_payment
from django_paiementpro.testing.notifications import notification_fields
from tests.conftest import open_shop
from tests.host.models import Order
from tests.server import receivers, wire
from tests.server.gateway import Call, FakeGateway, knows_paid
from tests.server.site import running
from tests.server.threads import DEADLINE, Gate, at_once, meanwhile, wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

ROOT = Path(__file__).parent.parent
OK = (200, None, b"OK")

# Connect and read; and how long a lease lasts with them.
TIMEOUT = (DEADLINE, DEADLINE)
LONGEST_LEASE = timedelta(seconds=sum(TIMEOUT) + 5)

START = """
import json, os, signal, sys
from contextlib import nullcontext as never
import django
from django.conf import settings

for name, value in json.loads(sys.argv[1]).items():
    setattr(settings, name, value)
django.setup()

from django.core.management import call_command
from django.db.transaction import on_commit
from django_paiementpro.signals import payment_succeeded
from tests.server import receivers
from tests.server.moments import at
from tests.server.site import Site

def die():
    os.kill(os.getpid(), signal.SIGKILL)

payment_succeeded.connect(receivers.count_call)
payment_succeeded.connect(receivers.fulfil)
"""

SERVE = """
with {death}:
    server = Site()
    print(server.url, flush=True)
    server.serve_forever()
"""

NEVER = "never()"
AFTER_LEASE = "at('UPDATE', 'leased_until', after=die)"
# On PostgreSQL the transition is a single statement, and a transaction of its own.
BEFORE_COMMIT, AFTER_COMMIT = {
    "postgresql": (
        "at('WITH', 'paiementpro_paymentevent', before=die)",
        "at('WITH', 'paiementpro_paymentevent', after=die)",
    ),
}.get(
    connection.vendor,
    (
        "at('INSERT', 'paiementpro_paymentevent', after=die)",
        "at('INSERT', 'paiementpro_paymentevent', before=lambda: on_commit(die))",
    ),
)
# The second receiver's only statement.
BEFORE_FULFILMENT = "at('UPDATE', 'host_order', ' AND ', before=die)"
AFTER_FULFILMENT = "at('UPDATE', 'host_order', ' AND ', after=die)"


@pytest.fixture
def gateway(transactional_db: None) -> Iterator[FakeGateway]:
    with running(FakeGateway()) as gateway:
        yield gateway


Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(gateway: FakeGateway, settings: Any) -> Start:
    """Start a process of the host, on the test's database and the test's gateway."""
    database = ["ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS", "ATOMIC_REQUESTS"]
    values = {
        "DATABASES": {"default": {name: connection.settings_dict[name] for name in database}},
        "ALLOWED_HOSTS": ["127.0.0.1"],
        "PAIEMENTPRO_GATEWAY_URL": gateway.url,
        "PAIEMENTPRO_STATUS_URL": f"{gateway.url}/status",
        "PAIEMENTPRO_TIMEOUT": TIMEOUT,
    }
    return lambda script: subprocess.Popen(
        [sys.executable, "-c", START + script, json.dumps(values)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


class Server:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout
        self.process = process
        self.url = process.stdout.readline().strip()
        assert self.url, "the server did not start"

    def check_out(self, payment: Payment) -> wire.Answer:
        return wire.get(self.url + payment.get_checkout_url())

    def notify(self, payment: Payment, **fields: Any) -> wire.Answer:
        return wire.notify(self.url + payment.get_notification_url(), notification_fields(payment, **fields))

    def is_dead(self) -> bool:
        return self.process.wait(DEADLINE) == -signal.SIGKILL


Serve = Callable[..., Any]


@pytest.fixture
def serve(start: Start) -> Serve:
    """Serve the host's site, until the moment of its death or the end of the ``with`` block."""

    @contextmanager
    def serve(death: str = NEVER) -> Iterator[Server]:
        with start(SERVE.format(death=death)) as process:
            try:
                yield Server(process)
            finally:
                process.kill()

    return serve


Reconcile = Callable[[], object]


@pytest.fixture
def reconcile(gateway: FakeGateway, settings: Any) -> Iterator[Reconcile]:
    """Run ``paiementpro_reconcile`` twice at once, in a process that has the host's receivers."""
    settings.PAIEMENTPRO_GATEWAY_URL = gateway.url
    settings.PAIEMENTPRO_STATUS_URL = f"{gateway.url}/status"
    open_shop()
    payment_succeeded.connect(receivers.count_call)
    payment_succeeded.connect(receivers.fulfil)
    yield lambda: at_once(*[partial(call_command, "paiementpro_reconcile", stdout=io.StringIO())] * 2)
    payment_succeeded.disconnect(receivers.count_call)
    payment_succeeded.disconnect(receivers.fulfil)


def bought(**values: Any) -> Payment:
    """Return the payment of an order, with a row in which its first receiver counts its calls."""
    calls = Order.objects.create()
    return make_payment(content_object=Order.objects.create(), return_context={"calls": calls.pk}, **values)


def calls_and_deliveries(payment: Payment) -> tuple[int, int]:
    """Return how often the first receiver was called, and how often the order has been fulfilled."""
    calls = Order.objects.get(pk=payment.return_context["calls"])
    return calls.times_paid, Order.objects.get(pk=payment.object_id).times_paid


def let_leases_run_out() -> None:
    """Turn back the clock of leases by their five minutes, and with it that of heartbeats."""
    for event in PaymentEvent.objects.exclude(deliver_at=None):
        PaymentEvent.objects.filter(pk=event.pk).update(deliver_at=event.deliver_at - timedelta(minutes=5))
    for run in ReconciliationRun.objects.all():
        ReconciliationRun.objects.filter(pk=run.pk).update(seen_at=run.seen_at - timedelta(minutes=5))


def assert_fulfilled_once(payment: Payment) -> None:
    payment.refresh_from_db()
    assert (payment.status, payment.leased_until, payment.needs_review) == ("succeeded", None, False)
    assert calls_and_deliveries(payment) == (1, 1)
    assert not payment.events.exclude(deliver_at=None).exists()


# Killed on the way to the gateway.


def assert_can_be_paid_again(serve: Serve, gateway: FakeGateway, payment: Payment) -> None:
    """Restart the site, and pay as the payer and the gateway would: the dead process's lease ends by itself."""
    with serve() as server:
        soon = timezone.now() + timedelta(seconds=1)
        assert Payment.objects.filter(pk=payment.pk, leased_until__lte=timezone.now() + LONGEST_LEASE).update(
            leased_until=soon
        )
        answer = server.check_out(payment)
        assert answer.location == gateway.page_of(f"{payment.reference}-2")
        assert timezone.now() > soon
        payment.refresh_from_db()
        assert server.notify(payment) == OK
    assert_fulfilled_once(payment)


def test_killed_between_lease_and_call(serve: Serve, gateway: FakeGateway) -> None:
    payment = bought()

    with serve(AFTER_LEASE) as server:
        with pytest.raises(ConnectionError):
            server.check_out(payment)
        assert server.is_dead()

    payment.refresh_from_db()
    assert (payment.status, payment.attempt) == ("created", 1)
    assert payment.leased_until > timezone.now()
    assert gateway.references == []
    assert_can_be_paid_again(serve, gateway, payment)
    assert gateway.references == [f"{payment.reference}-2"]


def kill_during_the_call(serve: Serve, gateway: FakeGateway, payment: Payment) -> None:
    """Kill the site while the gateway is about to answer."""
    answer = Gate()

    def play(call: Call) -> None:
        answer()
        with suppress(OSError):
            call.opens()

    gateway.play = play
    with serve() as server, meanwhile(partial(server.check_out, payment)) as click:
        answer.await_arrival()
        server.process.kill()
        assert isinstance(click.exception(DEADLINE), ConnectionError)
        assert server.is_dead()
        answer.open()
    payment.refresh_from_db()
    assert (payment.status, payment.attempt) == ("created", 1)
    assert gateway.references == [payment.reference]


def test_killed_during_the_call(serve: Serve, gateway: FakeGateway) -> None:
    payment = bought()
    kill_during_the_call(serve, gateway, payment)
    assert_can_be_paid_again(serve, gateway, payment)
    assert gateway.references == [payment.reference, f"{payment.reference}-2"]


def test_killed_during_the_call_and_notified(serve: Serve, gateway: FakeGateway) -> None:
    payment = bought()
    kill_during_the_call(serve, gateway, payment)
    with serve() as server:
        assert server.notify(payment) == OK
        assert server.check_out(payment).location == payment.get_return_url()
    payment.refresh_from_db()
    assert payment.status == "succeeded"
    assert calls_and_deliveries(payment) == (1, 1)
    assert gateway.references == [payment.reference]


def test_killed_during_the_call_and_never_notified(serve: Serve, gateway: FakeGateway, reconcile: Reconcile) -> None:
    payment = bought()
    kill_during_the_call(serve, gateway, payment)
    gateway.play_status = knows_paid(payment.amount)
    reconcile()
    payment.refresh_from_db()
    assert (payment.status, payment.settled_by) == ("succeeded", "status")
    assert calls_and_deliveries(payment) == (1, 1)


# Killed on the way to the receivers.


def kill_by_a_notification(serve: Serve, payment: Payment, death: str) -> None:
    with serve(death) as server:
        with pytest.raises(ConnectionError):
            server.notify(payment)
        assert server.is_dead()
    payment.refresh_from_db()


def assert_is_leased(payment: Payment) -> None:
    [event] = payment.events.all()
    assert (payment.status, event.outcome) == ("succeeded", "accepted")
    assert event.deliver_at > timezone.now()


def test_killed_before_the_commit(serve: Serve, reconcile: Reconcile) -> None:
    payment = bought(status="pending", attempt=1)

    kill_by_a_notification(serve, payment, BEFORE_COMMIT)

    assert payment.status == "pending"
    assert not payment.events.exists()
    with serve() as server:
        assert server.notify(payment) == OK
    reconcile()
    assert_fulfilled_once(payment)


def test_killed_between_commit_and_delivery(serve: Serve, reconcile: Reconcile) -> None:
    payment = bought(status="pending", attempt=1)

    kill_by_a_notification(serve, payment, AFTER_COMMIT)

    assert_is_leased(payment)
    assert calls_and_deliveries(payment) == (0, 0)
    with serve() as server:
        assert server.notify(payment) == OK
    reconcile()
    assert calls_and_deliveries(payment) == (0, 0)  # the lease of the dead
    let_leases_run_out()
    reconcile()
    assert_fulfilled_once(payment)
    reconcile()
    assert_fulfilled_once(payment)


@pytest.mark.parametrize(("death", "fulfilled"), [(BEFORE_FULFILMENT, 0), (AFTER_FULFILMENT, 1)])
def test_killed_in_the_second_receiver(serve: Serve, reconcile: Reconcile, death: str, fulfilled: int) -> None:
    payment = bought(status="pending", attempt=1)

    kill_by_a_notification(serve, payment, death)

    assert_is_leased(payment)
    assert calls_and_deliveries(payment) == (1, fulfilled)
    with serve() as server:
        assert server.notify(payment) == OK
    assert calls_and_deliveries(payment) == (1, fulfilled)
    let_leases_run_out()
    reconcile()
    assert_fulfilled_once(payment)


def test_reconciliation_killed_in_the_second_receiver(start: Start, serve: Serve, reconcile: Reconcile) -> None:
    payment = bought(status="pending", attempt=1)
    kill_by_a_notification(serve, payment, AFTER_COMMIT)
    let_leases_run_out()

    with start(f"with {BEFORE_FULFILMENT}:\n    call_command('paiementpro_reconcile')") as run:
        assert run.wait(DEADLINE) == -signal.SIGKILL

    assert_is_leased(payment)
    assert calls_and_deliveries(payment) == (1, 0)
    let_leases_run_out()
    reconcile()
    assert_fulfilled_once(payment)


# Killed on the way to the receipt.


@pytest.mark.parametrize(
    ("death", "issued"),
    [
        (AFTER_COMMIT, 0),
        ("at('UPDATE', 'paiementpro_receipts_counter', after=die)", 0),
        ("at('INSERT', 'paiementpro_receipts_receipt', after=die)", 0),
        ("at('INSERT', 'paiementpro_receipts_receipt', before=lambda: on_commit(die))", 1),
    ],
)
def test_killed_between_success_and_receipt(serve: Serve, reconcile: Reconcile, death: str, issued: int) -> None:
    before, killed, after = (bought(status="pending", attempt=1) for _ in range(3))
    with serve() as server:
        assert server.notify(before) == OK

    kill_by_a_notification(serve, killed, death)

    assert killed.status == "succeeded"
    assert killed.receipts.count() == issued
    with serve() as server:
        assert server.notify(after) == OK
    let_leases_run_out()
    reconcile()
    reconcile()

    receipts = Receipt.objects.order_by("sequence").values_list("sequence", "payment")
    third = [killed.pk, after.pk] if issued else [after.pk, killed.pk]
    assert list(receipts) == list(zip([1, 2, 3], [before.pk, *third], strict=True))
    for payment in (before, killed, after):
        assert_fulfilled_once(payment)


# Runs of the reconciliation.

RUN = "from django.core.management import execute_from_command_line as run; run({arguments})"


@pytest.fixture
def start_run(start: Start) -> Start:
    """Start ``manage.py paiementpro_reconcile`` with some options."""
    arguments = ["manage.py", "paiementpro_reconcile", "--json"]
    return lambda options: start(RUN.format(arguments=[*arguments, *options.split()]))


def finished(process: "subprocess.Popen[str]") -> dict[str, Any]:
    out, _err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    return dict(json.loads(out))


@pytest.fixture
def pause(gateway: FakeGateway) -> Event:
    """Hold each look-up until the event is set; then let each take a while, and report no payment."""
    is_over = Event()

    def play(call: Call, reference: str) -> None:
        assert is_over.wait(DEADLINE)
        time.sleep(0.1)
        with suppress(OSError):  # from a process that was killed
            call.says(b'{"success": false}')

    gateway.play_status = play
    return is_over


def test_concurrent_runs_share_the_work(gateway: FakeGateway, start_run: Start, pause: Event) -> None:
    references = {make_payment(status="pending", attempt=1).reference for _ in range(60)}

    runs = [start_run("--workers=2")]
    wait_until(lambda: len(gateway.asked) == 2)
    runs.append(start_run("--workers=2"))
    wait_until(lambda: len(gateway.asked) == 4)
    pause.set()
    numbers = [finished(run)["asked"] for run in runs]

    assert sorted(gateway.asked) == sorted(references)
    assert sum(numbers) == 60
    assert min(numbers) > 0


def test_next_run_asks_again(gateway: FakeGateway, start_run: Start) -> None:
    payment = make_payment(status="pending", attempt=1)

    for _ in range(2):
        assert finished(start_run(""))["asked"] == 1
    assert gateway.asked == [payment.reference] * 2


def test_killed_run_blocks_nothing_once_its_heartbeat_is_stale(
    gateway: FakeGateway, start_run: Start, pause: Event
) -> None:
    payments = [make_payment(status="pending", attempt=1) for _ in range(20)]

    with start_run("--workers=2") as killed:
        wait_until(lambda: len(gateway.asked) == 2)
        killed.kill()
    pause.set()
    gateway.play_status = knows_paid(12500)
    let_leases_run_out()

    assert finished(start_run(""))["settled"] == 20
    assert not Payment.objects.filter(pk__in=[payment.pk for payment in payments]).exclude(status="succeeded").exists()


def test_sigterm_ends_a_run_after_recording_its_answers(gateway: FakeGateway, start_run: Start) -> None:
    for _ in range(40):
        make_payment(status="pending", attempt=1)
    is_sent = Event()

    def play(call: Call, reference: str) -> None:
        assert is_sent.wait(DEADLINE)
        time.sleep(0.2)
        knows_paid(12500)(call, reference)

    gateway.play_status = play
    run = start_run("--workers=4")
    wait_until(lambda: len(gateway.asked) == 4)
    run.send_signal(signal.SIGTERM)
    is_sent.set()

    numbers = finished(run)
    assert numbers["stopped"] is True
    assert numbers["asked"] == numbers["settled"] == len(gateway.asked) < 40
    assert Payment.objects.filter(status="succeeded").count() == numbers["settled"]
