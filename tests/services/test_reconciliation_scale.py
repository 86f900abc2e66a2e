"""Many payments at once: who is asked about when, how many at a time, how fast, and until when."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections
from django.test import override_settings
from django.utils import timezone, translation

from django_paiementpro import services
from django_paiementpro.delivery import outbox
from django_paiementpro.management.commands import paiementpro_reconcile
from django_paiementpro.models import Payment, PaymentEvent, ReconciliationRun
from django_paiementpro.services import reconciliation, runs
from django_paiementpro.services.reconciliation import due_payments, overdue_payments
from django_paiementpro.signals import payment_succeeded
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import Heard, due_event, stored
from tests.server.threads import DEADLINE, Gate, meanwhile, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("look_up")]

Answered = Callable[[Any], tuple[int, dict[str, str], bytes]]


def pending(number: int = 1, **values: Any) -> list[Payment]:
    now = timezone.now()
    return [make_payment(**{"status": "pending", "attempt": 1, "initialized_at": now, **values}) for _ in range(number)]


def answer(gateway: FakeGateway, payment: Payment, before: Callable[[], Any] = lambda: None) -> None:
    """Let the gateway know nothing of the payment, once ``before`` has returned."""

    def tell(request: Any) -> tuple[int, dict[str, str], bytes]:
        before()
        return 200, {}, b'{"success": false}'

    gateway.tells(payment.reference, tell)


# When ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opened", "asked", "is_due"),
    [
        (timedelta(minutes=5), None, True),
        (timedelta(minutes=59), timedelta(0), True),
        (timedelta(hours=2), timedelta(minutes=29), False),
        (timedelta(hours=2), timedelta(minutes=31), True),
        (timedelta(hours=8), timedelta(minutes=31), False),
        (timedelta(hours=8), timedelta(hours=2), False),
        (timedelta(hours=8), timedelta(hours=4), True),
        (timedelta(hours=47), timedelta(hours=4), False),
        (timedelta(hours=47), timedelta(hours=25), True),
        (timedelta(hours=49), timedelta(minutes=1), True),  # once more before it expires
        (timedelta(hours=2), -timedelta(hours=5), True),  # by a clock that was set back since
    ],
)
def test_older_payments_are_checked_less_often(opened: timedelta, asked: timedelta | None, is_due: bool) -> None:
    now = timezone.now()
    with override_settings(PAIEMENTPRO_EXPIRES_AFTER=timedelta(hours=48)):
        pending(initialized_at=now - opened, checked_at=None if asked is None else now - asked)

        assert due_payments(now).exists() is is_due


@pytest.mark.parametrize(
    ("attempt", "age", "is_due"),
    [(0, timedelta(0), False), (1, timedelta(minutes=59), True), (1, timedelta(minutes=61), False)],
)
def test_lost_page_ages_from_its_last_event(attempt: int, age: timedelta, is_due: bool) -> None:
    now = timezone.now()
    make_payment(attempt=attempt, checked_at=now - timedelta(seconds=5))
    Payment.objects.update(updated_at=now - age)

    assert due_payments(now).exists() is is_due


def test_overdue_counts_from_the_newest_page() -> None:
    now = timezone.now()
    long_ago = now - timedelta(hours=25)
    overdue = [*pending(initialized_at=long_ago), *pending(initialized_at=None, created_at=long_ago)]
    pending(created_at=long_ago)
    pending(initialized_at=None)

    assert list(overdue_payments(now).order_by("pk")) == overdue


@pytest.mark.parametrize("status", ["failed", "expired", "cancelled"])
@pytest.mark.parametrize(
    ("opened", "asked", "is_due"),
    [
        (timedelta(minutes=5), None, True),
        (timedelta(minutes=5), timedelta(minutes=5), True),
        (timedelta(hours=5), timedelta(minutes=29), False),
        (timedelta(hours=5), timedelta(minutes=31), True),
        (timedelta(hours=25), timedelta(hours=23), False),
        (timedelta(hours=71), timedelta(hours=25), True),
        (timedelta(hours=73), timedelta(hours=25), False),
    ],
)
@pytest.mark.parametrize("has_page", [True, False])
def test_final_payments_are_checked_for_three_days(
    opened: timedelta, asked: timedelta | None, is_due: bool, status: str, has_page: bool
) -> None:
    now = timezone.now()
    values = {"initialized_at": now - opened if has_page else None}
    # It did not fail before today: otherwise it would have expired.
    pending(status=status, checked_at=None if asked is None else now - asked, settled_at=now, **values)
    Payment.objects.update(updated_at=now if has_page else now - opened)

    assert due_payments(now).exists() is is_due
    assert services.preview_reconciliation()["asked"] == is_due


@pytest.mark.parametrize(("asked", "is_due"), [(timedelta(hours=25), False), (None, True)])
def test_unanswered_expired_payment_is_checked_until_answered(asked: timedelta | None, is_due: bool) -> None:
    now = timezone.now()
    pending(
        status="expired",
        initialized_at=now - timedelta(days=40),
        checked_at=None if asked is None else now - asked,
    )

    assert due_payments(now).exists() is is_due


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_payment_given_up_without_an_attempt_is_not_asked_about(status: str) -> None:
    pending(status=status, attempt=0, initialized_at=None)

    assert not due_payments(timezone.now()).exists()


@pytest.mark.parametrize(
    ("status", "signals", "needs_review"),
    [("failed", ["payment_succeeded"], False), ("cancelled", ["payment_succeeded", "payment_flagged"], True)],
)
def test_unpaid_final_payment_is_found_paid(
    gateway: FakeGateway, heard: Heard, status: str, signals: list[str], needs_review: bool
) -> None:
    (payment,) = pending(status=status, initialized_at=timezone.now() - timedelta(hours=50))
    gateway.confirms(payment)

    assert services.reconcile().settled == 1

    payment = stored(payment)
    assert (payment.status, payment.settled_by, payment.needs_review) == ("succeeded", "status", needs_review)
    assert heard.names == signals


def test_newest_payments_are_checked_first(gateway: FakeGateway) -> None:
    payments = pending(3)
    for payment in payments:
        answer(gateway, payment)

    services.reconcile(workers=1)

    assert gateway.look_ups == [payment.reference for payment in reversed(payments)]


# How many, how fast --------------------------------------------------------------------------------------------------


def test_lookups_run_in_parallel(gateway: FakeGateway) -> None:
    together = threading.Barrier(4, timeout=DEADLINE)
    for payment in pending(8):
        answer(gateway, payment, together.wait)

    totals = services.reconcile(workers=4)

    assert (totals.asked, totals.look_ups, totals.failed) == (8, 8, 0)


def test_thread_count_follows_the_option(gateway: FakeGateway) -> None:
    number = 33  # more than Python takes by itself
    together = threading.Barrier(number, timeout=DEADLINE)
    payments = [Payment(status="pending", attempt=1) for _ in range(number)]
    for payment in payments:
        answer(gateway, payment, together.wait)

    look_ups = list(reconciliation.Workers(number, 0, threading.Event()).ask_about(iter(payments)))

    assert [look_up.bug for look_up in look_ups] == [None] * number


def test_parallel_lookups_are_limited(gateway: FakeGateway) -> None:
    lock, numbers, under_way = threading.Lock(), [], 0

    def count() -> None:
        nonlocal under_way
        with lock:
            under_way += 1
            numbers.append(under_way)
        time.sleep(0.02)
        with lock:
            under_way -= 1

    for payment in pending(9):
        answer(gateway, payment, count)

    services.reconcile(workers=3)

    assert max(numbers) <= 3


def test_threads_are_named(gateway: FakeGateway) -> None:
    names = []
    for payment in pending(3):
        answer(gateway, payment, lambda: names.append(threading.current_thread().name))

    services.reconcile(workers=1)

    assert names == ["paiementpro_0"] * 3


def test_one_thread_uses_the_database(gateway: FakeGateway) -> None:
    threads = set()

    def note(execute: Any, *arguments: Any) -> Any:
        threads.add(threading.current_thread())
        return execute(*arguments)

    for payment in pending(4):
        gateway.confirms(payment)
    with connection.execute_wrapper(note):
        assert services.reconcile(workers=4).settled == 4
    assert threads == {threading.current_thread()}


def test_look_ups_per_minute_are_limited(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "MINUTE", 0.5)
    payments = [*pending(3), *pending(2, attempt=2)]
    for payment in payments:
        for attempt in range(1, payment.attempt + 1):
            gateway.tells(payment.reference_of(attempt), b"{}")
    started_at = time.monotonic()

    totals = services.reconcile(workers=4, rate=2)

    assert (totals.asked, totals.look_ups) == (5, 7)
    # The last of seven comes after three times two, each pair half a second after the one before.
    assert time.monotonic() - started_at >= 1.5


def test_rate_limiter_waits_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    now, pauses = 1000.0, []

    class Clockwork(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal now
            pauses.append(timeout)
            now += timeout or 0
            return False

    monkeypatch.setattr(reconciliation.time, "monotonic", lambda: now)
    limiter = reconciliation.RateLimiter(2, Clockwork())

    assert all(limiter.wait() for _ in range(5))
    assert pauses == [60, 60]


# Until when ----------------------------------------------------------------------------------------------------------


def test_outage_ends_lookups_but_not_the_run(gateway: FakeGateway, heard: Heard) -> None:
    now = timezone.now()
    before = now - timedelta(minutes=5)
    overdue, *payments = [*pending(initialized_at=now - timedelta(hours=25)), *pending(20, checked_at=before)]
    for payment in [overdue, *payments]:
        gateway.tells(payment.reference, requests.ConnectionError())
    owed = make_payment(status="succeeded")
    due_event(owed)

    totals = services.reconcile(workers=1)

    assert gateway.look_ups == [payment.reference for payment in payments[:-6:-1]]
    assert (totals.gateway_away, totals.asked, totals.unanswered) == (True, 5, 5)
    assert (totals.expired, totals.delivered) == (1, 1)
    assert heard.names == ["payment_succeeded", "payment_expired"]
    # None of them was asked about, so the next run asks, also about the expired payment.
    assert [stored(payment).checked_at for payment in [overdue, *payments]] == [None, *[before] * 20]

    gateway.knows_nothing()
    gateway.confirms(overdue)
    totals = services.reconcile()

    assert (totals.gateway_away, totals.asked, totals.settled) == (False, 21, 1)
    assert stored(overdue).status == "succeeded"


def test_one_answer_resets_the_outage_count(gateway: FakeGateway) -> None:
    payments = pending(9)
    for payment in payments:
        gateway.tells(payment.reference, b"", 503)
    gateway.tells(payments[4].reference, {"success": False})

    totals = services.reconcile(workers=1)

    assert (totals.gateway_away, totals.asked, totals.unanswered) == (False, 9, 8)


def test_partly_answered_expired_payment_is_checked_again(gateway: FakeGateway) -> None:
    (payment,) = pending(attempt=2, initialized_at=timezone.now() - timedelta(hours=25))
    gateway.tells(payment.reference, b"", 503)

    for _ in range(2):
        services.reconcile()
        assert (stored(payment).status, stored(payment).checked_at) == ("expired", None)

    gateway.confirms(payment, 1)
    services.reconcile()
    assert stored(payment).status == "succeeded"


@pytest.mark.parametrize(("body", "status"), [(b"<html>", 404), (b"", 500), (b"[]", 200), (b'{"detail": "no"}', 403)])
def test_unusable_newest_answers_do_not_hide_older_ones(gateway: FakeGateway, body: bytes, status: int) -> None:
    (paid,) = pending(initialized_at=timezone.now() - timedelta(hours=25))
    for payment in pending(reconciliation.AWAY_AFTER * 2):
        gateway.tells(payment.reference, body, status)
    gateway.confirms(paid)

    totals = services.reconcile(workers=1)

    assert (totals.gateway_away, totals.unanswered, totals.settled) == (False, 10, 1)


def test_unusable_answers_end_lookups(gateway: FakeGateway) -> None:
    payments = pending(reconciliation.USELESS_AFTER + 5)
    for payment in payments:
        gateway.tells(payment.reference, b"", 500)

    totals = services.reconcile(workers=1)

    assert (totals.gateway_away, totals.asked) == (True, reconciliation.USELESS_AFTER)


def test_usable_answer_resets_the_outage_count(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "USELESS_AFTER", 3)
    payments = pending(6)
    for payment in payments:
        gateway.tells(payment.reference, b"", 500)
    for payment in (payments[0], payments[3]):
        gateway.tells(payment.reference, {"success": False})

    totals = services.reconcile(workers=1)

    assert (totals.gateway_away, totals.asked, totals.unanswered) == (False, 6, 4)


def test_status_429_ends_lookups(gateway: FakeGateway) -> None:
    for payment in pending(reconciliation.AWAY_AFTER + 2):
        gateway.tells(payment.reference, b'{"message": "Too Many Requests"}', 429)

    totals = services.reconcile(workers=1)

    assert (totals.gateway_away, totals.asked) == (True, reconciliation.AWAY_AFTER)


def test_late_answer_does_not_hide_an_outage(gateway: FakeGateway) -> None:
    payments = pending(reconciliation.AWAY_AFTER + 1)
    for payment in payments[:-1]:
        gateway.tells(payment.reference, b"", 503)
    newest = payments[-1]  # asked about first
    answer(gateway, newest, lambda: (wait_until(lambda: len(gateway.look_ups) == len(payments)), time.sleep(1)))

    totals = services.reconcile(workers=2)

    assert (totals.gateway_away, totals.asked) == (True, 6)


def test_stop_ends_the_search_for_payments(gateway: FakeGateway) -> None:
    run()
    stop = threading.Event()
    payments = pending(5, checked_at=timezone.now() - timedelta(minutes=1))
    taken = 0

    def take(execute: Any, sql: str, *arguments: Any) -> Any:
        nonlocal taken
        if sql.startswith("UPDATE") and "checked_at" in sql.partition("WHERE")[0]:
            taken += 1
            stop.set()
        return execute(sql, *arguments)

    with connection.execute_wrapper(take):
        services.reconcile(stop=stop)

    assert (taken, len(payments), gateway.look_ups) == (1, 5, [])


def test_undelivered_new_settlement_waits_for_the_next_run(gateway: FakeGateway) -> None:
    run()  # so that what is owed is delivered last
    calls: list[Payment] = []

    def fail(payment: Payment, **kwargs: Any) -> None:
        calls.append(payment)
        raise ValueError

    (paid,) = pending()
    gateway.confirms(paid)
    payment_succeeded.connect(fail, dispatch_uid="fail")
    try:
        assert services.reconcile().undelivered == 0
        assert calls == [paid]
        assert services.reconcile().undelivered == 1
    finally:
        payment_succeeded.disconnect(dispatch_uid="fail")


def test_interrupted_check_is_repeated(gateway: FakeGateway) -> None:
    stop = threading.Event()
    (payment,) = pending(attempt=2, initialized_at=timezone.now() - timedelta(hours=25))
    gateway.tells(
        payment.reference_of(2), lambda request: stop.set() or time.sleep(1.5) or (200, {}, b'{"success": false}')
    )
    gateway.confirms(payment, 1)

    services.reconcile(stop=stop)

    assert (stored(payment).status, stored(payment).checked_at) == ("expired", None)
    assert services.reconcile().settled == 1


def test_expired_payment_is_checked_after_a_long_outage(gateway: FakeGateway) -> None:
    (payment,) = pending(status="expired")
    Payment.objects.update(updated_at=timezone.now() - timedelta(days=40))
    gateway.confirms(payment)

    assert services.reconcile().settled == 1


def test_stop_ends_a_run_after_pending_lookups(gateway: FakeGateway) -> None:
    stop = threading.Event()
    payments = pending(6, initialized_at=timezone.now() - timedelta(hours=25))
    for payment in payments:
        gateway.tells(payment.reference, lambda request: stop.set() or (200, {}, b'{"success": false}'))

    totals = services.reconcile(workers=1, stop=stop)

    assert (totals.stopped, totals.asked, totals.expired) == (True, 1, 1)
    assert len(gateway.look_ups) == 1


def test_stop_ends_the_wait_and_releases_payments(gateway: FakeGateway) -> None:
    stop = threading.Event()
    before = timezone.now() - timedelta(minutes=5)
    for payment in pending(3, checked_at=before):
        answer(gateway, payment)

    def stop_soon() -> None:
        while not gateway.look_ups:
            time.sleep(0.01)
        time.sleep(0.3)
        stop.set()

    thread = threading.Thread(target=stop_soon)
    thread.start()
    started_at = time.monotonic()

    totals = services.reconcile(workers=2, rate=1, stop=stop)

    thread.join()
    assert time.monotonic() - started_at < 30  # it would be a minute
    assert (totals.stopped, totals.asked) == (True, 1)
    assert Payment.objects.filter(checked_at=before).count() == 2


def test_stop_ends_deliveries(heard: Heard) -> None:
    stop = threading.Event()
    stop.set()
    due_event(make_payment(status="succeeded"))

    totals = services.reconcile(stop=stop)

    assert (totals.stopped, totals.delivered, heard) == (True, 0, [])


def test_slow_receivers_do_not_keep_the_gateway_from_being_asked(
    gateway: FakeGateway, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "DELIVERY_FIRST", 0.0)
    owed = [make_payment(status="succeeded") for _ in range(3)]
    for payment in owed:
        due_event(payment)
    (paid,) = pending()
    gateway.confirms(paid)

    totals = services.reconcile()

    assert (totals.delivered, totals.settled) == (3, 1)
    assert [payment for _name, payment in heard] == [owed[0], paid, owed[1], owed[2]]


def test_failing_receiver_is_called_once_per_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "DELIVERY_FIRST", 0.0)
    calls: list[str] = []

    def fail(payment: Payment, **kwargs: Any) -> None:
        calls.append(payment.reference)
        raise ValueError

    payments = [make_payment(status="succeeded") for _ in range(3)]
    for payment in payments:
        due_event(payment)
    payment_succeeded.connect(fail, dispatch_uid="fail")
    try:
        totals = services.reconcile()
    finally:
        payment_succeeded.disconnect(dispatch_uid="fail")

    assert totals.undelivered == 3
    assert calls == [payment.reference for payment in payments]


def test_least_recently_tried_is_delivered_first(heard: Heard) -> None:
    payments = [make_payment(status="succeeded") for _ in range(4)]
    for payment, minutes in zip(payments, (1, 9, 5, 9), strict=True):
        event = due_event(payment)
        PaymentEvent.objects.filter(pk=event.pk).update(deliver_at=event.deliver_at - timedelta(minutes=minutes))

    assert services.reconcile().delivered == 4

    assert [payment for _name, payment in heard] == [payments[index] for index in (1, 3, 2, 0)]


def test_owed_events_are_read_in_batches(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "PAGE_SIZE", 2)
    payments = [make_payment(status="succeeded") for _ in range(5)]
    moment = timezone.now() - timedelta(hours=1)
    for payment in payments:
        due_event(payment)
    PaymentEvent.objects.update(deliver_at=moment)
    PaymentEvent.objects.filter(payment=payments[1]).update(signals=["payment_teleported"])

    totals = services.reconcile()

    assert (totals.delivered, totals.undelivered) == (4, 1)
    assert [payment for _name, payment in heard] == [payments[0], *payments[2:]]


def test_database_error_on_a_payment_stops_no_other(gateway: FakeGateway) -> None:
    (bad,), (good,) = pending(pk=987_654), pending()
    gateway.confirms(bad)
    gateway.confirms(good)

    def fail(execute: Any, sql: str, params: Any, *arguments: Any) -> Any:
        if sql.startswith("UPDATE") and bad.pk in params:
            raise OperationalError("gone")
        return execute(sql, params, *arguments)

    with connection.execute_wrapper(fail):
        totals = services.reconcile()

    assert (totals.failed, totals.settled) == (1, 1)
    assert [stored(payment).status for payment in (bad, good)] == ["pending", "succeeded"]


# Several runs --------------------------------------------------------------------------------------------------------


def run(**values: Any) -> ReconciliationRun:
    """Note a run that began two minutes ago and is at work, on another machine."""
    now = timezone.now()
    return ReconciliationRun.objects.create(
        **{"host": "elsewhere", "process_id": 1, "started_at": now - timedelta(minutes=2), "seen_at": now, **values}
    )


def asks_again() -> bool:
    """Whether a run that begins now asks about what was asked about a minute ago."""
    _run, since, _is_alone = runs.begin_run()
    return since > timezone.now() - timedelta(minutes=1)


def test_run_joins_a_running_one() -> None:
    assert str(run()) == "elsewhere:1"
    assert not asks_again()


def test_finished_run_is_not_joined() -> None:
    run(finished_at=timezone.now())
    assert asks_again()


@pytest.mark.parametrize(("age", "is_joined"), [(timedelta(seconds=119), True), (timedelta(minutes=2), False)])
def test_run_with_a_stale_heartbeat_is_not_joined(age: timedelta, is_joined: bool) -> None:
    run(seen_at=timezone.now() - age)
    assert asks_again() is not is_joined


def test_run_in_another_thread_is_joined() -> None:
    first, since, _is_alone = runs.begin_run()
    second, joined_since, _is_alone = runs.begin_run()
    assert joined_since == since
    runs.finish_run(first, {})
    assert runs.begin_run()[1] == second.started_at


def test_hours_long_run_does_not_block_checks() -> None:
    run(started_at=timezone.now() - timedelta(minutes=50))
    _run, since, _is_alone = runs.begin_run()
    assert since > timezone.now() - runs.LOOK_BACK - timedelta(minutes=1)


@pytest.mark.parametrize(("age", "is_asked_first"), [(timedelta(minutes=40), True), (timedelta(minutes=61), False)])
def test_unfinished_run_makes_lookups_come_first(
    gateway: FakeGateway, heard: Heard, age: timedelta, is_asked_first: bool
) -> None:
    run(seen_at=timezone.now() - timedelta(minutes=30), started_at=timezone.now() - age)
    owed = make_payment(status="succeeded")
    due_event(owed)
    (paid,) = pending()
    gateway.confirms(paid)

    assert services.reconcile().delivered == 1
    assert [payment for _name, payment in heard] == ([paid, owed] if is_asked_first else [owed, paid])


@pytest.mark.parametrize(
    ("ages", "is_left"),
    [
        ({}, True),
        ({"seen_at": -timedelta(minutes=1)}, True),
        ({"started_at": timedelta(days=2)}, True),
        ({"seen_at": timedelta(minutes=3)}, False),
        ({"seen_at": -timedelta(days=30)}, False),
        ({"finished_at": timedelta(0)}, False),
    ],
    ids=["alive", "a little ahead", "old", "stale", "far ahead", "ended"],
)
def test_hanging_receiver_is_not_called_by_another_run(heard: Heard, ages: dict[str, timedelta], is_left: bool) -> None:
    values = {name: timezone.now() - age for name, age in ages.items()}
    hangs, other = (make_payment(status="succeeded") for _ in range(2))
    event = due_event(hangs)
    due_event(other)
    run(event_id=event.pk, **values)

    totals = services.reconcile()

    assert (totals.delivered, totals.undelivered) == ((1, 1) if is_left else (2, 0))
    assert [payment for _name, payment in heard] == ([other] if is_left else [hangs, other])


@pytest.fixture
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a heartbeat be due, be stale, and leases run out, within a second."""
    monkeypatch.setattr(runs, "HEARTBEAT", timedelta(seconds=0.05))
    monkeypatch.setattr(runs, "STALE_AFTER", timedelta(seconds=1))
    monkeypatch.setattr(outbox, "LEASE", timedelta(seconds=0.1))


