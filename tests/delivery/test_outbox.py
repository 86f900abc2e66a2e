from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.delivery import outbox
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.monitoring.health import health
from django_paiementpro.services.reconciliation import undelivered_events
from django_paiementpro.signals import payment_failed, payment_flagged, payment_succeeded
from django_paiementpro.testing import make_payment
from tests.conftest import TRANSITION, Notify, Statements, due_event, expire_leases, settled_event
from tests.host.models import Order

pytestmark = pytest.mark.django_db(transaction=True)


class Receiver:
    """Counts its calls, and fails as often as told."""

    def __init__(self, name: str, signal: Any = payment_succeeded) -> None:
        self.name = name
        self.signal = signal
        self.calls: list[PaymentEvent] = []
        self.failures = 0
        self.signal.connect(self.receive, dispatch_uid=name)

    def receive(self, sender: Any, payment: Payment, event: PaymentEvent, **kwargs: Any) -> None:
        self.calls.append(event)
        assert payment == event.payment
        if self.failures:
            self.failures -= 1
            raise LookupError("the stock is away")

    def leave(self) -> None:
        self.signal.disconnect(dispatch_uid=self.name)


@pytest.fixture
def connect() -> Iterator[Callable[..., Receiver]]:
    receivers: list[Receiver] = []

    def make(*arguments: Any) -> Receiver:
        receivers.append(Receiver(*arguments))
        return receivers[-1]

    yield make
    for receiver in receivers:
        receiver.leave()


Connect = Callable[..., Receiver]


def reconcile() -> None:
    call_command("paiementpro_reconcile")


def test_failing_receiver_blocks_no_other(payment: Payment, notify: Notify, connect: Connect) -> None:
    first, second, third = connect("first"), connect("second"), connect("third")
    second.failures = 2

    assert notify(payment).status_code == 200
    assert [len(receiver.calls) for receiver in (first, second, third)] == [1, 1, 1]
    assert settled_event(payment).delivered == ["payment_succeeded first", "payment_succeeded third"]

    reconcile()
    assert [len(receiver.calls) for receiver in (first, second, third)] == [1, 2, 1]
    reconcile()
    reconcile()
    assert [len(receiver.calls) for receiver in (first, second, third)] == [1, 3, 1]
    assert settled_event(payment).deliver_at is None


def test_failed_last_receiver_is_retried(payment: Payment, notify: Notify, connect: Connect) -> None:
    first, second = connect("first"), connect("second")
    second.failures = 1

    notify(payment)
    reconcile()

    assert [len(receiver.calls) for receiver in (first, second)] == [1, 2]


def test_each_receiver_takes_one_statement(
    payment: Payment, notify: Notify, connect: Connect, statements: Statements
) -> None:
    for name in ("first", "second", "third"):
        connect(name)

    with statements:
        notify(payment)

    verbs = [statement.split()[0] for statement in statements]
    assert verbs == ["SELECT", *TRANSITION, *["UPDATE"] * 3]
    # What marks a delivery need not be on disk before the next statement.
    asynchronous = ["synchronous_commit" in statement for statement in statements]
    assert asynchronous == [False] * (1 + len(TRANSITION)) + [connection.vendor == "postgresql"] * 3


def test_signals_are_not_kept_for_later_receivers(payment: Payment, notify: Notify, connect: Connect) -> None:
    notify(payment)
    late = connect("late")

    reconcile()

    assert late.calls == []


def test_signal_without_receivers_waits(payment: Payment, notify: Notify, connect: Connect) -> None:
    first = connect("first")
    first.failures = 1
    notify(payment)
    first.leave()

    reconcile()
    assert settled_event(payment).deliver_at is not None

    successor = connect("successor")
    reconcile()
    assert len(successor.calls) == 1
    assert settled_event(payment).deliver_at is not None

    first_again = connect("first")
    reconcile()
    assert (len(successor.calls), len(first_again.calls)) == (1, 1)
    assert settled_event(payment).deliver_at is None


