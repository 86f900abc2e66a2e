"""
Real workers on a real broker, killed with SIGKILL: no receiver is forgotten, and none runs twice at once.

The site, the workers and the cron are processes of their own, on the test's database; the gateway is the test.
"""

import json
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, connections
from django.utils import timezone

from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.testing import make_payment
from tests.host.models import ReceiverCall
from tests.workers.processes import CeleryHost, FrameworkHost, Host, Redis, kill, wait_until

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]

# What a notification takes at most on a busy machine, with the broker away: it waits for the broker for 2 seconds. A
# receiver that is held has no end.
AT_ONCE = 10.0
AFTER_GIVING_UP = 15.0


def pending() -> Payment:
    return make_payment(status="pending", attempt=1)


def event_of(payment: Payment) -> PaymentEvent:
    event: PaymentEvent = payment.events.get(kind="notification", outcome="accepted")
    return event


def is_settled(*payments: Payment) -> bool:
    """Whether nothing is owed."""
    return not PaymentEvent.objects.filter(payment__in=payments).exclude(deliver_at=None).exists()


def calls(payment: Payment) -> dict[str, int]:
    """How often each receiver was called, and how often it came to its end."""
    rows = ReceiverCall.objects.filter(reference=payment.reference)
    began = Counter(row.receiver for row in rows)
    ended = Counter(f"{row.receiver} ended" for row in rows if row.ended_at)
    return {**began, **ended}


ONCE = {"quick": 1, "quick ended": 1, "slow": 1, "slow ended": 1}


def is_in_slow(payment: Payment) -> bool:
    return ReceiverCall.objects.filter(reference=payment.reference, receiver="slow", ended_at=None).exists()


def let_leases_run_out() -> None:
    """Move the end of all leases back by their five minutes. Their holders must be dead."""
    for event in PaymentEvent.objects.exclude(deliver_at=None):
        PaymentEvent.objects.filter(pk=event.pk).update(deliver_at=event.deliver_at - timedelta(minutes=5))


def assert_none_ran_twice_at_once(*killed_at: datetime) -> None:
    """Compare each call with the next of the same receiver for the same payment. A kill ends what has not ended."""
    rows = ReceiverCall.objects.order_by("reference", "receiver", "started_at")
    for call, next_call in pairwise(rows):
        if (call.reference, call.receiver) == (next_call.reference, next_call.receiver):
            ends = [call.ended_at] if call.ended_at else [moment for moment in killed_at if moment > call.started_at]
            assert ends, "the first has not ended, nor was it killed"
            assert min(ends) <= next_call.started_at


def no_message_waits(host: Host, broker: Any, prefix: str) -> bool:
    if isinstance(host, CeleryHost):
        return not broker.llen(f"{prefix}celery")
    return not db_tasks().filter(status="READY").exists()


def db_tasks() -> Any:
    return apps.get_model("django_tasks_database", "DBTaskResult").objects


def double_messages(host: Host, broker: Any, prefix: str) -> None:
    """Put each message that waits into the queue once more."""
    if isinstance(host, CeleryHost):
        for raw in broker.lrange(f"{prefix}celery", 0, -1):
            message = json.loads(raw)
            message["properties"]["delivery_tag"] = str(uuid.uuid4())
            broker.lpush(f"{prefix}celery", json.dumps(message))
        return
    for task in db_tasks().filter(status="READY"):
        task.pk = uuid.uuid4()
        task.save(force_insert=True)


def lose_messages(host: Host, broker: Any, prefix: str) -> None:
    if isinstance(host, CeleryHost):
        assert broker.delete(f"{prefix}celery")
    else:
        assert db_tasks().filter(status="READY").delete()[0]


def start_two_workers(host: Host) -> None:
    if isinstance(host, CeleryHost):
        host.start_worker(children=2)
    else:
        host.start_worker()
        host.start_worker()


# In order.


