"""What the app's log lines say, and that the host's logging decides about nothing."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.utils import timezone

from django_paiementpro import log, services
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.services import reconciliation
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import STATUS_URL, Heard, Notify, due_event

pytestmark = pytest.mark.django_db(transaction=True)

Line = Callable[[str], dict[str, Any]]


@pytest.fixture
def line(caplog: pytest.LogCaptureFixture) -> Line:
    caplog.set_level(logging.DEBUG, "django_paiementpro")

    def only(name: str) -> dict[str, Any]:
        [record] = [record for record in caplog.records if record.getMessage().split()[0] == name]
        carried = vars(record)
        assert carried["duration"] is None or 0 <= carried["duration"] < 60
        return carried

    return only


def said(carried: dict[str, Any], *names: str) -> list[Any]:
    return [carried[name] for name in ("reference", "attempt", "outcome", *names)]


def test_opened_page_is_logged(gateway: FakeGateway, client: Client, line: Line) -> None:
    gateway.opens()
    payment = make_payment()
    client.get(payment.get_checkout_url())

    assert said(line("page_opened")) == [payment.reference, 1, "accepted"]
    assert line("page_opened")["duration"] is not None


def test_refused_page_is_logged(gateway: FakeGateway, client: Client, line: Line) -> None:
    gateway.refuses("Echec")
    payment = make_payment()
    client.get(payment.get_checkout_url())

    assert said(line("page_refused"), "error") == [payment.reference, 1, "refused", ""]
    assert line("page_refused")["duration"] is not None
    event = payment.events.get()
    assert (event.message, event.data["referenceNumber"]) == ("Echec", payment.reference)


def test_unavailable_page_is_logged(gateway: FakeGateway, client: Client, line: Line) -> None:
    gateway.answers(requests.ConnectionError())
    payment = make_payment()
    client.get(payment.get_checkout_url())

    text = "no answer from the gateway (ConnectionError)"
    assert said(line("page_unavailable"), "error") == [payment.reference, 1, "failed", text]
    assert line("page_unavailable")["duration"] is not None
    event = payment.events.get()
    assert (event.message, event.data["referenceNumber"]) == (text, payment.reference)


def test_unanswered_lookup_is_logged(gateway: FakeGateway, payment: Payment, line: Line) -> None:
    Payment.objects.update(attempt=2)
    gateway.tells(payment.reference, requests.ConnectionError())
    gateway.tells(f"{payment.reference}-2", b"oops")
    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL):
        services.check_payment(Payment.objects.get())

    text = "no answer from the gateway (ConnectionError)"
    assert said(line("status_unavailable"), "error", "count") == [payment.reference, 2, "failed", text, 2]
    assert line("status_unavailable")["duration"] is not None


def test_silent_gateway_is_logged(
    gateway: FakeGateway, payment: Payment, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "AWAY_AFTER", 1)
    gateway.tells(payment.reference, requests.ConnectionError())
    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL):
        services.reconcile()

    assert said(line("status_unavailable"), "count") == [payment.reference, 1, "failed", 1]
    assert line("status_unavailable")["duration"] is not None
    assert said(line("gateway_away")) == ["", None, "failed"]


def test_status_change_is_logged(notify: Notify, payment: Payment, line: Line) -> None:
    notify(payment)

    assert said(line("payment_changed"), "status", "kind") == [
        *(payment.reference, 1, "accepted"),
        *("succeeded", "notification"),
    ]
    assert said(line("notification_received"), "reason") == [payment.reference, 1, "accepted", ""]


def test_verifier_error_is_logged(notify: Notify, payment: Payment, line: Line) -> None:
    with override_settings(PAIEMENTPRO_HASHCODE_VERIFIER="tests.services.test_notifications.explode"):
        notify(payment)

    assert str(line("verifier_failed")["exc_info"][1]) == "builtins.LookupError"


def test_erasure_is_logged(line: Line) -> None:
    make_payment(customer_email="ama@example.com", status="failed")
    services.erase_personal_data(email="ama@example.com")

    assert said(line("personal_data_blanked"), "payments", "events") == ["", None, "accepted", 1, 0]
    assert line("personal_data_blanked")["duration"] is not None


def test_reconciliation_is_logged(gateway: FakeGateway, line: Line) -> None:
    make_payment(status="pending", attempt=1, initialized_at=timezone.now() - timedelta(days=2))
    services.reconcile()

    assert said(line("reconcile_finished"), "expired", "asked", "failed") == ["", None, "", 1, 0, 0]
    assert line("reconcile_finished")["duration"] is not None


# What the message says ------------------------------------------------------------------------------------------------


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The app's messages so far, without their durations."""
    caplog.set_level(logging.DEBUG, log.logger.name)
    return lambda: [
        record.getMessage().partition(" duration=")[0] for record in caplog.records if record.name == log.logger.name
    ]


