"""
Real threads through real sockets, each with a database connection of its own.

What must hold in any order is tested twice: with all at once, and with one paused at the critical statement.
"""

import io
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.delivery import outbox
from django_paiementpro.exceptions import GatewayUnavailableError
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.services import bulkhead
from django_paiementpro.signals import payment_succeeded
from django_paiementpro.testing import make_payment
from django_paiementpro.testing.notifications import notification_fields
from tests.conftest import Heard, due_event
from tests.host.models import Order
from tests.server import moments, receivers, wire
from tests.server.gateway import Call, FakeGateway, knows_paid
from tests.server.site import Site, SmallSite, running
from tests.server.threads import DEADLINE, Count, Gate, at_once, meanwhile, wait_until

pytestmark = [pytest.mark.usefixtures("alone"), pytest.mark.django_db(transaction=True)]

logger = logging.getLogger(__name__)

HOUR = timedelta(hours=1)
OK = (200, None, b"OK")


@pytest.fixture
def site(transactional_db: None, settings: Any) -> Iterator[Site]:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    with running(Site()) as site:
        yield site


@pytest.fixture
def gateway(site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    with running(FakeGateway()) as gateway:
        settings.PAIEMENTPRO_GATEWAY_URL = gateway.url
        settings.PAIEMENTPRO_STATUS_URL = f"{gateway.url}/status"
        # On a slow machine the gateway is made to wait for long.
        monkeypatch.setattr(bulkhead, "SILENT_AFTER", DEADLINE)
        yield gateway


@pytest.fixture
def calls(db: None) -> Iterator[Order]:
    """Let a host listen to ``payment_succeeded``, for payments of ``bought``: it counts its calls, and fulfils."""
    payment_succeeded.connect(receivers.count_call)
    payment_succeeded.connect(receivers.fulfil)
    yield Order.objects.create()
    payment_succeeded.disconnect(receivers.count_call)
    payment_succeeded.disconnect(receivers.fulfil)


def bought(calls: Order, **values: Any) -> Payment:
    values = {"status": "pending", "attempt": 1, **values}
    return make_payment(content_object=Order.objects.create(), return_context={"calls": calls.pk}, **values)


def assert_fulfilled_once(calls: Order, payments: list[Payment]) -> None:
    calls.refresh_from_db()
    assert calls.times_paid == len(payments)
    assert [Order.objects.get(pk=payment.object_id).times_paid for payment in payments] == [1] * len(payments)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Tell the log how long it takes: ``pytest --log-cli-level=INFO``."""
    started_at = time.monotonic()
    yield
    logger.info("%s: %.2f s", what, time.monotonic() - started_at)


def checkout(site: Site, payment: Payment) -> Callable[[], wire.Answer]:
    return partial(wire.get, site.url + payment.get_checkout_url())


def notification(site: Site, payment: Payment, **fields: Any) -> Callable[[], wire.Answer]:
    return partial(wire.notify, site.url + payment.get_notification_url(), notification_fields(payment, **fields))


def outcomes(payment: Payment, kind: str = "notification") -> list[str]:
    return [event.outcome for event in payment.events.filter(kind=kind)]


def stands(payment: Payment, status: str) -> None:
    """Assert where a payment stands, with nothing left behind."""
    payment.refresh_from_db()
    assert (payment.status, payment.leased_until) == (status, None)
    assert not payment.events.exclude(deliver_at=None).exists()


# Checkout.


# A checkout that waits for another's page has read the payment to find it, again where its lease failed, and again.
READS_OF_WHO_WAITS = 3


@contextmanager
def slow(gateway: FakeGateway, answer: Callable[[Call], object], others: int) -> Iterator[None]:
    """Let the gateway answer once this many others wait for its answer, or have asked it themselves."""
    reads = Count()

    def play(call: Call) -> None:
        wait_until(lambda: reads.threads(READS_OF_WHO_WAITS) == others or len(gateway.calls) > 1)
        answer(call)

    gateway.play = play
    with moments.at("SELECT", "paiementpro_payment", after=reads):
        yield


@pytest.mark.parametrize("lifetime", [timedelta(minutes=4), timedelta(microseconds=1)], ids=["usual", "too short"])
def test_twenty_checkouts_at_once_ask_for_one_page(
    site: Site, gateway: FakeGateway, settings: Any, lifetime: timedelta
) -> None:
    settings.PAIEMENTPRO_SESSION_LIFETIME = lifetime
    payment = make_payment()

    with slow(gateway, Call.opens, others=19), timed("20 checkouts at once"):
        answers = at_once(*[checkout(site, payment)] * 20)

    assert Counter(answer[:2] for answer in answers) == {(302, gateway.page_of(payment.reference)): 20}
    assert gateway.references == [payment.reference]
    stands(payment, "pending")
    assert payment.attempt == 1
    assert outcomes(payment, "initialize") == ["accepted"]


@pytest.mark.parametrize(("body", "answer"), [(b'{"success": false}', 502), (b"", 503)])
def test_twenty_checkouts_at_once_share_an_error(site: Site, gateway: FakeGateway, body: bytes, answer: int) -> None:
    payment = make_payment()

    with slow(gateway, lambda call: call.says(body), others=19):
        answers = at_once(*[checkout(site, payment)] * 20)

    assert Counter(answer.status for answer in answers) == {answer: 20}
    assert gateway.references == [payment.reference]
    stands(payment, "created")


def test_twenty_payers_at_once_do_not_wait_for_each_other(site: Site, gateway: FakeGateway) -> None:
    payments = [make_payment() for _ in range(20)]
    all_are_asking = threading.Barrier(20)
    gateway.play = lambda call: (all_are_asking.wait(DEADLINE), call.opens())

    with timed("20 checkouts of 20 payments at once"):
        answers = at_once(*[checkout(site, payment) for payment in payments])

    assert [answer.location for answer in answers] == [gateway.page_of(payment.reference) for payment in payments]


def test_second_click_during_the_call_waits_for_its_page(site: Site, gateway: FakeGateway) -> None:
    payment = make_payment()
    answer, reads = Gate(), Count()
    gateway.play = lambda call: (answer(), call.opens())

    with meanwhile(checkout(site, payment)) as first:
        answer.await_arrival()
        with moments.at("SELECT", "paiementpro_payment", after=reads), meanwhile(checkout(site, payment)) as second:
            wait_until(lambda: int(reads) >= READS_OF_WHO_WAITS or second.done())
            answer.open()

    page = gateway.page_of(payment.reference)
    assert [first.result().location, second.result().location] == [page, page]
    assert gateway.references == [payment.reference]


def test_late_lease_returns_the_page_of_the_first(site: Site, gateway: FakeGateway) -> None:
    payment = make_payment()
    lease = Gate()

    with moments.at("UPDATE", "leased_until", before=lease), meanwhile(checkout(site, payment)) as late:
        lease.await_arrival()
        first = checkout(site, payment)()
        lease.open()

    page = gateway.page_of(payment.reference)
    assert [first.location, late.result().location] == [page, page]
    assert gateway.references == [payment.reference]


def test_answer_after_the_lease_replaces_no_page(site: Site, gateway: FakeGateway) -> None:
    payment = make_payment()
    answer = Gate()
    gateway.play = lambda call: (answer(), call.opens())

    with meanwhile(checkout(site, payment)) as late:
        answer.await_arrival()
        Payment.objects.update(leased_until=timezone.now() - HOUR)
        second = checkout(site, payment)()
        answer.open()

    page = gateway.page_of(f"{payment.reference}-2")
    assert [second.location, late.result().location] == [page, page]
    stands(payment, "pending")
    assert (payment.attempt, payment.payment_url) == (2, page)


# Clocks of several servers are never quite the same.
AHEAD = timedelta(seconds=1)


def test_lease_from_a_fast_clock_is_waited_for(site: Site, gateway: FakeGateway, settings: Any) -> None:
    settings.PAIEMENTPRO_TIMEOUT = (0.5, 1)
    longest_lease = timedelta(seconds=0.5 + 1 + 5)
    payment = make_payment(attempt=1, leased_until=timezone.now() + longest_lease + AHEAD)
    page, reads = gateway.page_of(payment.reference), Count()

    with moments.at("SELECT", "paiementpro_payment", after=reads), meanwhile(checkout(site, payment)) as click:
        wait_until(lambda: int(reads) >= READS_OF_WHO_WAITS or click.done())
        Payment.objects.update(
            status="pending", leased_until=None, payment_url=page, initialized_at=timezone.now(), opened_attempt=1
        )

    assert click.result().location == page
    assert gateway.references == []


# Checkout and notification.


def test_success_during_the_call_is_not_undone_by_the_page(site: Site, gateway: FakeGateway, heard: Heard) -> None:
    payment = make_payment()

    def play(call: Call) -> None:
        notification(site, payment)()
        call.opens()

    gateway.play = play
    assert checkout(site, payment)().location == payment.get_return_url()
    stands(payment, "succeeded")
    assert heard.names == ["payment_succeeded"]


@pytest.mark.parametrize("body", [b"", b'{"success": false}'])
def test_success_during_the_call_is_not_undone_by_an_error(site: Site, gateway: FakeGateway, body: bytes) -> None:
    payment = make_payment()

    def play(call: Call) -> None:
        notification(site, payment)()
        call.says(body)

    gateway.play = play
    assert checkout(site, payment)().location == payment.get_return_url()
    stands(payment, "succeeded")


def test_payment_that_succeeds_before_the_lease_is_not_sent_to_the_gateway(site: Site, gateway: FakeGateway) -> None:
    payment = make_payment(status="pending", attempt=1)
    lease = Gate()

    with moments.at("UPDATE", "leased_until", before=lease), meanwhile(checkout(site, payment)) as late:
        lease.await_arrival()
        assert notification(site, payment)() == OK
        lease.open()

    assert late.result()[:2] == (302, payment.get_return_url())
    assert gateway.calls == []
    stands(payment, "succeeded")


def test_success_settles_although_another_attempt_begins(site: Site, gateway: FakeGateway, heard: Heard) -> None:
    payment = make_payment(status="pending", attempt=1)
    settlement = Gate()

    with moments.at("UPDATE", "succeeded", before=settlement), meanwhile(notification(site, payment)) as success:
        settlement.await_arrival()
        assert checkout(site, payment)().location == gateway.page_of(f"{payment.reference}-2")
        settlement.open()

    assert success.result() == OK
    stands(payment, "succeeded")
    assert (payment.attempt, payment.settled_attempt) == (2, 1)
    assert heard.names == ["payment_succeeded"]


def test_failure_does_not_close_the_page_of_the_next_attempt(site: Site, gateway: FakeGateway, heard: Heard) -> None:
    payment = make_payment(status="pending", attempt=1)
    settlement = Gate()
    failure = notification(site, payment, responsecode=-1)

    with moments.at("UPDATE", "failed", before=settlement), meanwhile(failure) as late:
        settlement.await_arrival()
        assert checkout(site, payment)().location == gateway.page_of(f"{payment.reference}-2")
        settlement.open()

    assert late.result() == OK
    stands(payment, "pending")
    assert outcomes(payment) == ["duplicate"]
    assert heard == []


def test_checkout_and_success_at_once_end_paid(site: Site, gateway: FakeGateway, heard: Heard) -> None:
    payments = [make_payment(status="pending", attempt=1) for _ in range(10)]

    answers = at_once(
        *[checkout(site, payment) for payment in payments],
        *[notification(site, payment) for payment in payments],
    )

    assert Counter(answer.status for answer in answers) == {302: 10, 200: 10}
    for payment in payments:
        stands(payment, "succeeded")
    assert Counter(heard) == {("payment_succeeded", payment): 1 for payment in payments}


# Notifications.


def test_fifty_successes_at_once_settle_once(site: Site, heard: Heard, calls: Order) -> None:
    payment = bought(calls)

    with timed("50 notifications at once"):
        answers = at_once(*[notification(site, payment)] * 50)

    assert Counter(answers) == {OK: 50}
    stands(payment, "succeeded")
    assert Counter(outcomes(payment)) == {"accepted": 1, "duplicate": 49}
    assert heard == [("payment_succeeded", payment)]
    assert_fulfilled_once(calls, [payment])
    assert not payment.needs_review


def test_fifty_payments_at_once_are_all_settled(site: Site, calls: Order) -> None:
    payments = [bought(calls) for _ in range(50)]

    with timed("50 notifications of 50 payments at once"):
        answers = at_once(*[notification(site, payment) for payment in payments])

    assert Counter(answers) == {OK: 50}
    for payment in payments:
        stands(payment, "succeeded")
    assert_fulfilled_once(calls, payments)


def findings(payment: Payment) -> list[str]:
    """Return the open findings, each as ``reason: detail``."""
    return [str(finding) for finding in payment.findings.filter(reviewed_at=None)]


def test_fifty_wrong_amounts_at_once_flag_once(site: Site, heard: Heard) -> None:
    payment = make_payment(status="pending", attempt=1)

    answers = at_once(*[notification(site, payment, amount=100)] * 50)

    assert Counter(answers) == {(400, None, b"Bad Request: amount_mismatch"): 50}
    stands(payment, "pending")
    assert (payment.needs_review, findings(payment)) == (True, ["amount_mismatch: 100 != 12500"])
    assert Counter(outcomes(payment)) == {"refused": 50}
    assert heard == [("payment_flagged", payment)]


def test_success_and_failure_at_once_end_paid(site: Site, heard: Heard) -> None:
    payments = [make_payment(status="pending", attempt=1) for _ in range(10)]

    answers = at_once(
        *[notification(site, payment, responsecode=code) for payment in payments for code in (0, -1)],
    )

    assert Counter(answers) == {OK: 20}
    for payment in payments:
        stands(payment, "succeeded")
        history = [(event.data["responsecode"], event.outcome) for event in payment.events.all()]
        signals = [name for name, told in heard if told == payment]
        assert (history, payment.needs_review, sorted(signals)) in [
            ([("0", "accepted"), ("-1", "conflict")], True, ["payment_flagged", "payment_succeeded"]),
            ([("-1", "accepted"), ("0", "accepted")], False, ["payment_failed", "payment_succeeded"]),
        ]


@pytest.mark.parametrize("gateway_id", ["9210824147867", None])
def test_failure_that_loses_the_race_is_a_conflict(site: Site, heard: Heard, gateway_id: str | None) -> None:
    payment = make_payment(status="pending", attempt=1)
    settlement = Gate()
    failure = notification(site, payment, responsecode=-1, payId=gateway_id)

    with moments.at("UPDATE", "failed", before=settlement), meanwhile(failure) as late:
        settlement.await_arrival()
        assert notification(site, payment, payId=gateway_id)() == OK
        settlement.open()

    assert late.result() == OK
    stands(payment, "succeeded")
    assert payment.needs_review
    assert outcomes(payment) == ["accepted", "conflict"]
    assert heard == [("payment_succeeded", payment), ("payment_flagged", payment)]


@pytest.mark.parametrize("gateway_id", ["9210824147867", None])
def test_success_that_loses_the_race_is_accepted_late(site: Site, heard: Heard, gateway_id: str | None) -> None:
    payment = make_payment(status="pending", attempt=1)
    settlement = Gate()
    success = notification(site, payment, payId=gateway_id)

    with moments.at("UPDATE", "succeeded", before=settlement), meanwhile(success) as late:
        settlement.await_arrival()
        assert notification(site, payment, responsecode=-1, payId=gateway_id)() == OK
        settlement.open()

    assert late.result() == OK
    stands(payment, "succeeded")
    assert not payment.needs_review
    assert outcomes(payment) == ["accepted", "accepted"]
    assert heard == [("payment_failed", payment), ("payment_succeeded", payment)]


def assert_paid_twice(payment: Payment, heard: Heard) -> None:
    stands(payment, "succeeded")
    accepted, conflict = payment.events.all()
    assert (accepted.outcome, conflict.outcome) == ("accepted", "conflict")
    assert payment.gateway_id == accepted.data["payId"]
    assert findings(payment) == [f"paid_twice: {payment.reference} {conflict.data['payId']}"]
    assert Counter(name for name, told in heard if told == payment) == {"payment_succeeded": 1, "payment_flagged": 1}


def test_two_payments_of_one_debt_at_once_are_flagged_once(site: Site, heard: Heard) -> None:
    payments = [make_payment(status="pending", attempt=1) for _ in range(10)]

    answers = at_once(
        *[notification(site, payment, payId=gateway_id) for payment in payments for gateway_id in ("A1", "B2")],
    )

    assert Counter(answers) == {OK: 20}
    for payment in payments:
        assert_paid_twice(payment, heard)


def test_second_transaction_that_loses_the_race_is_flagged(site: Site, heard: Heard) -> None:
    payment = make_payment(status="pending", attempt=1)
    settlement = Gate()

    with moments.at("UPDATE", "A1", before=settlement), meanwhile(notification(site, payment, payId="A1")) as late:
        settlement.await_arrival()
        assert notification(site, payment, payId="B2")() == OK
        settlement.open()

    assert late.result() == OK
    assert_paid_twice(payment, heard)


def test_two_gateway_ids_at_once_are_paid_twice(site: Site, heard: Heard) -> None:
    payment = make_payment(status="pending", attempt=1)
    naming = Gate()
    assert notification(site, payment, payId=None)() == OK

    with moments.at("UPDATE", "A1", before=naming), meanwhile(notification(site, payment, payId="A1")) as late:
        naming.await_arrival()
        assert notification(site, payment, payId="B2")() == OK
        naming.open()

    assert late.result() == OK
    stands(payment, "succeeded")
    assert (payment.gateway_id, findings(payment)) == ("B2", [f"paid_twice: {payment.reference} A1"])
    assert outcomes(payment) == ["accepted", "duplicate", "conflict"]
    assert heard == [("payment_succeeded", payment), ("payment_flagged", payment)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"amount": 100}, ["amount_mismatch: 100 != 12500"]),
        ({"merchantId": "PP-F1"}, ["merchant_mismatch: PP-F1 != PP-F324", "amount_mismatch: 100 != 12500"]),
    ],
)
def test_flag_that_was_decided_before_another_is_not_lost(
    site: Site, heard: Heard, fields: dict[str, Any], expected: list[str]
) -> None:
    payment = make_payment(status="pending", attempt=1)
    flag = Gate()

    with (
        moments.at("UPDATE", "needs_review", before=flag),
        meanwhile(notification(site, payment, amount=100)) as late,
    ):
        flag.await_arrival()
        assert notification(site, payment, **fields)().status == 400
        flag.open()

    assert late.result().status == 400
    stands(payment, "pending")
    assert findings(payment) == expected
    assert heard == [("payment_flagged", payment)] * len(expected)


# Signals.


def reconcile() -> None:
    call_command("paiementpro_reconcile", stdout=io.StringIO())


@pytest.fixture
def held() -> Iterator[tuple[Gate, Count]]:
    """A receiver of ``payment_succeeded`` that is held in its first call; all its calls are counted."""
    gate, count = Gate(), Count()

    def receive(**kwargs: Any) -> None:
        count()
        gate()

    payment_succeeded.connect(receive, dispatch_uid="held")
    yield gate, count
    payment_succeeded.disconnect(dispatch_uid="held")


def test_two_deliverers_at_once_call_a_receiver_once(calls: Order) -> None:
    payments = [bought(calls) for _ in range(5)]
    for payment in payments:
        event = due_event(payment)
        copies = [PaymentEvent.objects.get(pk=event.pk) for _ in range(2)]
        assert set(at_once(*[partial(outbox.deliver, copy) for copy in copies])) == {True, None}
    assert_fulfilled_once(calls, payments)


def test_second_deliverer_skips_a_delivery_under_way(transactional_db: None, held: tuple[Gate, Count]) -> None:
    gate, count = held
    event = due_event(make_payment(status="succeeded", attempt=1))
    copies = [PaymentEvent.objects.get(pk=event.pk) for _ in range(2)]

    with meanwhile(partial(outbox.deliver, copies[0])) as first:
        gate.await_arrival()
        assert not outbox.deliver(copies[1])
        assert not outbox.deliver(PaymentEvent.objects.get(pk=event.pk))
        gate.open()

    assert first.result()
    assert int(count) == 1


def test_reconciliation_skips_a_delivery_under_way(site: Site, held: tuple[Gate, Count]) -> None:
    gate, count = held
    payment = make_payment(status="pending", attempt=1)

    with meanwhile(notification(site, payment)) as settlement:
        gate.await_arrival()
        reconcile()
        gate.open()

    assert settlement.result() == OK
    assert int(count) == 1
    stands(payment, "succeeded")


def test_receiver_sees_the_committed_payment(site: Site) -> None:
    payment = make_payment(status="pending", attempt=1)
    seen: list[str] = []

    def look(**kwargs: Any) -> None:
        seen.extend(at_once(lambda: Payment.objects.get(pk=payment.pk).status))

    payment_succeeded.connect(look, dispatch_uid="look")
    try:
        assert notification(site, payment)() == OK
    finally:
        payment_succeeded.disconnect(dispatch_uid="look")
    assert seen == ["succeeded"]


# Reconciliation.


def test_two_reconciliations_at_once_ask_about_each_payment_once(gateway: FakeGateway, calls: Order) -> None:
    payments = [bought(calls) for _ in range(10)]
    settled = [bought(calls, status="succeeded") for _ in range(10)]
    for payment in settled:
        due_event(payment)
    gateway.play_status = knows_paid(12500)
    both_started = threading.Barrier(2)

    with moments.at("COUNT", before=partial(both_started.wait, DEADLINE)):
        at_once(reconcile, reconcile)

    assert Counter(gateway.asked) == {payment.reference: 1 for payment in payments}
    for payment in payments:
        stands(payment, "succeeded")
        assert outcomes(payment, "status") == ["accepted"]
    assert not PaymentEvent.objects.exclude(deliver_at=None).exists()
    assert_fulfilled_once(calls, payments + settled)


def test_notification_during_the_look_up_settles_once(site: Site, gateway: FakeGateway, heard: Heard) -> None:
    payment = make_payment(status="pending", attempt=1)

    def play(call: Call, reference: str) -> None:
        notification(site, payment, payId=f"CI-{reference}")()
        knows_paid(12500)(call, reference)

    gateway.play_status = play
    reconcile()
    stands(payment, "succeeded")
    assert (payment.settled_by, payment.needs_review) == ("notification", False)
    assert heard == [("payment_succeeded", payment)]


def test_look_up_from_a_fast_clock_is_not_repeated(gateway: FakeGateway) -> None:
    make_payment(status="pending", attempt=1, checked_at=timezone.now() + AHEAD)
    reconcile()
    assert gateway.asked == []


# A status service that hangs ----------------------------------------------------------------------------------------


def test_silent_status_service_blocks_no_notification(gateway: FakeGateway) -> None:
    gateway.play_status = lambda call, reference: gateway.closing.wait()
    waiting, paid = ([make_payment(status="pending", attempt=1) for _ in range(12)] for _ in range(2))

    with running(SmallSite(4)) as site, ThreadPoolExecutor(len(waiting)) as payers:
        pages = [payers.submit(wire.get, site.url + payment.get_return_url()) for payment in waiting]
        wait_until(lambda: bool(gateway.asked))
        for payment in paid:
            started_at = time.monotonic()
            assert wire.notify(site.url + payment.get_notification_url(), notification_fields(payment)) == OK
            assert time.monotonic() - started_at < 10
        assert [page.result().status for page in pages] == [200] * len(waiting)

    assert len(gateway.asked) <= 2
    assert Payment.objects.filter(status="succeeded").count() == len(paid)


def test_silent_status_service_blocks_few_staff(gateway: FakeGateway) -> None:
    gateway.play_status = lambda call, reference: gateway.closing.wait()
    user = User.objects.create_user("awa")
    payments = [make_payment(status="pending", attempt=1) for _ in range(4)]
    durations: list[float] = []

    def ask(payment: Payment) -> None:
        started_at = time.monotonic()
        with pytest.raises(GatewayUnavailableError):
            services.ask_gateway(payment, user, "She says so", patience=2)
        durations.append(time.monotonic() - started_at)

    at_once(*[partial(ask, payment) for payment in payments])

    assert len(gateway.asked) == 2
    assert sorted(duration > 2 for duration in durations) == [False, False, True, True]
    assert PaymentEvent.objects.filter(kind="staff").count() == 2


# A gateway that hangs -----------------------------------------------------------------------------------------------


@pytest.fixture
def silent_after(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(bulkhead, "SILENT_AFTER", 2.0)
    return bulkhead.SILENT_AFTER


def test_silent_gateway_blocks_few_payers_and_no_notification(
    gateway: FakeGateway, silent_after: float, settings: Any
) -> None:
    settings.PAIEMENTPRO_TIMEOUT = (1, 10)
    hangs = threading.Event()
    gateway.play = lambda call: (hangs.wait(DEADLINE), call.opens())
    early, late, paid = ([make_payment() for _ in range(count)] for count in (2, 12, 12))

    with running(SmallSite(4)) as site, ThreadPoolExecutor(len(early)) as payers:
        pages = [payers.submit(checkout(site, payment)) for payment in early]
        wait_until(lambda: len(gateway.calls) == 2)
        time.sleep(silent_after)
        started_at = time.monotonic()
        answers = at_once(*[checkout(site, payment) for payment in late])
        assert time.monotonic() - started_at < 5
        for payment in paid:
            assert notification(site, payment)() == OK
        assert [answer.status for answer in answers] == [503] * len(late)
        assert len(gateway.calls) == 2
        assert not any(page.done() for page in pages)
        hangs.set()
        assert [page.result(DEADLINE).status for page in pages] == [302] * len(early)
        assert [answer.status for answer in at_once(*[checkout(site, payment) for payment in late])] == [302] * 12

    assert Payment.objects.filter(attempt__gt=1).count() == 0


BOUND = 3


@pytest.fixture
def bound(settings: Any) -> int:
    settings.PAIEMENTPRO_API_GATEWAY_CALLS = BOUND
    return BOUND


def test_slow_gateway_holds_up_no_more_payers_than_allowed(gateway: FakeGateway, bound: int) -> None:
    answer = threading.Event()
    gateway.play = lambda call: (answer.wait(DEADLINE), call.opens())
    payments = [make_payment() for _ in range(12)]
    answers: list[wire.Answer] = []

    with running(SmallSite(bound + 1)) as site:

        def buy(payment: Payment) -> Callable[[], None]:
            return lambda: answers.append(checkout(site, payment)())

        def visit() -> None:
            wait_until(lambda: len(answers) == len(payments) - bound)
            assert wire.get(site.url + payments[0].get_status_url()).status == 200
            assert {answer.status for answer in answers} == {503}
            assert all(b'http-equiv="refresh"' in answer.body for answer in answers)
            answer.set()

        at_once(*map(buy, payments), visit)
        assert Counter(answer.status for answer in answers) == {503: len(payments) - bound, 302: bound}
        assert [checkout(site, payment)().status for payment in payments] == [302] * len(payments)

    assert len(gateway.calls) == len(payments)


def test_many_clicks_on_one_payment_leave_places_for_others(site: Site, gateway: FakeGateway, bound: int) -> None:
    impatient, others = make_payment(), [make_payment() for _ in range(bound - 1)]
    answer = threading.Event()
    gateway.play = lambda call: (answer.wait(DEADLINE), call.opens())
    clicks: list[int] = []

    def click() -> None:
        clicks.append(checkout(site, impatient)().status)

    with ThreadPoolExecutor(20 + len(others)) as payers:
        for _click in range(20):
            payers.submit(click)
        # One is calling; as many others as are allowed wait for its page.
        wait_until(lambda: len(clicks) == 20 - bound)
        assert set(clicks) == {503}
        pages = [payers.submit(checkout(site, payment)) for payment in others]
        # They give way.
        wait_until(lambda: len(clicks) == 19)
        assert set(clicks) == {503}
        answer.set()
        assert [page.result().location for page in pages] == [gateway.page_of(other.reference) for other in others]

    assert Counter(clicks) == {503: 19, 302: 1}
    assert len(gateway.calls) == bound


def test_slow_gateway_turns_no_payer_away(gateway: FakeGateway, silent_after: float) -> None:
    gateway.play = lambda call: (time.sleep(0.5), call.opens())
    payments = [make_payment() for _ in range(24)]

    with running(SmallSite(4)) as site:
        started_at = time.monotonic()
        answers = at_once(*[checkout(site, payment) for payment in payments])
        assert time.monotonic() - started_at > silent_after

    assert [answer.location for answer in answers] == [gateway.page_of(payment.reference) for payment in payments]
