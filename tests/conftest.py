import fcntl
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import django
import hypothesis
import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse
from django.utils import timezone, translation

from django_paiementpro import log, signals, testing
from django_paiementpro.alerts import watch
from django_paiementpro.delivery import after_response
from django_paiementpro.extensions import extensions
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.services.status import forget_silence
from django_paiementpro.testing import FakeGateway, make_payment
from tests.host.models import Order

pytest_plugins = ["django_paiementpro.testing.fixtures"]

# Each shop framework has settings and a run of its own: make adapters. So have admin themes: make themes.
collect_ignore = ["adapters", "themes"]

# A slow machine is no finding. make prove takes the other profile, by --hypothesis-profile.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("prove", hypothesis.settings.get_profile("any machine"), max_examples=2000)
hypothesis.settings.load_profile("any machine")

STATUS_URL = "https://api.paiementpro.net/status"
PAGE_URL = (
    "https://www.paiementpro.net/webservice/onlinepayment/processing_v2.php?sessionid=1a0ab9252785d65fcd396eaa47797e03"
)


@pytest.fixture
def payment(db: None) -> Payment:
    """A payment whose page has been opened."""
    return make_payment(status="pending", attempt=1, content_object=Order.objects.create())


def imported_at_start() -> list[str]:
    """Return the modules that a process of the host has imported once it is ready for requests."""
    code = "import sys, django; django.setup(); import tests.urls; print(*sys.modules)"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    return done.stdout.split()


def stored(payment: Payment) -> Payment:
    """Return the payment as the database that is written to has it."""
    return Payment.objects.using("default").get(pk=payment.pk)


def columns(payment: Payment) -> dict[str, Any]:
    return {field.attname: getattr(payment, field.attname) for field in payment._meta.concrete_fields}


def settled_event(payment: Payment) -> PaymentEvent:
    """Return the event that settled the payment."""
    return PaymentEvent.objects.get(payment=payment, kind="notification", outcome="accepted")


def expire_leases() -> None:
    """Make all deliveries due, as if their leases had run out."""
    PaymentEvent.objects.filter(deliver_at__isnull=False).update(deliver_at=timezone.now() - timedelta(seconds=1))


def due_event(payment: Payment) -> PaymentEvent:
    """Return an event with an undelivered signal and no lease."""
    return PaymentEvent.objects.create(
        payment=payment,
        kind="notification",
        outcome="accepted",
        signals=["payment_succeeded"],
        deliver_at=timezone.now() - timedelta(hours=1),
    )


@pytest.fixture
def gateway(paiementpro_gateway: FakeGateway) -> FakeGateway:
    return paiementpro_gateway


@pytest.fixture(params=["json", "soap"])
def transport(request: pytest.FixtureRequest, settings: Any) -> str:
    """Run the test over each of the gateway's two services."""
    settings.PAIEMENTPRO_TRANSPORT = request.param
    return str(request.param)


@pytest.fixture
def look_up(settings: Any) -> None:
    """Switch the status look-up on."""
    settings.PAIEMENTPRO_STATUS_URL = STATUS_URL


Notify = Callable[..., HttpResponse]


@pytest.fixture
def notify() -> Notify:
    return testing.notify


