"""Receivers in a worker: what is queued, what a task does when it comes once, twice or late, and what if it cannot."""

import json
import logging
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.contrib.testing.app import setup_default_app
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from django_paiementpro import services, signals
from django_paiementpro.checks import check_deployment, check_installation
from django_paiementpro.contrib.celery import tasks as celery_tasks
from django_paiementpro.delivery import outbox
from django_paiementpro.delivery.backends import CELERY_APP, FRAMEWORK
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.signals import payment_succeeded
from tests.conftest import TRANSITION, Heard, Notify, Statements, expire_leases, settled_event

pytestmark = pytest.mark.django_db(transaction=True)

DUMMY = f"{FRAMEWORK}.backends.dummy.DummyBackend"
IMMEDIATE = f"{FRAMEWORK}.backends.immediate.ImmediateBackend"
SECRET = "s3cret"


class LosesTheAnswer(import_string(DUMMY)):  # type: ignore[misc]
    """A broker that has the message, and dies before it says so."""

    def enqueue(self, *arguments: Any, **named: Any) -> Any:
        super().enqueue(*arguments, **named)
        raise ConnectionError(f"redis://:{SECRET}@broker.example:6379 has gone")


class IsTooFast(import_string(IMMEDIATE)):  # type: ignore[misc]
    """The same, with a worker that is done by then."""

    def enqueue(self, *arguments: Any, **named: Any) -> Any:
        super().enqueue(*arguments, **named)
        raise ConnectionError(f"redis://:{SECRET}@broker.example:6379 has gone")


@pytest.fixture
def tasks(settings: Any) -> Any:
    settings.PAIEMENTPRO_DELIVERY = "task"
    settings.TASKS = {"default": {"BACKEND": DUMMY}}
    return settings


def queued() -> list[Any]:
    """What waits in the framework's dummy, for a worker that is the test."""
    results: list[Any] = import_string(f"{FRAMEWORK}.default_task_backend").results
    return results


def run(result: Any) -> None:
    """Run a task as a worker does: found by its path, with what JSON leaves of its arguments."""
    import_string(result.task.module_path).call(*json.loads(json.dumps(result.args)), **result.kwargs)


def reconcile() -> None:
    call_command("paiementpro_reconcile")


def noting(calls: list[Any]) -> Callable[..., None]:
    """Return a receiver that notes what it is called with."""
    return lambda **named: calls.append(named)


@contextmanager
def receiving(receive: Callable[..., Any], uid: str = "receive") -> Iterator[None]:
    payment_succeeded.connect(receive, dispatch_uid=uid)
    yield
    payment_succeeded.disconnect(dispatch_uid=uid)


# In order.


def test_delivery_is_immediate_by_default(tasks: Any, payment: Payment, notify: Notify, heard: Heard) -> None:
    del tasks.PAIEMENTPRO_DELIVERY

    notify(payment)

    assert heard == [("payment_succeeded", payment)]
    assert queued() == []


def test_worker_delivers_the_signals(tasks: Any, payment: Payment, notify: Notify, heard: Heard) -> None:
    assert notify(payment).status_code == 200
    event = settled_event(payment)
    [task] = queued()
    assert heard == []
    assert task.args == [event.pk, event.deliver_at.isoformat()]  # type: ignore[union-attr]
    assert event.deliver_at > timezone.now()  # type: ignore[operator]

    run(task)

    assert heard == [("payment_succeeded", payment)]
    event.refresh_from_db()
    assert (event.delivered, event.deliver_at) == (["payment_succeeded heard.payment_succeeded"], None)


def test_each_event_with_receivers_is_one_task(tasks: Any, payment: Payment, notify: Notify, heard: Heard) -> None:
    notify(payment, responsecode=-1)
    notify(payment, responsecode=-1)
    notify(payment)
    assert len(queued()) == 2

    for task in reversed(queued()):
        run(task)

    assert heard.names == ["payment_succeeded", "payment_failed"]


def test_without_receivers_nothing_is_queued(tasks: Any, payment: Payment, notify: Notify) -> None:
    notify(payment)

    assert queued() == []