@pytest.mark.usefixtures("short_times")
def test_run_with_a_hanging_receiver_keeps_recording_heartbeats(heard: Heard) -> None:
    hangs, other = (make_payment(status="succeeded") for _ in range(2))
    due_event(hangs)
    gate = Gate()

    def hang(payment: Payment, **kwargs: Any) -> None:
        if payment == hangs:
            gate()

    payment_succeeded.connect(hang, dispatch_uid="hang")
    try:
        with meanwhile(services.reconcile) as first:
            gate.await_arrival()
            time.sleep(1.2)  # its heartbeat would be stale, and its lease has run out
            due_event(other)
            totals = services.reconcile()
            gate.open()
    finally:
        payment_succeeded.disconnect(dispatch_uid="hang")

    assert (totals.delivered, totals.undelivered) == (1, 1)
    assert [payment for _name, payment in heard] == [hangs, other]
    assert first.result(DEADLINE).delivered == 1


@pytest.mark.usefixtures("short_times")
def test_failed_heartbeat_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    found_open: list[bool] = []
    stored_runs = runs._runs

    def fail_first() -> Any:
        if threading.current_thread().name == "paiementpro-heartbeats":
            found_open.append(any(each.connection for each in connections.all(initialized_only=True)))
            if len(found_open) == 1:
                raise OperationalError("gone")
        return stored_runs()

    monkeypatch.setattr(runs, "_runs", fail_first)
    begun, _since, _is_alone = runs.begin_run()
    with runs.heartbeats(begun):
        wait_until(lambda: len(found_open) >= 3)
    count = len(found_open)
    time.sleep(0.2)

    assert ReconciliationRun.objects.get().seen_at > begun.seen_at
    assert found_open == [False] * count