class Heard(list[tuple[str, Payment]]):
    """The signals sent, in order: name and payment."""

    @property
    def names(self) -> list[str]:
        return [name for name, _payment in self]


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Receive all signals of the app."""
    calls = Heard()
    receivers = []
    for name, signal in signals.SIGNALS.items():

        def receive(sender: Any, payment: Payment, event: Any, name: str = name, **kwargs: Any) -> None:
            assert sender is Payment
            calls.append((name, payment))

        signal.connect(receive, dispatch_uid=f"heard.{name}")
        receivers.append(receive)
    yield calls
    for name, signal in signals.SIGNALS.items():
        signal.disconnect(dispatch_uid=f"heard.{name}")


#: What stores a transition and its event, and what may store either, by the first word of each statement.
TRANSITION = ["WITH"] if connection.vendor == "postgresql" else ["UPDATE", "INSERT"]
EVENT_INSERTS = ("WITH", "INSERT")
PAYMENT_UPDATES = ("WITH", "UPDATE")


class Statements(list[str]):
    """The SQL statements of a ``with`` block, BEGIN and COMMIT apart."""

    def __enter__(self) -> "Statements":
        self.clear()
        self._wrapper = connection.execute_wrapper(self._note)
        self._wrapper.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._wrapper.__exit__(*exc_info)

    def _note(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql not in {"BEGIN", "COMMIT", "ROLLBACK"}:
            self.append(sql)
        return execute(sql, params, many, context)


@pytest.fixture
def statements() -> Statements:
    return Statements()


@contextmanager
def just_before(act: Callable[[], object], *words: str) -> Iterator[None]:
    """Act once, just before the first statement of the ``with`` block that has all of these words."""
    acts = [act]

    def watch(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if acts and all(word in sql for word in words):
            acts.pop()()
        return execute(sql, *arguments)

    with connection.execute_wrapper(watch):
        yield
    assert not acts


@pytest.fixture
def alone() -> Iterator[None]:
    """Wait for the tests of this and other runs that need dozens of threads and database connections too."""
    with (Path(tempfile.gettempdir()) / f"paiementpro-tests-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def admins(settings: Any) -> None:
    """Mail the admins, into ``django.core.mail.outbox``."""
    address, backend = "staff@example.com", "django.core.mail.backends.locmem.EmailBackend"
    settings.ADMINS = [("Staff", address)] if django.VERSION < (6, 0) else [address]
    mailers = {"default": {"BACKEND": backend}}
    setattr(settings, *(("EMAIL_BACKEND", backend) if django.VERSION < (6, 1) else ("MAILERS", mailers)))


#: How the names of receivers begin that are connected when the tests start.
OPTIONAL = ("shop.", "paiementpro_")


@pytest.fixture(autouse=True)
def closed_shop() -> Iterator[None]:
    """Keep the receivers of the example shop and of optional apps out of tests that are not about them."""
    for name, signal in signals.SIGNALS.items():
        for receiver in signal.receiver_names(Payment):
            assert receiver.startswith(OPTIONAL), f"a test left {receiver} connected to {name}"
            signal.disconnect(dispatch_uid=receiver)
    yield
    open_shop()


def open_shop() -> None:
    """Connect the receivers of the example shop and of optional apps, as a process of the host does."""
    for config in (apps.get_app_config("shop"), *extensions()):
        config.ready()


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Forget what an earlier test left in the memory of the process.

    How the operators fared; that the status service was silent; a request whose response was never closed, such as a
    stream that was not read; and the time, since after ten minutes a request would look for alerts.
    """
    cache.clear()
    forget_silence()
    monkeypatch.setattr(after_response._local, "pending", None, raising=False)
    monkeypatch.setattr(watch, "_looked_at", time.monotonic())


@pytest.fixture(autouse=True)
def english() -> None:
    """Forget the language that an earlier test's request left active in this thread."""
    translation.activate("en")


# What tests give as a payer's data, and the signature of a URL.
INDISCREET = re.compile(r"awa@example|Koné|0707123456|07 07 12 34 56|\.[A-Za-z0-9_-]{43}\b")


@pytest.fixture(autouse=True)
def discreet_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Read all that the app's logger says in each test: names that are documented, no payer's data, no signed URL."""
    handler = logging.Handler(logging.DEBUG)
    records: list[logging.LogRecord] = []
    monkeypatch.setattr(handler, "emit", records.append)
    log.logger.addHandler(handler)
    log.logger.setLevel(logging.DEBUG)
    yield
    log.logger.setLevel(logging.NOTSET)
    log.logger.removeHandler(handler)
    said = [f"{record.getMessage()} {vars(record)}" for record in records]
    assert [line for line in said if INDISCREET.search(line)] == []
    for record in records:
        if record.name != log.logger.name:
            continue  # the sandbox's
        assert log.LEVELS[record.getMessage().split()[0]] == record.levelno
        assert vars(record).keys() >= {"reference", "attempt", "channel", "outcome", "duration"}