def test_queueing_adds_no_query_to_the_notification(
    tasks: Any, payment: Payment, notify: Notify, heard: Heard, statements: Statements
) -> None:
    with statements:
        notify(payment)
    assert [statement.split()[0] for statement in statements] == ["SELECT", *TRANSITION]

    with statements:
        run(queued()[0])
    assert len(statements) == 2 + 1
    with statements:
        run(queued()[0])
    assert len(statements) == 1


def test_test_case_queues_deliveries_on_commit(
    tasks: Any, payment: Payment, notify: Notify, heard: Heard, django_capture_on_commit_callbacks: Any
) -> None:
    with transaction.atomic(), django_capture_on_commit_callbacks(execute=True):
        notify(payment)

    run(queued()[0])
    assert len(heard) == 1


def test_immediate_backend_delivers_before_the_response(
    tasks: Any, payment: Payment, notify: Notify, heard: Heard
) -> None:
    tasks.TASKS = {"default": {"BACKEND": IMMEDIATE}}

    notify(payment)

    assert len(heard) == 1
    assert settled_event(payment).deliver_at is None


# Twice, and late.


def test_duplicate_task_delivers_once(tasks: Any, payment: Payment, notify: Notify, heard: Heard) -> None:
    notify(payment)
    [task] = queued()

    run(task)
    run(task)

    assert len(heard) == 1


def test_concurrent_duplicate_task_does_nothing(tasks: Any, payment: Payment, notify: Notify) -> None:
    depth = []

    def receive(event: PaymentEvent, **kwargs: Any) -> None:
        depth.append(event.pk)
        stored = PaymentEvent.objects.get(pk=event.pk)
        assert stored.deliver_at > datetime.fromisoformat(queued()[0].args[1])  # type: ignore[operator]
        assert not outbox.deliver(stored)
        run(queued()[0])
        reconcile()

    with receiving(receive):
        notify(payment)
        run(queued()[0])

    assert len(depth) == 1


def test_task_after_reconciliation_does_nothing(tasks: Any, payment: Payment, notify: Notify, heard: Heard) -> None:
    notify(payment)
    expire_leases()
    reconcile()
    assert len(heard) == 1

    run(queued()[0])

    assert len(heard) == 1


def test_task_during_reconciliation_does_nothing(tasks: Any, payment: Payment, notify: Notify) -> None:
    calls = []

    def receive(**kwargs: Any) -> None:
        calls.append(kwargs)
        run(queued()[0])

    with receiving(receive):
        notify(payment)
        expire_leases()
        reconcile()

    assert len(calls) == 1


def test_late_task_delivers_what_is_still_owed(tasks: Any, payment: Payment, notify: Notify, heard: Heard) -> None:
    notify(payment)
    event, past = settled_event(payment), timezone.now() - timedelta(hours=1)
    PaymentEvent.objects.filter(pk=event.pk).update(deliver_at=past)

    assert outbox.deliver_leased(event.pk, past.isoformat())

    assert len(heard) == 1


def test_reconciliation_retries_receivers_failed_in_a_worker(
    tasks: Any, payment: Payment, notify: Notify, heard: Heard
) -> None:
    calls = []

    def fail_once(**kwargs: Any) -> None:
        calls.append(kwargs)
        if len(calls) == 1:
            raise LookupError("the stock is away")

    with receiving(fail_once):
        notify(payment)
        run(queued()[0])
        run(queued()[0])
        assert (len(calls), len(heard)) == (1, 1)

        reconcile()

    assert (len(calls), len(heard)) == (2, 1)
    assert settled_event(payment).deliver_at is None


def test_receiver_missing_in_the_worker_stays_owed(tasks: Any, payment: Payment, notify: Notify, heard: Heard) -> None:
    calls: list[Any] = []
    with receiving(noting(calls)):
        notify(payment)

    run(queued()[0])
    reconcile()
    assert (len(heard), calls) == (1, [])
    assert settled_event(payment).deliver_at is not None

    with receiving(noting(calls)):
        reconcile()
    assert (len(heard), len(calls)) == (1, 1)
    assert settled_event(payment).deliver_at is None