def test_run_records_the_current_delivery(heard: Heard) -> None:
    noted: list[int | None] = []

    def note(event: PaymentEvent, **kwargs: Any) -> None:
        noted.append(ReconciliationRun.objects.get().event_id)

    events = [due_event(make_payment(status="succeeded")) for _ in range(2)]
    payment_succeeded.connect(note, dispatch_uid="note")
    try:
        services.reconcile()
    finally:
        payment_succeeded.disconnect(dispatch_uid="note")

    assert noted == [event.pk for event in events]
    assert ReconciliationRun.objects.get().event_id is None


def test_long_host_name_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs.socket, "gethostname", lambda: "h" * 300)
    begun, _since, _is_alone = runs.begin_run()
    assert begun.host == "h" * 255


def test_runs_are_remembered_for_a_week() -> None:
    now = timezone.now()
    run(started_at=now - timedelta(days=8))
    recent = run(started_at=now - timedelta(days=6))

    services.reconcile()

    assert ReconciliationRun.objects.filter(started_at__lt=now).get() == recent
    assert ReconciliationRun.objects.latest("pk").totals["failed"] == 0


def test_aborted_run_is_not_finished() -> None:
    def broken(step: str, rows: Iterator[Any], count: int) -> Iterator[Any]:
        raise OperationalError("gone")

    with pytest.raises(OperationalError):
        services.reconcile(progress=broken)

    broken_off = ReconciliationRun.objects.get()
    assert broken_off.finished_at is None
    assert runs.begin_run()[1] == broken_off.started_at
    ReconciliationRun.objects.update(seen_at=timezone.now() - runs.STALE_AFTER)
    begun, since, _is_alone = runs.begin_run()
    assert since == begun.started_at