def test_receivers_run_in_a_worker_after_the_answer(host: Host) -> None:
    payment = pending()
    server = host.serve()
    host.hold.touch()
    worker = host.start_worker()

    assert server.notify(payment) < AT_ONCE
    wait_until(lambda: is_in_slow(payment))
    host.hold.unlink()
    wait_until(lambda: is_settled(payment))

    assert calls(payment) == ONCE
    processes = set(ReceiverCall.objects.values_list("process", flat=True))
    assert {os.getpgid(process) for process in processes} == {worker.pid}


def test_slow_receiver_is_not_called_again(host: Host, broker: Any, prefix: str) -> None:
    payment = pending()
    server = host.serve()
    server.notify(payment)
    double_messages(host, broker, prefix)
    host.hold.touch()

    start_two_workers(host)
    wait_until(lambda: is_in_slow(payment))
    wait_until(lambda: no_message_waits(host, broker, prefix))
    host.reconcile()
    assert calls(payment) == {"quick": 1, "quick ended": 1, "slow": 1}
    host.hold.unlink()
    wait_until(lambda: is_settled(payment))

    assert calls(payment) == ONCE


# Killed in the middle.


def kill_in_the_second_receiver(host: Host, payment: Payment, death: Callable[[Any], object]) -> datetime:
    """Kill a worker while the second receiver runs, and return when."""
    host.hold.touch()
    worker = host.start_worker()
    host.serve().notify(payment)
    wait_until(lambda: is_in_slow(payment))
    death(worker)
    killed_at = timezone.now()
    host.hold.unlink()
    assert event_of(payment).deliver_at > timezone.now()  # type: ignore[operator]
    assert event_of(payment).delivered == ["payment_succeeded tests.workers.receivers.quick"]
    return killed_at


def assert_cron_makes_good(host: Host, payment: Payment, killed_at: datetime) -> None:
    """Reconcile: in vain while the lease of the dead runs, and then for what has not gone through."""
    host.reconcile()
    assert calls(payment) == {"quick": 1, "quick ended": 1, "slow": 1}
    let_leases_run_out()
    host.reconcile()
    host.reconcile()
    assert is_settled(payment)
    assert calls(payment) == {"quick": 1, "quick ended": 1, "slow": 2, "slow ended": 1}
    assert_none_ran_twice_at_once(killed_at)


def test_worker_killed_in_a_receiver(host: Host) -> None:
    payment, other = pending(), pending()

    killed_at = kill_in_the_second_receiver(host, payment, kill)

    # A new worker continues with the next task; what the dead one had begun waits until its lease has expired.
    host.start_worker()
    host.serve().notify(other)
    wait_until(lambda: calls(other) == ONCE)
    assert_cron_makes_good(host, payment, killed_at)


def test_celery_child_killed_in_a_receiver(celery_host: CeleryHost) -> None:
    payment = pending()

    killed_at = kill_in_the_second_receiver(celery_host, payment, lambda worker: kill_child(payment))

    assert_cron_makes_good(celery_host, payment, killed_at)


def test_message_redelivered_by_celery_does_nothing(celery_host: CeleryHost) -> None:
    payment, other = pending(), pending()
    celery_host.set(CELERY_TASK_ACKS_LATE=True, CELERY_TASK_REJECT_ON_WORKER_LOST=True)

    killed_at = kill_in_the_second_receiver(celery_host, payment, lambda worker: kill_child(payment))

    # The message is back; the only child takes it before the next one.
    celery_host.serve().notify(other)
    wait_until(lambda: calls(other) == ONCE)
    assert celery_host.output.read_text().count("paiementpro.deliver_event") > 2
    assert_cron_makes_good(celery_host, payment, killed_at)


def kill_child(payment: Payment) -> None:
    os.kill(ReceiverCall.objects.get(reference=payment.reference, receiver="slow").process, signal.SIGKILL)