def test_worker_without_receivers_releases_the_lease(tasks: Any, payment: Payment, notify: Notify) -> None:
    calls: list[Any] = []
    with receiving(noting(calls)):
        notify(payment)
    run(queued()[0])
    assert settled_event(payment).deliver_at <= timezone.now()  # type: ignore[operator]

    with receiving(noting(calls)):
        reconcile()
    assert len(calls) == 1


def test_stopped_worker_leaves_an_expiring_lease(tasks: Any, payment: Payment, notify: Notify) -> None:
    calls = []

    def stop_once(**kwargs: Any) -> None:
        calls.append(kwargs)
        if len(calls) == 1:
            raise KeyboardInterrupt

    with receiving(stop_once):
        notify(payment)
        with pytest.raises(KeyboardInterrupt):
            run(queued()[0])

        run(queued()[0])
        reconcile()
        assert len(calls) == 1

        expire_leases()
        reconcile()

    assert len(calls) == 2
    assert settled_event(payment).deliver_at is None


def test_worker_does_not_write_under_another_lease(tasks: Any, payment: Payment, notify: Notify, heard: Heard) -> None:
    notify(payment)
    event, others = settled_event(payment), timezone.now() + timedelta(hours=1)

    def overtake(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if sql.startswith("SELECT") and "paymentevent" in sql:
            PaymentEvent.objects.filter(pk=event.pk).update(deliver_at=others)
        return execute(sql, *arguments)

    with connection.execute_wrapper(overtake):
        run(queued()[0])

    event.refresh_from_db()
    assert (event.delivered, event.deliver_at) == ([], others)


def test_task_for_a_deleted_event_does_nothing(tasks: Any, payment: Payment, notify: Notify, heard: Heard) -> None:
    notify(payment)
    payment.delete()

    run(queued()[0])

    assert heard == []


# Deliveries that a person waits for.


def test_staff_see_receiver_errors(tasks: Any, payment: Payment, notify: Notify, heard: Heard) -> None:
    awa = get_user_model().objects.create(username="awa")
    notify(payment)
    run(queued()[0])
    payment.refresh_from_db()

    assert services.redeliver_signals(payment, awa, "The mail was away")

    assert len(heard) == 2
    assert len(queued()) == 1


def test_staff_delivery_bypasses_the_queue(tasks: Any, payment: Payment, notify: Notify, heard: Heard) -> None:
    awa = get_user_model().objects.create(username="awa")
    notify(payment)
    expire_leases()
    payment.refresh_from_db()

    assert services.redeliver_signals(payment, awa, "The worker was away")

    run(queued()[0])
    assert len(heard) == 1


# Where it cannot be queued.


@pytest.fixture
def in_celery(tasks: Any) -> Iterator[Any]:
    """Install the app for Celery; the example shop, which that connects anew, stays out."""
    tasks.INSTALLED_APPS = [*tasks.INSTALLED_APPS, CELERY_APP]
    for signal in signals.SIGNALS.values():
        for receiver in signal.receiver_names(Payment):
            signal.disconnect(dispatch_uid=receiver)
    with ExitStack() as stack:

        def use(broker: str | None, **options: Any) -> Celery:
            app = Celery("shop", broker=broker)
            stack.enter_context(setup_default_app(app))
            app.set_default()
            app.set_current()
            # The broker in memory is one for the whole process.
            app.conf.update(task_default_queue=str(uuid.uuid4()), **options)
            return app

        yield use


@pytest.fixture
def black_hole() -> Iterator[int]:
    """The port of a broker that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture
def log_lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The errors of ``delivery_not_queued``; nothing in the log of anybody holds the secret."""
    caplog.set_level(logging.DEBUG)

    def lines() -> list[str]:
        assert [record for record in caplog.records if SECRET in f"{record.getMessage()} {vars(record)}"] == []
        return [
            vars(record)["error"] for record in caplog.records if record.getMessage().startswith("delivery_not_queued ")
        ]

    return lines


def assert_waits_for_reconciliation(payment: Payment, heard: Heard) -> None:
    assert heard == []
    assert settled_event(payment).deliver_at <= timezone.now()  # type: ignore[operator]
    reconcile()
    assert len(heard) == 1
    assert settled_event(payment).deliver_at is None


WRONG_TASKS = [
    ({}, "InvalidTaskBackend"),
    ({"other": {"BACKEND": DUMMY}}, "InvalidTaskBackend"),
    ({"default": {"BACKEND": "shop.nowhere.Backend"}}, "InvalidTaskBackend"),
    ({"default": {"BACKEND": DUMMY, "QUEUES": ["mails"]}}, "InvalidTask"),
    # Its app is not installed.
    ({"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}, "RuntimeError"),
    ({"default": {"BACKEND": "tests.delivery.test_backends.LosesTheAnswer"}}, "ConnectionError"),
]


@pytest.mark.parametrize(("wrong", "error"), WRONG_TASKS)
@pytest.mark.parametrize("is_loaded", [True, False])
def test_failing_backend_fails_no_notification(
    tasks: Any,
    payment: Payment,
    notify: Notify,
    heard: Heard,
    log_lines: Any,
    monkeypatch: pytest.MonkeyPatch,
    *,
    wrong: Any,
    error: str,
    is_loaded: bool,
) -> None:
    import_string("django_paiementpro.contrib.tasks.deliver_event")
    if not is_loaded:
        monkeypatch.delitem(sys.modules, "django_paiementpro.contrib.tasks")
    tasks.TASKS = wrong

    assert notify(payment).status_code == 200

    [line] = log_lines()
    assert error in line
    assert_waits_for_reconciliation(payment, heard)


def test_missing_backend_fails_no_notification(
    tasks: Any, payment: Payment, notify: Notify, heard: Heard, log_lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, FRAMEWORK, None)
        patch.delitem(sys.modules, "django_paiementpro.contrib.tasks", raising=False)
        assert notify(payment).status_code == 200

    assert log_lines() == ["builtins.ModuleNotFoundError"]
    assert_waits_for_reconciliation(payment, heard)


def test_message_sent_despite_an_error_does_nothing(tasks: Any, payment: Payment, notify: Notify, heard: Heard) -> None:
    tasks.TASKS = {"default": {"BACKEND": "tests.delivery.test_backends.LosesTheAnswer"}}
    notify(payment)

    run(queued()[0])
    assert_waits_for_reconciliation(payment, heard)
    run(queued()[0])

    assert len(heard) == 1


def test_worker_faster_than_the_error_keeps_its_result(
    tasks: Any, payment: Payment, notify: Notify, heard: Heard, log_lines: Any
) -> None:
    tasks.TASKS = {"default": {"BACKEND": "tests.delivery.test_backends.IsTooFast"}}

    assert notify(payment).status_code == 200
    reconcile()

    assert log_lines() == ["builtins.ConnectionError"]
    assert len(heard) == 1
    assert settled_event(payment).deliver_at is None


def test_invalid_setting_fails_no_notification(tasks: Any, payment: Payment, notify: Notify, heard: Heard) -> None:
    tasks.PAIEMENTPRO_DELIVERY = "later"

    assert notify(payment).status_code == 200
    expire_leases()
    reconcile()

    assert len(heard) == 1


# Celery.


def message(app: Celery) -> Any:
    with app.connection_for_read() as broker:
        return broker.SimpleQueue(app.conf.task_default_queue).get(timeout=1)


def test_celery_is_used_when_its_app_is_installed(
    in_celery: Any, payment: Payment, notify: Notify, heard: Heard
) -> None:
    app = in_celery("memory://")

    assert notify(payment).status_code == 200
    sent = message(app)
    assert heard == []
    assert queued() == []
    assert sent.headers["task"] == "paiementpro.deliver_event"
    assert sent.headers["ignore_result"] is True

    arguments, named, _ = sent.payload
    app.tasks[sent.headers["task"]](*arguments, **named)
    app.tasks[sent.headers["task"]](*arguments, **named)
    assert len(heard) == 1
    assert settled_event(payment).deliver_at is None


def test_closed_broker_is_tried_once(
    in_celery: Any, payment: Payment, notify: Notify, heard: Heard, log_lines: Any, closed_port: int
) -> None:
    in_celery(f"redis://:{SECRET}@127.0.0.1:{closed_port}/0")
    started_at = time.monotonic()

    assert notify(payment).status_code == 200

    assert time.monotonic() - started_at < 10
    assert log_lines() == ["kombu.exceptions.OperationalError"]
    assert_waits_for_reconciliation(payment, heard)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_silent_broker_is_given_up(
    in_celery: Any, payment: Payment, notify: Notify, heard: Heard, log_lines: Any, black_hole: int, scheme: str
) -> None:
    # The host's options are for its workers, which may wait.
    patience = {"socket_timeout": 60, "read_timeout": 60, "max_retries": 5}
    in_celery(f"{scheme}://u:{SECRET}@127.0.0.1:{black_hole}/0", broker_transport_options=patience)
    started_at = time.monotonic()

    assert notify(payment).status_code == 200

    assert celery_tasks.BROKER_SECONDS <= time.monotonic() - started_at < 30
    assert log_lines() == ["kombu.exceptions.OperationalError"]
    assert_waits_for_reconciliation(payment, heard)


def test_missing_celery_fails_no_notification(
    in_celery: Any, payment: Payment, notify: Notify, heard: Heard, log_lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "celery", None)
    monkeypatch.delitem(sys.modules, "django_paiementpro.contrib.celery.tasks")

    assert notify(payment).status_code == 200

    assert log_lines() == ["builtins.ModuleNotFoundError"]
    assert_waits_for_reconciliation(payment, heard)


def test_celery_reconciles(in_celery: Any, payment: Payment, notify: Notify, heard: Heard) -> None:
    app = in_celery("memory://")
    notify(payment)
    expire_leases()

    assert "1" in app.tasks["paiementpro.reconcile"]()

    assert len(heard) == 1


# What the checks say.


def found() -> list[tuple[str, str]]:
    return [
        (str(message.id), message.msg)
        for message in [*check_installation(), *check_deployment()]
        if message.id in {"paiementpro.E002", "paiementpro.E006", "paiementpro.W006"}
    ]


@pytest.mark.parametrize(("wrong", "error"), WRONG_TASKS[:4])
def test_backend_that_cannot_queue_is_an_error(
    tasks: Any, monkeypatch: pytest.MonkeyPatch, wrong: Any, error: str
) -> None:
    monkeypatch.delitem(sys.modules, "django_paiementpro.contrib.tasks", raising=False)
    tasks.TASKS = wrong

    [(identifier, text)] = found()

    assert identifier == "paiementpro.E006"
    assert text.startswith('PAIEMENTPRO_DELIVERY is "task", but no delivery can be queued: ')
    tasks.PAIEMENTPRO_DELIVERY = "immediate"
    assert found() == []


def test_missing_backend_is_an_error(tasks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, FRAMEWORK, None)
        patch.delitem(sys.modules, "django_paiementpro.contrib.tasks", raising=False)
        assert [identifier for identifier, _ in found()] == ["paiementpro.E006"]


def test_backend_without_workers_is_a_deploy_warning(tasks: Any) -> None:
    for backend in (DUMMY, IMMEDIATE):
        tasks.TASKS = {"default": {"BACKEND": backend}}
        [(identifier, text)] = found()
        assert identifier == "paiementpro.W006"
        assert backend.rsplit(".", 1)[1] in text
    tasks.TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
    assert found() == []


def test_celery_without_workers_is_a_deploy_warning(in_celery: Any) -> None:
    in_celery("redis://127.0.0.1:6379/0")
    assert found() == []
    in_celery("redis://127.0.0.1:6379/0", task_always_eager=True)
    assert "task_always_eager" in found()[0][1]
    in_celery(None)
    assert "broker_url" in found()[0][1]


def test_invalid_setting_is_one_error(tasks: Any) -> None:
    tasks.PAIEMENTPRO_DELIVERY = "later"

    assert found() == [("paiementpro.E002", 'PAIEMENTPRO_DELIVERY: write "immediate" or "task"')]