# The command ---------------------------------------------------------------------------------------------------------


def exit_code(*arguments: str) -> int:
    try:
        paiementpro_reconcile.Command().run_from_argv(["manage.py", "paiementpro_reconcile", *arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_exit_code_shows_failures(gateway: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code() == 0

    payments = pending(5)
    for payment in payments:
        gateway.tells(payment.reference, b"", 502)
    assert exit_code() == 3
    assert "The gateway stopped answering" in capsys.readouterr().err

    for payment in payments:
        gateway.tells(payment.reference, KeyError("a bug"))
    assert exit_code() == 1


def test_owed_signal_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    due_event(make_payment(status="succeeded"))
    assert exit_code() == 1
    assert "1 still undelivered" in capsys.readouterr().out


def test_signal_leased_elsewhere_is_not_owed(heard: Heard) -> None:
    first, second = (make_payment(status="succeeded") for _ in range(2))
    due_event(first)
    due_event(second)

    def take(payment: Payment, **kwargs: Any) -> None:
        later = timezone.now() + timedelta(minutes=5)
        PaymentEvent.objects.filter(payment=second).update(deliver_at=later)

    payment_succeeded.connect(take, dispatch_uid="take")
    try:
        assert exit_code() == 0
    finally:
        payment_succeeded.disconnect(dispatch_uid="take")
    assert [payment for _name, payment in heard] == [first]


def test_call_command_does_not_exit(gateway: FakeGateway) -> None:
    for payment in pending(5):
        gateway.tells(payment.reference, b"", 500)

    call_command("paiementpro_reconcile")


def test_json_option_prints_json(gateway: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    (payment,) = pending()
    gateway.confirms(payment)

    call_command("paiementpro_reconcile", "--json", "--workers=2", "--rate=0")

    numbers = json.loads(capsys.readouterr().out)
    assert numbers.pop("seconds") > 0
    assert numbers.pop("look_ups_per_second") > 0
    assert (
        numbers.items()
        >= {
            "asked": 1,
            "settled": 1,
            "expired": 0,
            "unanswered": 0,
            "delivered": 0,
            "undelivered": 0,
            "failed": 0,
            "look_ups": 1,
            "gateway_away": False,
            "stopped": False,
        }.items()
    )


def test_dry_run_changes_nothing(gateway: FakeGateway, capsys: pytest.CaptureFixture[str]) -> None:
    pending(2)
    pending(3, initialized_at=timezone.now() - timedelta(hours=25))

    call_command("paiementpro_reconcile", "--dry-run")
    assert capsys.readouterr().out.startswith("To check: 5. To expire, unless the gateway confirms them: 3.")
    with override_settings(PAIEMENTPRO_STATUS_URL=None):
        call_command("paiementpro_reconcile", "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out) == {"dry_run": True, "asked": 0, "expired": 3, "delivered": 0}

    assert gateway.look_ups == []
    assert Payment.objects.filter(status="pending", checked_at=None).count() == 5
    assert not ReconciliationRun.objects.exists()


@pytest.mark.parametrize("option", ["--workers=0", "--workers=129", "--workers=x", "--rate=-1", "--rate=1.5"])
def test_invalid_number_is_refused(option: str) -> None:
    with pytest.raises(CommandError, match="whole number"):
        call_command("paiementpro_reconcile", option)


def test_output_is_translated(capsys: pytest.CaptureFixture[str]) -> None:
    with translation.override("fr"):
        call_command("paiementpro_reconcile")
    assert "expirés" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_signal_stops_the_run(
    gateway: FakeGateway, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    handler = signal.getsignal(number)
    for payment in pending(3):
        answer(gateway, payment, lambda: os.kill(os.getpid(), number))

    assert exit_code("--workers=1") == 0

    captured = capsys.readouterr()
    assert captured.out.startswith("1 checked")
    assert "Stopped by a signal before the end" in captured.err
    assert signal.getsignal(number) == handler


@pytest.mark.django_db(transaction=False)
def test_command_runs_in_a_test_case(gateway: FakeGateway) -> None:
    payments = pending(3)
    for payment in payments:
        gateway.confirms(payment)

    call_command("paiementpro_reconcile")

    assert [stored(payment).status for payment in payments] == ["succeeded"] * 3


def test_command_runs_outside_the_main_thread(gateway: FakeGateway) -> None:
    with paiementpro_reconcile._stopping() as outside:
        assert not outside.is_set()
    found: list[threading.Event] = []

    def enter() -> None:
        with paiementpro_reconcile._stopping() as stop:
            found.append(stop)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert len(found) == 1


# Many attempts of one payment -----------------------------------------------------------------------------------------


def test_run_asks_about_the_newest_attempts_and_a_few_older_ones(gateway: FakeGateway) -> None:
    (payment,) = pending(attempt=17)
    newest = [17, 16, 15, 14, 13]

    for older in ([12, 11, 10, 9, 8], [7, 6, 5, 4, 3], [2, 1], [12, 11, 10, 9, 8]):
        gateway.look_ups.clear()
        services.reconcile()
        assert gateway.look_ups == [payment.reference_of(attempt) for attempt in [*newest, *older]]

    gateway.confirms(payment, 1)
    assert [services.reconcile().settled for _ in range(2)] == [0, 1]


def test_few_attempts_are_all_asked_about_in_each_run(gateway: FakeGateway) -> None:
    (payment,) = pending(attempt=10)

    for _ in range(2):
        gateway.look_ups.clear()
        services.reconcile()
        assert gateway.look_ups == [payment.reference_of(attempt) for attempt in range(10, 0, -1)]


def test_older_attempts_are_resumed_after_newer_ones(gateway: FakeGateway) -> None:
    (payment,) = pending(attempt=17)
    services.reconcile()
    Payment.objects.update(attempt=20)
    gateway.look_ups.clear()

    services.reconcile()

    assert gateway.look_ups == [payment.reference_of(attempt) for attempt in (20, 19, 18, 17, 16, 7, 6, 5, 4, 3)]


def test_unanswered_attempts_are_checked_again(gateway: FakeGateway) -> None:
    (payment,) = pending(attempt=17)
    gateway.tells(payment.reference_of(10), b"", 503)

    services.reconcile()

    assert stored(payment).asked_attempt is None


def test_many_attempts_do_not_delay_other_payments(gateway: FakeGateway) -> None:
    honest = pending(3)
    pending(8, attempt=999)
    for payment in honest:
        gateway.confirms(payment)

    totals = services.reconcile(rate=600)

    assert (totals.settled, totals.look_ups) == (3, 83)
