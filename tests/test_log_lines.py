"""What the app's lines of the log carry, beside their names."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.test import Client, override_settings
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.models import Payment
from django_paiementpro.services import pool
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import STATUS_URL, Notify

pytestmark = pytest.mark.django_db(transaction=True)

Line = Callable[[str], dict[str, Any]]


@pytest.fixture
def line(caplog: pytest.LogCaptureFixture) -> Line:
    caplog.set_level(logging.DEBUG, "django_paiementpro")

    def only(name: str) -> dict[str, Any]:
        [record] = [record for record in caplog.records if record.getMessage() == name]
        carried = vars(record)
        assert carried["duration"] is None or 0 <= carried["duration"] < 60
        return carried

    return only


def said(carried: dict[str, Any], *names: str) -> list[Any]:
    return [carried[name] for name in ("reference", "attempt", "outcome", *names)]


def test_a_page_that_is_opened(gateway: FakeGateway, client: Client, line: Line) -> None:
    gateway.opens()
    payment = make_payment()
    client.get(payment.get_checkout_url())

    assert said(line("page_opened")) == [payment.reference, 1, "accepted"]
    assert line("page_opened")["duration"] is not None


def test_a_page_that_is_refused(gateway: FakeGateway, client: Client, line: Line) -> None:
    gateway.refuses("Echec")
    payment = make_payment()
    client.get(payment.get_checkout_url())

    assert said(line("page_refused"), "error") == [payment.reference, 1, "refused", ""]
    assert line("page_refused")["duration"] is not None
    event = payment.events.get()
    assert (event.message, event.data["referenceNumber"]) == ("Echec", payment.reference)


def test_a_page_that_does_not_come(gateway: FakeGateway, client: Client, line: Line) -> None:
    gateway.answers(requests.ConnectionError())
    payment = make_payment()
    client.get(payment.get_checkout_url())

    text = "no answer from the gateway (ConnectionError)"
    assert said(line("page_unavailable"), "error") == [payment.reference, 1, "failed", text]
    assert line("page_unavailable")["duration"] is not None
    event = payment.events.get()
    assert (event.message, event.data["referenceNumber"]) == (text, payment.reference)


def test_a_look_up_without_an_answer(gateway: FakeGateway, payment: Payment, line: Line) -> None:
    Payment.objects.update(attempt=2)
    gateway.tells(payment.reference, requests.ConnectionError())
    gateway.tells(f"{payment.reference}-2", b"oops")
    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL):
        services.check_payment(Payment.objects.get())

    text = "no answer from the gateway (ConnectionError)"
    assert said(line("status_unavailable"), "error", "count") == [payment.reference, 2, "failed", text, 2]
    assert line("status_unavailable")["duration"] is not None


def test_a_gateway_that_gives_no_answer_any_more(
    gateway: FakeGateway, payment: Payment, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "AWAY_AFTER", 1)
    gateway.tells(payment.reference, requests.ConnectionError())
    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL):
        services.reconcile()

    assert said(line("status_unavailable"), "count") == [payment.reference, 1, "failed", 1]
    assert line("status_unavailable")["duration"] is not None
    assert said(line("gateway_away")) == ["", None, "failed"]


def test_a_payment_that_changes(notify: Notify, payment: Payment, line: Line) -> None:
    notify(payment)

    assert said(line("payment_changed"), "status", "kind") == [
        *(payment.reference, 1, "accepted"),
        *("succeeded", "notification"),
    ]
    assert said(line("notification_received"), "reason") == [payment.reference, 1, "accepted", ""]


def test_a_verifier_that_raises(notify: Notify, payment: Payment, line: Line) -> None:
    with override_settings(PAIEMENTPRO_HASHCODE_VERIFIER="tests.test_notification.explode"):
        notify(payment)

    assert str(line("verifier_failed")["exc_info"][1]) == "builtins.LookupError"


def test_personal_data_that_are_blanked(line: Line) -> None:
    make_payment(customer_email="ama@example.com", status="failed")
    services.erase_personal_data(email="ama@example.com")

    assert said(line("personal_data_blanked"), "payments", "events") == ["", None, "accepted", 1, 0]
    assert line("personal_data_blanked")["duration"] is not None


def test_a_reconciliation(gateway: FakeGateway, line: Line) -> None:
    make_payment(status="pending", attempt=1, initialized_at=timezone.now() - timedelta(days=2))
    services.reconcile()

    assert said(line("reconcile_finished"), "expired", "asked", "failed") == ["", None, "", 1, 0, 0]
    assert line("reconcile_finished")["duration"] is not None