Messages = Callable[[], list[str]]


def test_message_gives_the_reason_for_a_refusal(notify: Notify, payment: Payment, messages: Messages) -> None:
    notify(payment, amount=1)

    message = f"notification_received reference={payment.reference} attempt=1 outcome=refused reason=amount_mismatch"
    assert message in messages()


def test_message_names_the_invalid_fields(client: Client, messages: Messages) -> None:
    payment = make_payment(customer_phone="", customer_email="", description="")
    client.get(payment.get_checkout_url())

    assert messages()[-1].startswith(f"payment_invalid reference={payment.reference} attempt=0 outcome=refused fields=")
    assert "customer_email,customer_phone" in messages()[-1]


def test_message_names_the_exception_class(notify: Notify, payment: Payment, messages: Messages) -> None:
    with override_settings(PAIEMENTPRO_HASHCODE_VERIFIER="tests.services.test_notifications.explode"):
        notify(payment)

    assert "verifier_failed error=builtins.LookupError" in messages()


def test_value_with_spaces_is_quoted(messages: Messages) -> None:
    log.write("page_unavailable", error="no answer", receiver='a\n"b"', reason="a=b")

    assert messages() == [r'page_unavailable error="no answer" receiver="a\n\"b\"" reason="a=b"']


def test_message_without_fields_is_its_name(messages: Messages) -> None:
    log.write("transaction_given_up")

    assert messages() == ["transaction_given_up"]


def test_line_below_the_log_level_is_not_written(messages: Messages) -> None:
    log.logger.setLevel(logging.ERROR)

    log.write("page_opened")
    log.write("verifier_failed")

    assert messages() == ["verifier_failed"]


def test_channel_is_not_in_the_message(messages: Messages) -> None:
    log.write("page_opened", make_payment(gateway_channel="Awa 0700000000"))

    assert "Awa" not in messages()[0]


# The host's logging ---------------------------------------------------------------------------------------------------


INDISCREET = "Awa 0700000000"


class RaisingHandler(logging.Handler):
    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.error = error

    def handle(self, record: logging.LogRecord) -> bool:
        raise self.error(INDISCREET)


@contextmanager
def raising_handler(error: type[BaseException]) -> Iterator[None]:
    handler = RaisingHandler(error)
    log.logger.addHandler(handler)
    try:
        yield
    finally:
        log.logger.removeHandler(handler)


@contextmanager
def raising_filter() -> Iterator[None]:
    def read_request(record: Any) -> bool:
        return bool(record.request)

    log.logger.addFilter(read_request)
    yield
    log.logger.removeFilter(read_request)


@contextmanager
def record_factory(make: Callable[..., logging.LogRecord]) -> Iterator[None]:
    factory = logging.getLogRecordFactory()
    logging.setLogRecordFactory(make)
    yield
    logging.setLogRecordFactory(factory)


def with_names(*arguments: Any, **named: Any) -> logging.LogRecord:
    record = logging.LogRecord(*arguments, **named)
    names = ["channel", "duration", "kind", "outcome", "receiver", "reference", "signal", "status", "user"]
    vars(record).update(dict.fromkeys(names, "the host's"))
    return record


def broken(name: str, *arguments: Any, **named: Any) -> logging.LogRecord:
    if name == log.logger.name:
        raise RuntimeError
    return logging.LogRecord(name, *arguments, **named)


