"""How many threads of a process wait for the gateway, and for how long it is left alone when it is silent."""

from typing import Any

import pytest
import requests
from django.test import Client

from django_paiementpro import services
from django_paiementpro.exceptions import GatewayRefusedError, GatewayUnavailableError
from django_paiementpro.models import Payment
from django_paiementpro.services import bulkhead
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import STATUS_URL


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(bulkhead, "time", clock)
    return clock


def test_bulkhead_limits_the_threads_inside() -> None:
    places = bulkhead.Bulkhead()

    with places.enter(2) as first, places.enter(2) as second, places.enter(2) as third:
        assert (first, second, third) == (True, True, False)
    with pytest.raises(KeyError), places.enter(1):
        raise KeyError
    with places.enter(1) as again:
        assert again


def test_pause_doubles_while_the_service_stays_silent(clock: Any) -> None:
    silence = bulkhead.Silence()
    assert silence.is_over()
    for pause in (10, 20, 40, 60, 60):
        silence.note(is_silent=True)
        silence.note(is_silent=True)  # a call that was under way beside it
        clock.now += pause - 0.01
        assert not silence.is_over()
        clock.now += 0.01
        assert silence.is_over()


def test_answer_ends_the_pause(clock: Any) -> None:
    silence = bulkhead.Silence()
    for _ in range(3):
        silence.note(is_silent=True)
        clock.now += 60
    silence.note(is_silent=True)

    silence.note(is_silent=False)

    assert silence.is_over()
    silence.note(is_silent=True)
    clock.now += 10
    assert silence.is_over()


def fail(*, is_away: bool) -> None:
    raise GatewayUnavailableError(is_away=is_away)


def places_of(breaker: bulkhead.CircuitBreaker) -> int:
    """Return how many of three threads may wait at once."""
    with breaker.enter() as first, breaker.enter() as second, breaker.enter() as third:
        return [first, second, third].count(True)


def test_circuit_breaker_lets_one_thread_through(clock: Any) -> None:
    breaker = bulkhead.CircuitBreaker()
    clock.now += bulkhead.SILENT_AFTER
    assert places_of(breaker) == 3

    for pause, count in [(bulkhead.SILENT_AFTER - 0.01, 3), (0.01, 1)]:
        with pytest.raises(GatewayUnavailableError):
            breaker.call(lambda: fail(is_away=True))
        clock.now += pause
        assert places_of(breaker) == count
    assert breaker.call(lambda: "page") == "page"
    clock.now += bulkhead.SILENT_AFTER
    assert places_of(breaker) == 3


def test_silence_is_forgotten_after_a_while_without_calls(clock: Any) -> None:
    breaker = bulkhead.CircuitBreaker()
    for _ in range(2):
        with pytest.raises(GatewayUnavailableError):
            breaker.call(lambda: fail(is_away=True))
        clock.now += bulkhead.SILENCE_MEMORY - 0.01
        assert places_of(breaker) == 1

    clock.now += 0.01

    assert places_of(breaker) == 3
    with pytest.raises(GatewayUnavailableError):
        breaker.call(lambda: fail(is_away=True))
    assert places_of(breaker) == 3


def test_call_under_way_for_long_makes_a_service_silent(clock: Any) -> None:
    breaker = bulkhead.CircuitBreaker()

    def wait() -> None:
        assert places_of(breaker) == 3
        clock.now += bulkhead.SILENT_AFTER
        assert places_of(breaker) == 0

    with breaker.enter():
        breaker.call(wait)


@pytest.mark.parametrize("error", [GatewayUnavailableError("not JSON"), GatewayRefusedError("no"), KeyError("a bug")])
def test_error_of_a_service_that_answers_is_an_answer(clock: Any, error: Exception) -> None:
    breaker = bulkhead.CircuitBreaker()

    def answer() -> None:
        clock.now += bulkhead.SILENT_AFTER
        raise error

    with pytest.raises(type(error)):
        breaker.call(answer)

    assert places_of(breaker) == 3


