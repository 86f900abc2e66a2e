"""Attempts: when they are due, what follows each of them, and who waits for whom."""

import base64
import logging
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone as django_timezone
from standardwebhooks import Webhook, WebhookVerificationError

from django_paiementpro import services
from django_paiementpro.testing import make_payment, pay
from django_paiementpro.webhooks import sending, transport
from django_paiementpro.webhooks.enums import Failure
from django_paiementpro.webhooks.models import Delivery, Endpoint, explain, generate_webhook_id
from django_paiementpro.webhooks.sending import PAUSES, headers_of, make_due, send_due, send_new, send_now, send_test
from django_paiementpro.webhooks.transport import Answer
from tests.server import fronts
from tests.server.fronts import Visitor
from tests.server.threads import meanwhile, wait_until
from tests.webhooks.conftest import Receive, Receiver
from tests.webhooks.test_receivers import make_endpoint

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("private")]


def refuses(visitor: Visitor) -> None:
    visitor.answers(b"no", 500)


def make_delivery(endpoint: Endpoint, **values: Any) -> Delivery:
    values = {"type": "payment.succeeded", "body": '{"data":{}}', "next_at": django_timezone.now(), **values}
    return Delivery.objects.create(endpoint=endpoint, **values)


def let_time_pass() -> None:
    """Make what waits due now."""
    Delivery.objects.exclude(next_at=None).update(next_at=django_timezone.now())


def run() -> dict[str, int]:
    return dict(send_due(threading.Event()))


def test_attempts_follow_the_schedule_until_the_endpoint_is_switched_off(
    receive: Receive, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = receive(refuses)
    endpoint = make_endpoint(receiver.url)
    delivery = make_delivery(endpoint)
    other = make_delivery(endpoint, next_at=django_timezone.now() + timedelta(hours=1))
    pauses = []

    for number in range(1, 7):
        assert run() == {"webhooks_delivered": 0, "webhooks_failed": 1}
        assert run() == {"webhooks_delivered": 0, "webhooks_failed": 0}  # nothing is due before its time
        delivery.refresh_from_db()
        assert (delivery.failures, len(delivery.attempts), delivery.leased_until) == (number, number, None)
        if delivery.next_at:
            pauses.append(delivery.next_at - datetime.fromisoformat(delivery.attempts[-1]["at"]))
            Delivery.objects.filter(pk=delivery.pk).update(next_at=django_timezone.now())

    assert [pause.total_seconds() / 60 for pause in pauses] == [5, 15, 60, 360, 1440]
    assert delivery.status == "failed"
    assert len({visitor.headers["webhook-id"] for visitor in receiver.visitors}) == 1
    assert len({visitor.body for visitor in receiver.visitors}) == 1
    endpoint.refresh_from_db()
    assert not endpoint.is_active
    assert endpoint.switched_off_at is not None
    other.refresh_from_db()
    assert (other.status, other.next_at) == ("failed", None)
    lines = [record.getMessage().split()[0] for record in caplog.records]
    assert lines == ["webhook_failed"] * 6 + ["webhook_endpoint_off"]


def test_attempt_is_recorded(receive: Receive, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "django_paiementpro")
    delivery = make_delivery(make_endpoint(receive().url))

    assert run() == {"webhooks_delivered": 1, "webhooks_failed": 0}

    delivery.refresh_from_db()
    assert (delivery.status, delivery.next_at, delivery.leased_until) == ("delivered", None, None)
    assert (delivery.failures, delivery.response_status) == (0, 200)
    [attempt] = delivery.attempts
    assert (attempt["status"], attempt["failure"], attempt["answer"]) == (200, None, "taken")
    assert attempt["seconds"] == delivery.seconds
    assert django_timezone.now() - datetime.fromisoformat(attempt["at"]) < timedelta(minutes=1)
    assert explain(delivery.last_attempt) == "HTTP 200"
    [record] = caplog.records
    assert record.getMessage().startswith("webhook_delivered outcome=accepted webhook=msg_")
    assert "127.0.0.1" not in record.getMessage()


def test_failure_without_an_answer_is_recorded() -> None:
    delivery = make_delivery(make_endpoint())
    run()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.failures, delivery.response_status) == ("pending", 1, None)
    assert delivery.last_attempt["failure"] == Failure.CONNECTION
    assert explain(delivery.last_attempt) == "No connection."
    assert explain({}) == ""


