"""A payment that is deleted while something happens to it: a database at its most hostile."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import responses
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test import Client, override_settings

from django_paiementpro import services
from django_paiementpro.enums import Reason
from django_paiementpro.exceptions import InvalidNotification
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.services.notifications import receive_notification
from django_paiementpro.testing import FakeGateway, make_payment
from django_paiementpro.testing.gateway import paid_answer
from django_paiementpro.testing.notifications import notification_of
from tests.conftest import STATUS_URL, Notify, just_before
from tests.server.threads import at_once
from tests.test_admin import LIST, client_of, text_of
from tests.test_admin_actions import VALUES, form_of, payment_for, url_of

pytestmark = pytest.mark.django_db(transaction=True)


def delete() -> None:
    """Delete all payments in another connection."""
    at_once(lambda: Payment.objects.all().delete())


@pytest.mark.parametrize("changes", [{}, {"responsecode": -1}, {"amount": 1}])
def test_notification_of_a_deleted_payment_is_not_found(
    payment: Payment, notify: Notify, changes: dict[str, Any]
) -> None:
    with just_before(delete, "UPDATE", "paiementpro_payment"):
        response = notify(payment, **changes)

    assert (response.status_code, response.content) == (404, b"Not Found")
    assert not PaymentEvent.objects.exists()


def test_malformed_notification_of_a_deleted_payment_is_404(payment: Payment, notify: Notify) -> None:
    with just_before(delete, "INSERT", "paiementpro_paymentevent"):
        response = notify(payment, amount="")

    assert (response.status_code, response.content) == (404, b"Not Found")
    assert not PaymentEvent.objects.exists()


def test_other_integrity_errors_of_events_are_raised(payment: Payment) -> None:
    def broken(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if sql.startswith("INSERT"):
            raise IntegrityError("a rule of the host's")
        return execute(sql, *arguments)

    error = InvalidNotification(Reason.MALFORMED, "no amount")
    with connection.execute_wrapper(broken):
        with pytest.raises(IntegrityError, match="a rule"):
            receive_notification(payment.url_key, error)
        with pytest.raises(IntegrityError, match="a rule"), transaction.atomic():
            receive_notification(payment.url_key, error)


def test_checkout_of_a_deleted_payment_is_not_found(gateway: FakeGateway) -> None:
    payment = make_payment()
    with just_before(delete, "UPDATE", "paiementpro_payment"):
        assert Client().get(payment.get_checkout_url()).status_code == 404
    assert gateway.page_requests == []


@pytest.mark.parametrize("is_refused", [False, True])
def test_checkout_of_a_payment_deleted_meanwhile_is_404(gateway: FakeGateway, is_refused: bool) -> None:
    payment = make_payment()

    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        delete()
        return 200, {}, '{"success": false}' if is_refused else f'{{"success": true, "url": "{gateway.page_url}"}}'

    gateway.answers(answer)

    assert Client().get(payment.get_checkout_url()).status_code == 404
    assert not PaymentEvent.objects.exists()


@override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL)
def test_return_and_status_of_a_deleted_payment_are_not_found(payment: Payment) -> None:
    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        delete()
        return 200, {}, '{"success": false}'

    client = Client()
    with responses.RequestsMock() as mock:
        mock.add_callback("GET", f"{STATUS_URL}/{payment.reference}", answer)
        assert client.get(payment.get_return_url()).status_code == 404
    for url in (payment.get_return_url(), payment.get_status_url(), payment.get_checkout_url()):
        assert client.get(url).status_code == 404


@pytest.mark.parametrize("is_paid", [False, True])
@override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL)
def test_reconciliation_skips_a_deleted_payment(gateway: FakeGateway, is_paid: bool) -> None:
    payment = make_payment(status="pending", attempt=1)
    if is_paid:
        gateway.confirms(payment)

    with just_before(delete, "UPDATE", "paiementpro_payment", "checked_at"):
        totals = services.reconcile()
    assert (totals.failed, totals.settled) == (0, 0)


@override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL)
def test_reconciliation_skips_a_payment_deleted_by_then(payment: Payment) -> None:
    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        delete()
        return 200, {}, json.dumps(paid_answer(notification_of(payment)))

    with responses.RequestsMock() as mock:
        mock.add_callback("GET", f"{STATUS_URL}/{payment.reference}", answer)
        totals = services.reconcile()

    assert (totals.failed, totals.settled) == (0, 0)


@pytest.mark.parametrize("action", list(VALUES))
@override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL)
@pytest.mark.usefixtures("heard", "gateway")
def test_staff_see_that_a_payment_no_longer_exists(action: str) -> None:
    client = client_of("view_payment", *(f"{name}_payment" for name in VALUES if name != "replay"))
    payment = payment_for(action)
    url = url_of(action, payment)
    values = {**form_of(client, url), **VALUES[action]}

    with just_before(delete, "UPDATE", "paiementpro_payment"):
        response = client.post(url, values, follow=True)

    assert "This payment no longer exists." in text_of(response)
    assert response.redirect_chain == [(LIST, 302)]


@override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL)
def test_staff_check_skips_a_deleted_payment(gateway: FakeGateway) -> None:
    client = client_of("view_payment", "check_payment")
    payment = make_payment(status="pending", attempt=1)

    with just_before(delete, "UPDATE", "paiementpro_payment"):
        response = client.post(LIST, {"action": "check_payments", "_selected_action": [payment.pk]}, follow=True)

    assert response.status_code == 200


def test_api_of_a_deleted_payment_is_not_found(gateway: FakeGateway) -> None:
    user = User.objects.create_user("awa")
    payment = make_payment(user=user)
    client = Client()
    client.force_login(user)

    with just_before(delete, "UPDATE", "paiementpro_payment"):
        response = client.post(f"/api/payments/{payment.reference}/checkout/")

    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"