def test_workers_killed_again_and_again(host: Host, broker: Any, prefix: str) -> None:
    payments = [pending() for _ in range(24)]
    server = host.serve()
    with ThreadPoolExecutor(8, initializer=connections.close_all) as pool:
        list(pool.map(server.notify, payments))
    double_messages(host, broker, prefix)
    killed_at = []

    for kills in range(1, 4):
        begun = ReceiverCall.objects.count()
        worker = host.start_worker()
        wait_until(lambda begun=begun, kills=kills: ReceiverCall.objects.count() > begun + 3 * kills)
        kill(worker)
        killed_at.append(timezone.now())
    let_leases_run_out()
    start_two_workers(host)
    host.reconcile()
    wait_until(lambda: no_message_waits(host, broker, prefix))
    wait_until(lambda: is_settled(*payments))

    assert_none_ran_twice_at_once(*killed_at)
    again = Counter[str]()
    for payment in payments:
        told = calls(payment)
        assert told["quick ended"] >= 1
        assert told["slow ended"] >= 1
        again.update({name: count - 1 for name, count in told.items()})
    # A kill interrupts one delivery, in which one receiver may have to be called again.
    assert again["quick"] + again["slow"] <= len(killed_at)


# What the backend drops, or brings late.


def test_broker_loses_its_messages(host: Host, broker: Any, prefix: str) -> None:
    payment, other = pending(), pending()
    server = host.serve()
    server.notify(payment)
    lose_messages(host, broker, prefix)

    host.start_worker()
    server.notify(other)
    wait_until(lambda: calls(other) == ONCE)
    assert calls(payment) == {}
    let_leases_run_out()
    host.reconcile()

    assert is_settled(payment)
    assert calls(payment) == ONCE


def test_duplicate_and_late_messages_do_nothing(host: Host, broker: Any, prefix: str) -> None:
    payment, other = pending(), pending()
    server = host.serve()
    server.notify(payment)
    double_messages(host, broker, prefix)
    let_leases_run_out()
    host.reconcile()
    assert calls(payment) == ONCE

    server.notify(other)
    host.start_worker()
    wait_until(lambda: calls(other) == ONCE)

    assert no_message_waits(host, broker, prefix)
    assert calls(payment) == ONCE


# A broker that is away.


def assert_waits_for_cron(payment: Payment) -> None:
    assert calls(payment) == {}
    assert event_of(payment).deliver_at < timezone.now()  # type: ignore[operator]


def test_broker_restarts(own_redis_host: CeleryHost, own_redis: Redis) -> None:
    before, meanwhile, silent, after = pending(), pending(), pending(), pending()
    server = own_redis_host.serve()
    worker = own_redis_host.start_worker()
    server.notify(before)
    wait_until(lambda: calls(before) == ONCE)

    with own_redis.stopped():
        waited = server.notify(silent)
    own_redis.kill()
    refused = server.notify(meanwhile)
    print(f"answered after {waited:.2f} s (silent), {refused:.2f} s (refused)")  # noqa: T201  seen with -rP

    assert waited < AFTER_GIVING_UP
    assert refused < AT_ONCE
    for payment in (meanwhile, silent):
        assert_waits_for_cron(payment)
    own_redis_host.reconcile()
    assert calls(meanwhile) == calls(silent) == ONCE

    own_redis.start()
    server.notify(after)
    wait_until(lambda: calls(after) == ONCE)
    wait_until(lambda: is_settled(before, meanwhile, silent, after))
    assert worker.poll() is None
    kill(server.process)
    assert "delivery_not_queued" in own_redis_host.output.read_text()
    assert Redis.password not in own_redis_host.output.read_text()


def test_missing_task_table_fails_no_notification(framework_host: FrameworkHost) -> None:
    payment = pending()
    table = db_tasks().model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO away")
        try:
            assert framework_host.serve().notify(payment) < AT_ONCE
        finally:
            cursor.execute(f"ALTER TABLE away RENAME TO {table}")

    assert_waits_for_cron(payment)
    framework_host.reconcile()
    assert calls(payment) == ONCE


# Celery's beat.


def test_celery_reconciles(celery_host: CeleryHost) -> None:
    payment = pending()
    celery_host.serve().notify(payment)
    let_leases_run_out()

    celery_host.start_worker()
    celery_host.start("-m", "celery", "-A", "tests.workers.celery_app", "call", "paiementpro.reconcile")
    wait_until(lambda: is_settled(payment))

    time.sleep(0.5)
    assert calls(payment) == ONCE
