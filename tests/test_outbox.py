from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.utils import timezone

from django_paiementpro import outbox
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.signals import payment_flagged, payment_succeeded
from django_paiementpro.testing import make_payment
from tests.conftest import TRANSITION, Notify, Statements

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


def let_leases_run_out() -> None:
    PaymentEvent.objects.filter(deliver_at__isnull=False).update(deliver_at=timezone.now() - timedelta(seconds=1))


def settled_event(payment: Payment) -> PaymentEvent:
    return PaymentEvent.objects.get(payment=payment, kind="notification", outcome="accepted")


def test_a_receiver_that_raises_loses_nothing_and_blocks_nobody(
    payment: Payment, notify: Notify, connect: Connect
) -> None:
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


def test_the_last_receiver_may_fail_too(payment: Payment, notify: Notify, connect: Connect) -> None:
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


def test_without_receivers_nothing_is_kept_for_later_ones(payment: Payment, notify: Notify, connect: Connect) -> None:
    notify(payment)
    late = connect("late")

    reconcile()

    assert late.calls == []


def test_a_stored_signal_waits_while_nobody_listens(payment: Payment, notify: Notify, connect: Connect) -> None:
    first = connect("first")
    first.failures = 1
    notify(payment)
    first.leave()

    reconcile()
    assert settled_event(payment).deliver_at is not None

    successor = connect("successor")
    reconcile()
    assert len(successor.calls) == 1
    assert settled_event(payment).deliver_at is None


def test_one_signal_waits_while_the_other_is_delivered(notify: Notify, connect: Connect) -> None:
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


def test_a_receiver_that_has_left_is_not_waited_for(payment: Payment, notify: Notify, connect: Connect) -> None:
    connect("first")
    second = connect("second")
    second.failures = 1
    notify(payment)
    second.leave()

    reconcile()

    assert settled_event(payment).deliver_at is None


def test_a_receiver_that_comes_between_is_told_as_well(payment: Payment, notify: Notify, connect: Connect) -> None:
    first = connect("first")
    first.failures = 1
    notify(payment)
    second = connect("second")

    reconcile()

    assert [len(first.calls), len(second.calls)] == [2, 1]


def test_a_dead_process_leaves_a_lease_that_runs_out(payment: Payment, notify: Notify, connect: Connect) -> None:
    first = connect("first")
    notify(payment)
    event = settled_event(payment)
    PaymentEvent.objects.filter(pk=event.pk).update(deliver_at=timezone.now() + outbox.LEASE, delivered=[])

    reconcile()
    assert len(first.calls) == 1

    let_leases_run_out()
    reconcile()
    assert len(first.calls) == 2
    assert first.calls[-1] == event


def test_a_delivery_under_way_is_left_alone(payment: Payment, notify: Notify, connect: Connect) -> None:
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


def test_of_two_deliverers_one_delivers(payment: Payment, notify: Notify, connect: Connect) -> None:
    first = connect("first")
    first.failures = 1
    notify(payment)
    one, other = settled_event(payment), settled_event(payment)

    assert [outbox.deliver(one), outbox.deliver(other)] == [True, None]
    assert len(first.calls) == 2


@pytest.mark.parametrize("position", [0, 1])
def test_a_lease_that_was_lost_ends_the_delivery(
    payment: Payment, notify: Notify, connect: Connect, position: int
) -> None:
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


def test_a_delivery_that_cannot_be_remembered_is_made_again(payment: Payment, notify: Notify, connect: Connect) -> None:
    first = connect("first")

    def away(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if sql.startswith("UPDATE") and "deliver_at" in sql:
            raise DatabaseError
        return execute(sql, *arguments)

    with connection.execute_wrapper(away):
        assert notify(payment).status_code == 200
    let_leases_run_out()
    reconcile()

    assert len(first.calls) == 2
    assert settled_event(payment).deliver_at is None


def test_a_settled_event_is_not_delivered_again(payment: Payment, notify: Notify, connect: Connect) -> None:
    first = connect("first")
    notify(payment)

    assert not outbox.deliver(settled_event(payment))
    assert len(first.calls) == 1