def test_success_after_failures_keeps_the_endpoint(receive: Receive) -> None:
    receiver = receive(refuses)
    endpoint = make_endpoint(receiver.url)
    delivery = make_delivery(endpoint, failures=5)
    receiver.play = Visitor.answers

    run()

    delivery.refresh_from_db()
    endpoint.refresh_from_db()
    assert (delivery.status, endpoint.is_active) == ("delivered", True)


def test_only_the_newest_attempts_are_kept(receive: Receive) -> None:
    delivery = make_delivery(make_endpoint(receive().url), attempts=[{"at": "old"}] * 20)
    run()
    delivery.refresh_from_db()
    assert len(delivery.attempts) == 20
    assert delivery.last_attempt["status"] == 200


# Headers and secrets.


def test_headers_are_those_of_the_specification(receive: Receive) -> None:
    receiver = receive()
    endpoint = make_endpoint(receiver.url)
    delivery = make_delivery(endpoint, body='{"data":{"a":"\\u00e9"}}')
    run()

    [visitor] = receiver.visitors
    assert visitor.headers["webhook-id"] == delivery.webhook_id
    assert abs(int(visitor.headers["webhook-timestamp"]) - time.time()) < 60
    assert visitor.headers["Content-Type"] == "application/json"
    assert receiver.verified(endpoint) == [{"data": {"a": "é"}}]
    assert visitor.body == delivery.body.encode()
    endpoint.secret = make_endpoint().secret
    with pytest.raises(WebhookVerificationError):
        receiver.verified(endpoint)