def test_event_without_receivers_waits_for_the_first_one(payment: Payment, connect: Connect) -> None:
    event = due_event(payment)
    reconcile()
    assert PaymentEvent.objects.get(pk=event.pk).deliver_at == event.deliver_at

    first = connect("first")
    reconcile()
    assert len(first.calls) == 1
    assert PaymentEvent.objects.get(pk=event.pk).deliver_at is None


def test_signals_of_an_event_are_delivered_separately(notify: Notify, connect: Connect) -> None:
    payment = make_payment(status="cancelled", attempt=1)
    succeeded, flagged = connect("succeeded"), connect("flagged", payment_flagged)
    succeeded.failures = flagged.failures = 1
    notify(payment)
    flagged.leave()

    reconcile()
    assert [len(succeeded.calls), len(flagged.calls)] == [2, 1]

    again = connect("flagged", payment_flagged)
    reconcile()
    assert [len(succeeded.calls), len(again.calls)] == [2, 1]
    assert settled_event(payment).deliver_at is None


# Receivers that this process lacks ------------------------------------------------------------------------------------


def die_before_delivery(payment: Payment) -> None:
    """Leave the payment's event as a process does that is killed between the commit and the delivery."""
    past = timezone.now() - timedelta(hours=1)
    PaymentEvent.objects.filter(payment=payment).update(delivered=[], deliver_at=past, created_at=past)


def test_receiver_missing_here_stays_owed(payment: Payment, notify: Notify, connect: Connect) -> None:
    mail, fulfil = connect("mail"), connect("fulfil")
    notify(payment)
    die_before_delivery(payment)
    fulfil.leave()

    for _ in range(2):
        totals = services.reconcile()
        assert (totals.delivered, totals.undelivered, totals.failed) == (0, 1, 0)
    assert (len(mail.calls), len(fulfil.calls)) == (2, 1)
    found = health()
    assert ("undelivered" in found.problems, found.undelivered) == (True, 1)

    fulfil = connect("fulfil")
    assert services.reconcile().delivered == 1
    assert (len(mail.calls), len(fulfil.calls)) == (2, 1)
    assert settled_event(payment).deliver_at is None


