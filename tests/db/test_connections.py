"""The first request after the server has ended a connection that was idle."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import OperationalError, connection, transaction
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import reverse
from rest_framework.test import APIClient

from django_paiementpro.http import reread
from django_paiementpro.models import Payment
from django_paiementpro.services.notifications import find_payment
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import Notify, Statements, just_before
from tests.host.models import Order
from tests.server.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

#: How a connection is named at its server, and ended there. SQLite has no server.
BACKENDS = {
    "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend(%s, 5000)"),
    "mysql": ("SELECT CONNECTION_ID()", "KILL %s"),
}


def lose_connection() -> None:
    """End this thread's connection from another one, as a restart or an idle time-out does."""
    name, end = BACKENDS.get(connection.vendor, ("SELECT 1", "SELECT %s"))
    with connection.cursor() as cursor:
        cursor.execute(name)
        [number] = cursor.fetchone()

    def kill() -> None:
        with connection.cursor() as cursor:
            cursor.execute(end, [number])

    at_once(kill)


@pytest.fixture(params=[False, True])
def idle(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep connections between requests, without and with Django's health checks."""
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 600)
    monkeypatch.setitem(connection.settings_dict, "CONN_HEALTH_CHECKS", request.param)


@pytest.mark.usefixtures("idle")
def test_notification_after_an_idle_connection_was_lost_settles(payment: Payment, notify: Notify) -> None:
    lose_connection()

    assert notify(payment).status_code == 200
    assert Payment.objects.get().status == "succeeded"
    assert [event.outcome for event in payment.events.all()] == ["accepted"]


def test_connection_lost_at_the_transition_loses_no_notification(payment: Payment, notify: Notify) -> None:
    with just_before(lose_connection, "UPDATE", "settled_at"):
        assert notify(payment).status_code == 200

    assert Payment.objects.get().status == "succeeded"
    assert [event.outcome for event in payment.events.all()] == ["accepted"]


def test_connection_lost_while_the_page_is_recorded_loses_no_page(gateway: FakeGateway) -> None:
    payment = make_payment()
    with just_before(lose_connection, "UPDATE", "payment_url"):
        assert Client().get(payment.get_checkout_url())["Location"] == gateway.page_url

    assert Payment.objects.get().status == "pending"


@pytest.mark.usefixtures("idle")
def test_payer_does_not_notice_that_a_connection_was_lost(gateway: FakeGateway) -> None:
    payment, client = make_payment(), Client()

    for url, status in [
        (payment.get_checkout_url(), 302),
        (payment.get_return_url(), 200),
        (payment.get_status_url(), 200),
    ]:
        lose_connection()
        assert client.get(url).status_code == status
    lose_connection()
    assert client.post(payment.get_checkout_url()).status_code == 302
    assert len(gateway.page_requests) == 1


@pytest.mark.usefixtures("idle")
def test_monitoring_and_the_api_do_not_notice_that_a_connection_was_lost(payment: Payment, settings: Any) -> None:
    # This one reads the session before any view is called.
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.endswith(".LoginRequiredMiddleware")]
    user = User.objects.create_user("awa", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_payment"))
    Payment.objects.update(user=user)
    client = Client()
    client.force_login(user)
    health = reverse("paiementpro_monitoring:health")
    expected = client.get(health).status_code
    settings.PAIEMENTPRO_HEALTH_TOKEN = token = "0123456789" * 4

    for reader, url, status in [
        (client, health, expected),
        (Client(), f"{health}?token={token}", expected),
        (client, "/api/payments/", 200),
        (client, f"/api/payments/{payment.reference}/", 200),
    ]:
        lose_connection()
        assert reader.get(url).status_code == status


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("first_read", ["authentication", "payment", "key"])
def test_post_to_the_api_does_not_notice_that_a_connection_was_lost(
    gateway: FakeGateway, settings: Any, first_read: str
) -> None:
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.endswith(".LoginRequiredMiddleware")]
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "tests.host.payments.new_payment"
    user = User.objects.create_user("awa")
    payment, order = make_payment(user=user), Order.objects.create()
    client = APIClient()
    if first_read == "authentication":
        client.force_login(user)
    elif first_read == "payment":
        client.force_authenticate(user)  # as a token that carries its user does

    lose_connection()
    if first_read == "key":
        headers = {"Idempotency-Key": "k" * 32}
        response = client.post("/api/payments/", {"order": str(order.pk)}, format="json", headers=headers)
    else:
        response = client.post(f"/api/payments/{payment.reference}/checkout/")

    assert response.status_code == (201 if first_read == "key" else 200)
    assert len(gateway.page_requests) == 1


@pytest.mark.parametrize("is_lost", [True, False])
def test_database_that_is_away_is_asked_twice_at_most(
    payment: Payment, notify: Notify, monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    asked = []

    def away(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        asked.append(sql)
        raise OperationalError

    monkeypatch.setattr(connection, "is_usable", lambda: not is_lost)
    with connection.execute_wrapper(away), pytest.raises(OperationalError):
        notify(payment)

    assert len(asked) == (2 if is_lost else 1)
    assert Payment.objects.get().status == "pending"
    assert not payment.events.exists()


def test_nothing_is_read_again_in_a_transaction(payment: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def away(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        asked.append(sql)
        raise OperationalError

    monkeypatch.setattr(connection, "is_usable", lambda: False)
    with transaction.atomic(), connection.execute_wrapper(away), pytest.raises(OperationalError):
        find_payment(payment.reference)

    assert len(asked) == 1


@pytest.mark.parametrize(("method", "count"), [("GET", 2), ("HEAD", 2), ("POST", 1)])
def test_only_a_view_that_writes_nothing_is_run_again(
    payment: Payment, monkeypatch: pytest.MonkeyPatch, method: str, count: int
) -> None:
    methods = []

    @reread
    def view(request: HttpRequest) -> None:
        methods.append(request.method)
        raise OperationalError

    monkeypatch.setattr(connection, "is_usable", lambda: False)
    with pytest.raises(OperationalError):
        view(RequestFactory().generic(method, "/"))
    assert methods == [method] * count


def test_connection_that_is_alive_is_not_checked(payment: Payment, statements: Statements) -> None:
    with statements:
        assert find_payment(payment.url_key)
    assert len(statements) == 1