def test_signature_is_that_of_the_specification() -> None:
    """The example of the Standard Webhooks specification."""
    endpoint = Endpoint(secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    delivery = Delivery(webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek", body='{"test": 2432232314}')

    headers = headers_of(delivery, endpoint, datetime.fromtimestamp(1614265330, timezone(timedelta(hours=2))))

    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secret_is_256_random_bits() -> None:
    first, second = make_endpoint().secret, make_endpoint().secret
    assert first.startswith("whsec_")
    assert len(base64.b64decode(first.removeprefix("whsec_"))) == 32
    assert first != second
    assert generate_webhook_id() != generate_webhook_id()


def test_replaced_secret_signs_too_for_a_day(receive: Receive) -> None:
    receiver = receive()
    endpoint = make_endpoint(receiver.url)
    old = Webhook(endpoint.secret)

    assert sending.replace_secret(endpoint)
    run_delivery = make_delivery(endpoint)
    run()

    [visitor] = receiver.visitors
    old.verify(visitor.body, dict(visitor.headers))
    receiver.verified(Endpoint.objects.get())
    Endpoint.objects.update(old_secret_until=django_timezone.now())
    run_delivery = make_delivery(endpoint)
    run()
    visitor = receiver.visitors[-1]
    with pytest.raises(WebhookVerificationError):
        old.verify(visitor.body, dict(visitor.headers))
    assert visitor.headers["webhook-id"] == run_delivery.webhook_id


def test_secret_is_replaced_once() -> None:
    endpoint = make_endpoint()
    stale = Endpoint.objects.get()
    assert sending.replace_secret(endpoint)
    assert not sending.replace_secret(stale)
    assert Endpoint.objects.get().secret == endpoint.secret


# Who waits for whom.


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 1.5)


def test_slow_endpoint_does_not_hold_up_another(receive: Receive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 3.0)
    slow, live = receive(fronts.hangs), receive()
    hanging, living = make_endpoint(slow.url), make_endpoint(live.url)
    for _ in range(6):
        make_delivery(hanging)
        make_delivery(living)
    started_at = time.monotonic()
    finished = threading.Event()
    moments: list[float] = []
    live.play = lambda visitor: (moments.append(time.monotonic() - started_at), visitor.answers())

    numbers = run()
    finished.set()

    assert numbers["webhooks_delivered"] == 6
    assert max(moments) < 2.9  # before the first of the others has given up
    assert len(slow.visitors) == 6
    assert time.monotonic() - started_at < 15


@pytest.mark.usefixtures("patient")
def test_few_webhooks_of_one_endpoint_are_on_the_way_at_once(receive: Receive) -> None:
    lock, counts, now = threading.Lock(), [0], [0]

    def play(visitor: Visitor) -> None:
        with lock:
            now[0] += 1
            counts.append(now[0])
        time.sleep(0.4)
        with lock:
            now[0] -= 1
        visitor.answers()

    endpoint = make_endpoint(receive(play).url)
    for _ in range(12):
        make_delivery(endpoint)

    assert run()["webhooks_delivered"] == 12
    assert 1 < max(counts) <= sending.PER_ENDPOINT


def test_number_of_threads_is_limited(receive: Receive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "IN_ALL", 2)
    receivers = [receive() for _ in range(3)]
    for receiver in receivers:
        endpoint = make_endpoint(receiver.url)
        for _ in range(3):
            make_delivery(endpoint)
    assert run()["webhooks_delivered"] == 9


def test_longest_overdue_comes_first_and_pages_follow(receive: Receive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PAGE_SIZE", 2)
    monkeypatch.setattr(sending, "PER_ENDPOINT", 1)
    receiver = receive()
    endpoint = make_endpoint(receiver.url)
    now = django_timezone.now()
    ids = [make_delivery(endpoint, next_at=now - timedelta(minutes=minutes)).webhook_id for minutes in (1, 5, 3, 4, 2)]
    run()
    assert [visitor.headers["webhook-id"] for visitor in receiver.visitors] == [ids[index] for index in (1, 3, 2, 4, 0)]


def test_run_ends_when_it_is_stopped_or_late(receive: Receive, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = receive()
    make_delivery(make_endpoint(receiver.url))
    stop = threading.Event()
    stop.set()
    assert dict(send_due(stop)) == {"webhooks_delivered": 0, "webhooks_failed": 0}
    monkeypatch.setattr(sending, "PATIENCE", -1.0)
    assert run()["webhooks_delivered"] == 0
    assert receiver.visitors == []


def test_bug_in_one_attempt_stops_no_other(receive: Receive, caplog: pytest.LogCaptureFixture) -> None:
    receiver = receive()
    broken = make_delivery(make_endpoint(receiver.url, secret="whsec_A"))
    make_delivery(make_endpoint(receiver.url))

    assert run() == {"webhooks_delivered": 1, "webhooks_failed": 1}

    broken.refresh_from_db()
    assert (broken.last_attempt["failure"], broken.failures) == (Failure.BUG, 1)
    assert "deferred_work_failed" in [record.getMessage().split()[0] for record in caplog.records]


# After the response.


def test_first_attempt_alone_follows_the_response(receive: Receive) -> None:
    receiver = receive()
    endpoint = make_endpoint(receiver.url)
    new = make_delivery(endpoint)
    make_delivery(endpoint, failures=1)

    send_new()

    assert [visitor.headers["webhook-id"] for visitor in receiver.visitors] == [new.webhook_id]


def test_webhook_of_another_request_joins_the_run(receive: Receive) -> None:
    """It is sent although its own request's thread finds another one sending, and although that one waits."""
    other = receive()
    living = make_endpoint(other.url)

    def play(visitor: Visitor) -> None:
        wait_until(lambda: bool(other.visitors))
        visitor.answers()

    slow = receive(play)
    make_delivery(make_endpoint(slow.url))
    with meanwhile(send_new):
        wait_until(lambda: bool(slow.visitors))
        make_delivery(living)
        send_new()  # returns at once

    assert (len(slow.visitors), len(other.visitors)) == (1, 1)


# Leases.


def test_webhook_that_a_process_is_sending_is_left_alone(receive: Receive) -> None:
    receiver = receive()
    now = django_timezone.now()
    delivery = make_delivery(make_endpoint(receiver.url), leased_until=now + sending.LEASE)
    assert run()["webhooks_delivered"] == 0
    assert send_now(Delivery.objects.get()) is not None  # as it was read, it has that lease
    Delivery.objects.update(status="pending", next_at=now, leased_until=now)
    assert send_now(delivery) is None  # but it has another one by now
    assert run()["webhooks_delivered"] == 1


@pytest.mark.parametrize("minutes", [-1, 60])
def test_lease_that_has_run_out_or_is_impossible_does_not_count(receive: Receive, minutes: int) -> None:
    leased_until = django_timezone.now() + timedelta(minutes=minutes)
    make_delivery(make_endpoint(receive().url), leased_until=leased_until)
    assert run()["webhooks_delivered"] == 1


def test_late_result_is_not_stored_over_another(receive: Receive) -> None:
    delivery = make_delivery(make_endpoint(receive().url))
    lease = django_timezone.now()
    sending._record(delivery, lease, Answer(status=500))
    delivery.refresh_from_db()
    assert (delivery.status, delivery.failures) == ("pending", 0)


def test_endpoint_that_is_switched_off_meanwhile_gets_no_retry(receive: Receive) -> None:
    def play(visitor: Visitor) -> None:
        switched_off.wait(60)
        visitor.answers(status=500)

    switched_off = threading.Event()
    receiver = receive(play)
    endpoint = make_endpoint(receiver.url)
    delivery = make_delivery(endpoint)
    with meanwhile(send_new):
        wait_until(lambda: bool(receiver.visitors))
        endpoint.is_active = False
        endpoint.save()
        switched_off.set()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.next_at) == ("failed", None)


# Switching off and on.


def test_switched_on_endpoint_begins_with_new_webhooks(receive: Receive) -> None:
    receiver = receive(refuses)
    endpoint = make_endpoint(receiver.url)
    old = make_delivery(endpoint, failures=5)
    waiting = make_delivery(endpoint, next_at=django_timezone.now() + timedelta(minutes=5))
    run()
    endpoint.refresh_from_db()
    assert not endpoint.is_active
    assert not make_due(old)

    receiver.play = Visitor.answers
    endpoint.is_active = True
    endpoint.save(update_fields=["is_active"])
    new = make_delivery(endpoint)
    let_time_pass()
    run()

    endpoint.refresh_from_db()
    assert (endpoint.switched_off_at, endpoint.report_at) == (None, None)
    assert [visitor.headers["webhook-id"] for visitor in receiver.visitors[1:]] == [new.webhook_id]
    waiting.refresh_from_db()
    assert waiting.status == "failed"

    assert make_due(old)
    assert (old.status, old.failures) == ("pending", 0)
    run()
    assert receiver.visitors[-1].headers["webhook-id"] == old.webhook_id
    old.refresh_from_db()
    assert (old.status, len(old.attempts)) == ("delivered", 2)


def test_saving_something_else_does_not_switch(receive: Receive) -> None:
    endpoint = make_endpoint()
    delivery = make_delivery(endpoint)
    stale = Endpoint.objects.get()
    Endpoint.objects.update(is_active=False, switched_off_at=django_timezone.now())
    stale.save(update_fields=["description"])
    endpoint.refresh_from_db()
    assert endpoint.switched_off_at is not None
    delivery.refresh_from_db()
    assert delivery.status == "pending"
    assert run()["webhooks_failed"] == 0  # not to an endpoint that is off


def test_webhook_that_is_being_sent_is_not_sent_again() -> None:
    delivery = make_delivery(make_endpoint(), leased_until=django_timezone.now() + sending.LEASE)
    assert not make_due(delivery)


def test_endpoint_switched_off_by_another_process_is_reported_once(settings: Any, admins: None) -> None:
    settings.PAIEMENTPRO_ALERT_EMAILS = ["owner@example.com"]
    endpoint = make_endpoint()
    now = django_timezone.now()
    sending._switch_off(endpoint, now)
    sending._switch_off(endpoint, now)
    assert len(mail.outbox) == 1


# Tests.


@pytest.mark.parametrize("is_active", [True, False])
def test_test_is_tried_once(receive: Receive, is_active: bool) -> None:
    receiver = receive(refuses)
    endpoint = make_endpoint(receiver.url, is_active=is_active)

    delivery = send_test(endpoint)

    assert receiver.types == ["test"]
    delivery.refresh_from_db()
    assert (delivery.status, delivery.next_at, delivery.response_status) == ("failed", None, 500)
    endpoint.refresh_from_db()
    assert endpoint.is_active is is_active


def test_test_counts_for_nothing(receive: Receive) -> None:
    endpoint = make_endpoint(receive(refuses).url)
    for _ in range(7):
        delivery = send_test(endpoint)
    Delivery.objects.filter(pk=delivery.pk).update(failures=9)
    endpoint.refresh_from_db()
    assert endpoint.is_active


def test_test_that_succeeds_says_so(receive: Receive) -> None:
    receiver: Receiver = receive()
    endpoint = make_endpoint(receiver.url)
    assert send_test(endpoint).status == "delivered"
    receiver.verified(endpoint)


@pytest.mark.usefixtures("connected")
def test_reconciliation_retries(receive: Receive) -> None:
    receiver = receive(refuses)
    make_endpoint(receiver.url)
    pay(make_payment(status="pending", attempt=1))
    receiver.play = Visitor.answers
    services.reconcile()
    assert len(receiver.visitors) == 1
    let_time_pass()

    totals = services.reconcile()

    assert totals.extensions.items() >= {"webhooks_delivered": 1, "webhooks_failed": 0}.items()
    assert len(receiver.visitors) == 2
    assert len(PAUSES) == 5