def test_calls_then_the_newest_followers_may_wait() -> None:
    breaker = bulkhead.CircuitBreaker()
    with breaker.follow(2) as first, breaker.follow(2) as second, breaker.follow(2) as third:
        assert (first(), second(), third()) == (False, True, True)
        assert breaker.call(lambda: (first(), second(), third())) == (False, False, True)
        with pytest.raises(KeyError), breaker.follow(2):
            breaker.call(lambda: {}["a bug"])
        assert breaker.call(lambda: breaker.call(third)) is False
        assert (first(), second(), third()) == (False, True, True)


@pytest.fixture
def status_service(gateway: FakeGateway, settings: Any) -> FakeGateway:
    settings.PAIEMENTPRO_STATUS_URL = STATUS_URL
    return gateway


def waiting() -> Payment:
    return make_payment(status="pending", attempt=3)


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["timeout", "connection"])
def test_silent_service_is_not_asked_for_the_next_payer(
    client: Client, status_service: FakeGateway, clock: Any, how: Any
) -> None:
    status_service.is_away(how)
    first, second, third = (waiting() for _ in range(3))
    for payment in (first, second):
        assert b"do not pay again" in client.get(payment.get_return_url()).content
    assert status_service.look_ups == [first.reference_of(3)]
    assert Payment.objects.get(pk=second.pk).checked_at is None

    clock.now += 10
    client.get(second.get_return_url())
    clock.now += 10
    client.get(third.get_return_url())
    assert status_service.look_ups == [first.reference_of(3), second.reference_of(3)]


@pytest.mark.django_db
def test_silence_of_one_service_does_not_affect_another(
    client: Client, status_service: FakeGateway, clock: Any, settings: Any
) -> None:
    status_service.is_away()
    client.get(waiting().get_return_url())
    settings.PAIEMENTPRO_STATUS_URL = STATUS_URL + "2"
    client.get(waiting().get_return_url())
    assert len(status_service.look_ups) == 2


@pytest.mark.django_db
def test_service_that_answers_with_an_error_is_not_silent(client: Client, status_service: FakeGateway) -> None:
    status_service.is_away("error")
    for _ in range(2):
        client.get(waiting().get_return_url())

    assert len(status_service.look_ups) == 6


@pytest.mark.django_db
def test_person_and_reconciliation_ask_a_silent_service(client: Client, status_service: FakeGateway) -> None:
    status_service.is_away()
    client.get(waiting().get_return_url())
    payment = waiting()

    services.check_payment(payment)

    assert payment.reference in status_service.look_ups


@pytest.mark.django_db
def test_few_threads_wait_for_the_service(
    client: Client, status_service: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.status, "WEB_LOOK_UPS", 1)
    outer, inner = waiting(), waiting()

    def ask_for_another(request: Any) -> tuple[int, dict[str, str], bytes]:
        client.get(inner.get_return_url())
        return 200, {}, b'{"success": false}'

    status_service.tells(outer.reference_of(3), ask_for_another)
    client.get(outer.get_return_url())
    assert status_service.look_ups == [outer.reference_of(attempt) for attempt in (3, 2, 1)]
    assert Payment.objects.get(pk=inner.pk).checked_at is None

    client.get(inner.get_return_url())
    assert len(status_service.look_ups) == 6


@pytest.mark.django_db
@pytest.mark.parametrize(("timeout", "expected"), [((3.05, 20), (3, 3)), ((1, 20), (1, 3)), ((0.2, 0.3), (0.2, 0.3))])
def test_payers_look_up_has_short_time_outs(
    client: Client,
    status_service: FakeGateway,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    timeout: Any,
    expected: Any,
) -> None:
    settings.PAIEMENTPRO_TIMEOUT = timeout
    seen: list[Any] = []
    send = requests.Session.send

    def note(self: requests.Session, request: Any, **kwargs: Any) -> Any:
        seen.append(kwargs["timeout"])
        return send(self, request, **kwargs)

    monkeypatch.setattr(requests.Session, "send", note)
    payment = make_payment(status="pending", attempt=1)
    client.get(payment.get_return_url())
    services.check_payment(payment)

    assert seen == [pytest.approx(expected, abs=0.2), timeout]