def test_missing_receiver_is_logged_once_per_run(
    notify: Notify, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    fulfil = connect("fulfil")
    fulfil.failures = 2
    for _ in range(2):
        notify(make_payment(status="pending", attempt=1))
    fulfil.leave()
    caplog.clear()

    services.reconcile()

    lines = [message for message in caplog.messages if message.startswith("receiver_missing")]
    assert lines == ["receiver_missing outcome=failed signal=payment_succeeded receiver=fulfil count=2"]


def test_signal_owed_to_missing_receivers_only_is_skipped(
    payment: Payment, notify: Notify, connect: Connect, statements: Statements
) -> None:
    fulfil = connect("fulfil")
    fulfil.failures = 1
    notify(payment)
    fulfil.leave()
    event = settled_event(payment)

    with statements:
        assert outbox.deliver(event) is False

    assert statements == []


def test_missing_receivers_do_not_delay_others(notify: Notify, connect: Connect) -> None:
    gone, first = connect("gone", payment_failed), connect("first")
    gone.failures = first.failures = 3
    payments = [make_payment(status="pending", attempt=1) for _ in range(6)]
    for number, payment in enumerate(payments):
        notify(payment, responsecode=-(number % 2))
    gone.leave()
    first.failures = 0

    totals = services.reconcile()

    assert (totals.delivered, totals.undelivered) == (3, 3)


def test_unknown_signal_stays_owed(payment: Payment, connect: Connect) -> None:
    first = connect("first")
    event = due_event(payment)
    PaymentEvent.objects.update(signals=["payment_teleported", "payment_succeeded"])

    totals = services.reconcile()

    assert (totals.failed, totals.undelivered, len(first.calls)) == (0, 1, 1)
    event.refresh_from_db()
    assert event.deliver_at is not None
    assert event.delivered == ["payment_succeeded first"]
    assert [str(owed) for owed in outbox.missing(event)] == ["payment_teleported "]


def test_redelivery_is_owed_to_current_receivers(payment: Payment, connect: Connect) -> None:
    event = due_event(payment)
    PaymentEvent.objects.update(deliver_at=None, receivers=["payment_succeeded gone"])
    connect("first")

    outbox.owe_again(event, ["payment_succeeded"])

    event.refresh_from_db()
    assert event.receivers == ["payment_succeeded first"]


def test_receiver_connected_meanwhile_is_called(payment: Payment, notify: Notify, connect: Connect) -> None:
    first = connect("first")
    first.failures = 1
    notify(payment)
    second = connect("second")

    reconcile()

    assert [len(first.calls), len(second.calls)] == [2, 1]


def test_lease_of_a_dead_process_expires(payment: Payment, notify: Notify, connect: Connect) -> None:
    first = connect("first")
    notify(payment)
    event = settled_event(payment)
    PaymentEvent.objects.filter(pk=event.pk).update(deliver_at=timezone.now() + outbox.LEASE, delivered=[])

    reconcile()
    assert len(first.calls) == 1

    expire_leases()
    reconcile()
    assert len(first.calls) == 2
    assert first.calls[-1] == event


def test_delivery_in_progress_is_skipped(payment: Payment, notify: Notify, connect: Connect) -> None:
    first = connect("first")
    first.signal.disconnect(dispatch_uid="first")
    seen = []

    def slow(sender: Any, event: PaymentEvent, **kwargs: Any) -> None:
        stored = PaymentEvent.objects.get(pk=event.pk)
        seen.append(outbox.deliver(stored))
        assert stored.deliver_at is not None
        assert stored.deliver_at > timezone.now() + outbox.LEASE / 2
        reconcile()

    payment_succeeded.connect(slow, dispatch_uid="slow")
    notify(payment)
    payment_succeeded.disconnect(dispatch_uid="slow")

    assert seen == [None]


def test_concurrent_delivery_happens_once(payment: Payment, notify: Notify, connect: Connect) -> None:
    first = connect("first")
    first.failures = 1
    notify(payment)
    one, other = settled_event(payment), settled_event(payment)

    assert [outbox.deliver(one), outbox.deliver(other)] == [True, None]
    assert len(first.calls) == 2


@pytest.mark.parametrize("position", [0, 1])
def test_lost_lease_ends_the_delivery(payment: Payment, notify: Notify, connect: Connect, position: int) -> None:
    receivers = [connect("first"), connect("second")]

    def take_over(event: PaymentEvent, **kwargs: Any) -> None:
        PaymentEvent.objects.filter(pk=event.pk).update(deliver_at=timezone.now() + timedelta(hours=1))

    receivers[position].receive = take_over  # type: ignore[method-assign]
    receivers[position].leave()
    for receiver in receivers[position:]:
        receiver.leave()
        receiver.signal.connect(receiver.receive, dispatch_uid=receiver.name)

    notify(payment)

    assert len(receivers[1].calls) == 0
    assert settled_event(payment).delivered == ["payment_succeeded first"] * position


def test_unrecorded_delivery_is_repeated(payment: Payment, notify: Notify, connect: Connect) -> None:
    first = connect("first")

    def away(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if sql.startswith("UPDATE") and "deliver_at" in sql:
            raise DatabaseError
        return execute(sql, *arguments)

    with connection.execute_wrapper(away):
        assert notify(payment).status_code == 200
    expire_leases()
    reconcile()

    assert len(first.calls) == 2
    assert settled_event(payment).deliver_at is None


def test_settled_event_is_not_delivered_again(payment: Payment, notify: Notify, connect: Connect) -> None:
    first = connect("first")
    notify(payment)

    assert not outbox.deliver(settled_event(payment))
    assert len(first.calls) == 1


# Clocks --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "is_free"), [(timedelta(days=30), True), (timedelta(minutes=7), True), (timedelta(minutes=5), False)]
)
def test_too_long_lease_is_ignored(payment: Payment, connect: Connect, ahead: timedelta, is_free: bool) -> None:
    first = connect("first")
    event = due_event(payment)
    future = timezone.now() + ahead
    PaymentEvent.objects.update(deliver_at=future, created_at=future)

    event.refresh_from_db()
    assert outbox.is_due(event) is is_free
    assert undelivered_events().exists() is is_free
    assert ("undelivered" in health().problems, health().undelivered) == (is_free, is_free)
    assert services.preview_reconciliation()["delivered"] == is_free
    assert services.reconcile().delivered == is_free

    assert len(first.calls) == is_free
    assert health().undelivered == 0


def test_too_long_lease_is_delivered_once_per_run(payment: Payment, connect: Connect) -> None:
    first = connect("first")
    first.failures = 5
    due_event(payment)
    PaymentEvent.objects.update(deliver_at=timezone.now() + timedelta(days=30))

    for calls in (1, 2):
        assert services.reconcile().undelivered == 1
        assert len(first.calls) == calls


# Connections ---------------------------------------------------------------------------------------------------------


#: SQLite has no server that could cut a connection.
CONNECTION_ID = {"mysql": "SELECT connection_id()", "postgresql": "SELECT pg_backend_pid()", "sqlite": "SELECT 1"}
CUT = {"mysql": "KILL %s", "postgresql": "SELECT pg_terminate_backend(%s)", "sqlite": "SELECT %s"}


def cut_connection(**kwargs: Any) -> None:
    """Cut this thread's connection, as a database does that is restarted."""
    with connection.cursor() as cursor:
        cursor.execute(CONNECTION_ID[connection.vendor])
        number = cursor.fetchone()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute(CUT[connection.vendor], number)
    other.close()


def cut_connection_and_go_on(**kwargs: Any) -> None:
    cut_connection()
    with suppress(DatabaseError):
        Payment.objects.count()


def turn_autocommit_off(**kwargs: Any) -> None:
    transaction.set_autocommit(False)
    Order.objects.create()


def begin(**kwargs: Any) -> None:
    transaction.atomic().__enter__()
    Order.objects.create()


def begin_and_close(**kwargs: Any) -> None:
    begin()
    connection.close()


def begin_and_raise(**kwargs: Any) -> None:
    begin()
    raise LookupError


def begin_and_break(**kwargs: Any) -> None:
    begin()
    with suppress(DatabaseError), connection.cursor() as cursor:
        cursor.execute("SELECT nothing")
    transaction.set_rollback(True)


def close(**kwargs: Any) -> None:
    connection.close()


def replace_receiver(receiver: Receiver, receive: Callable[..., None]) -> None:
    receiver.leave()
    receiver.signal.connect(receive, dispatch_uid=receiver.name, weak=False)


@pytest.mark.parametrize("receive", [close, cut_connection, cut_connection_and_go_on])
def test_lost_connection_loses_nothing(
    payment: Payment, notify: Notify, connect: Connect, receive: Callable[..., None]
) -> None:
    replace_receiver(connect("first"), receive)
    second, third = connect("second"), connect("third")
    replace_receiver(third, receive)

    assert notify(payment).status_code == 200

    assert len(second.calls) == 1
    event = settled_event(payment)
    assert event.delivered == [f"payment_succeeded {name}" for name in ("first", "second", "third")]
    assert event.deliver_at is None


@pytest.mark.parametrize("receive", [turn_autocommit_off, begin, begin_and_close, begin_and_raise, begin_and_break])
def test_transaction_left_open_loses_no_delivery(
    payment: Payment, notify: Notify, connect: Connect, receive: Callable[..., None]
) -> None:
    orders = Order.objects.count()
    replace_receiver(connect("first"), receive)
    second = connect("second")

    def fulfil(**kwargs: Any) -> None:
        with transaction.atomic():
            Order.objects.create()

    replace_receiver(connect("third"), fulfil)

    assert notify(payment).status_code == 200
    for _ in range(2):
        assert services.reconcile().undelivered == 1

    assert not connection.in_atomic_block
    assert transaction.get_autocommit()
    event = settled_event(payment)
    assert event.delivered == ["payment_succeeded second", "payment_succeeded third"]
    assert len(second.calls) == 1
    assert Order.objects.count() == orders + 1


def test_open_transaction_is_named_in_the_log(
    payment: Payment, notify: Notify, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    replace_receiver(connect("first"), begin)

    notify(payment)

    [line] = [message for message in caplog.messages if message.startswith("receiver_failed ")]
    assert "error=django.db.transaction.TransactionManagementError" in line


def test_callers_transaction_is_left_open(payment: Payment, connect: Connect) -> None:
    first = connect("first")
    with transaction.atomic():
        order = Order.objects.create()
        assert outbox.deliver(due_event(payment))
        assert connection.in_atomic_block

    assert len(first.calls) == 1
    assert Order.objects.filter(pk=order.pk).exists()


def marks_fail(
    error: type[Exception], times: int, *, are_stored: bool = False, act: Callable[[], object] = lambda: None
) -> Callable[..., Any]:
    """Return an ``execute_wrapper`` under which storing what was delivered fails this many times, once it has acted."""
    failures = iter(range(times))

    def execute_or_fail(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if not (sql.startswith("UPDATE") and "delivered" in sql and next(failures, None) is not None):
            return execute(sql, *arguments)
        if are_stored:
            execute(sql, *arguments)
        act()
        raise error

    return execute_or_fail


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_lost_delivery_mark_is_stored_again(
    payment: Payment, notify: Notify, connect: Connect, error: type[Exception]
) -> None:
    first, second = connect("first"), connect("second")

    with connection.execute_wrapper(marks_fail(error, 2)):
        assert notify(payment).status_code == 200

    assert (len(first.calls), len(second.calls)) == (1, 1)
    assert settled_event(payment).deliver_at is None


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("names", [["first"], ["first", "second"]])
def test_delivery_mark_is_recognized_after_a_lost_answer(
    payment: Payment, notify: Notify, connect: Connect, caplog: pytest.LogCaptureFixture, names: list[str], times: int
) -> None:
    receivers = [connect(name) for name in names]

    with connection.execute_wrapper(marks_fail(OperationalError, times, are_stored=True)):
        assert notify(payment).status_code == 200

    assert [len(receiver.calls) for receiver in receivers] == [1] * len(names)
    assert settled_event(payment).deliver_at is None
    assert not [message for message in caplog.messages if message.startswith("lease_lost ")]


@pytest.mark.parametrize("changes", [{"deliver_at": timezone.now()}, {"deliver_at": None, "delivered": ["s other"]}])
def test_lease_lost_with_the_connection_ends_the_delivery(
    payment: Payment, notify: Notify, connect: Connect, caplog: pytest.LogCaptureFixture, changes: dict[str, Any]
) -> None:
    first = connect("first")

    take_over = partial(PaymentEvent.objects.update, **changes)

    with connection.execute_wrapper(marks_fail(OperationalError, 1, act=take_over)):
        assert notify(payment).status_code == 200

    assert len(first.calls) == 1
    assert settled_event(payment).delivered == changes.get("delivered", [])
    assert len([message for message in caplog.messages if message.startswith("lease_lost ")]) == 1


def test_database_lost_after_the_commit_fails_no_notification(
    payment: Payment, notify: Notify, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    first = connect("first")

    with connection.execute_wrapper(marks_fail(OperationalError, 3)):
        assert notify(payment).status_code == 200
    assert len([message for message in caplog.messages if message.startswith("delivery_failed ")]) == 1

    expire_leases()
    reconcile()
    assert len(first.calls) == 2
    assert settled_event(payment).deliver_at is None


def test_mark_in_the_callers_transaction_is_not_repeated(payment: Payment, connect: Connect) -> None:
    connect("first")
    event = due_event(payment)

    wrapper = connection.execute_wrapper(marks_fail(OperationalError, 1))
    with wrapper, pytest.raises(OperationalError), transaction.atomic():
        outbox.deliver(event)

    event.refresh_from_db()
    assert event.delivered == []