HOSTILE = {
    "filter": raising_filter,
    "handler": lambda: raising_handler(ValueError),
    "exit": lambda: raising_handler(SystemExit),
    "names": lambda: record_factory(with_names),
    "factory": lambda: record_factory(broken),
}


@pytest.fixture(params=HOSTILE)
def hostile(request: pytest.FixtureRequest) -> Iterator[None]:
    with HOSTILE[request.param]():
        yield


@pytest.mark.usefixtures("hostile")
def test_hostile_logging_fails_no_notification(notify: Notify, payment: Payment, heard: Heard) -> None:
    assert notify(payment).status_code == 200

    assert heard.names == ["payment_succeeded"]
    assert not PaymentEvent.objects.exclude(deliver_at=None).exists()


@pytest.mark.usefixtures("hostile")
def test_hostile_logging_fails_no_checkout(gateway: FakeGateway, client: Client) -> None:
    gateway.opens()
    assert client.get(make_payment().get_checkout_url()).status_code == 302
    gateway.answers(requests.ConnectionError())
    assert client.get(make_payment().get_checkout_url()).status_code == 503
    gateway.refuses("Echec")
    assert client.get(make_payment().get_checkout_url()).status_code == 502
    assert client.get(make_payment(description="").get_checkout_url()).status_code == 400


@pytest.mark.usefixtures("hostile")
def test_hostile_logging_fails_no_return_page(gateway: FakeGateway, client: Client, payment: Payment) -> None:
    other = make_payment(status="pending", attempt=1)
    gateway.confirms(payment)
    gateway.tells(other.reference, requests.ConnectionError())
    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL, PAIEMENTPRO_SUCCESS_URL="no:where"):
        for each in (payment, other):
            assert client.get(each.get_return_url()).status_code == 200

    payment.refresh_from_db()
    assert payment.status == "succeeded"


@pytest.mark.usefixtures("hostile")
def test_hostile_logging_calls_no_receiver_again(heard: Heard) -> None:
    for _ in range(2):
        due_event(make_payment(status="succeeded"))
    make_payment(status="pending", attempt=1, initialized_at=timezone.now() - timedelta(days=2))

    totals = services.reconcile()
    assert (totals.delivered, totals.expired, totals.failed) == (2, 1, 0)
    services.reconcile()

    assert heard.names == ["payment_succeeded", "payment_succeeded", "payment_expired"]


@pytest.mark.usefixtures("hostile")
def test_broken_logging_fails_no_staff_action(payment: Payment, heard: Heard) -> None:
    awa = User.objects.create_user("awa")

    services.confirm_payment(payment, awa, gateway_id="CI1", amount=payment.amount, reason="Seen")

    assert heard.names == ["payment_succeeded"]
    assert not PaymentEvent.objects.exclude(deliver_at=None).exists()


def test_log_record_factory_keeps_its_attributes(caplog: pytest.LogCaptureFixture) -> None:
    with record_factory(with_names):
        log.write("payment_changed", make_payment(attempt=2), status="succeeded")

    [record] = caplog.records
    assert (vars(record)["status"], vars(record)["attempt"]) == ("the host's", 2)
    assert record.getMessage().endswith(" attempt=2 status=succeeded")


@pytest.mark.parametrize("hostility", ["filter", "handler", "exit", "factory"])
def test_failed_log_line_goes_to_stderr(capsys: pytest.CaptureFixture[str], hostility: str) -> None:
    with HOSTILE[hostility]():
        log.write("receiver_failed", raised=LookupError(INDISCREET), signal="payment_succeeded", receiver="shop.fulfil")

    told = capsys.readouterr().err
    text = "receiver_failed signal=payment_succeeded receiver=shop.fulfil error=builtins.LookupError"
    assert told.startswith(text)
    assert "Traceback" in told
    assert INDISCREET not in told


@pytest.mark.usefixtures("hostile")
def test_missing_last_resort_handler_is_no_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "lastResort", None)

    log.write("page_opened")

    assert capsys.readouterr().err == ""


def test_keyboard_interrupt_while_logging_is_raised() -> None:
    with pytest.raises(KeyboardInterrupt), raising_handler(KeyboardInterrupt):
        log.write("page_opened")
