"""Refunds are rows: several, partial, chargebacks with a fee, and never more than was paid."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone, translation

from django_paiementpro import services
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.testing import make_payment, pay
from tests.conftest import Heard

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_user("fatou", is_staff=True)


@pytest.fixture
def paid(db: None) -> Payment:
    return pay(make_payment(status="pending", attempt=1))


def refund(payment: Payment, user: User, amount: int, **values: Any) -> PaymentEvent:
    return services.refund_payment(payment, user, **{"amount": amount, "reason": "Out of stock", **values})


def status_and_refund(payment: Payment) -> tuple[str, int]:
    payment = Payment.objects.get(pk=payment.pk)
    return payment.status, payment.refunded_amount


@pytest.mark.django_db(transaction=True)
def test_partial_refund_leaves_the_payment_succeeded(paid: Payment, staff: User, heard: Heard) -> None:
    event = refund(paid, staff, 1000, reference="R1")
    assert status_and_refund(paid) == ("succeeded", 1000)
    row = paid.refunds.get()
    assert (row.amount, row.fee, row.kind, row.reference, row.reason, row.user) == (
        *(1000, 0, "refund", "R1", "Out of stock", staff),
    )
    assert (row.event, event.refunds.get(), row.refunded_on) == (event, row, timezone.localdate())
    assert str(row) == row.amount_display == "1\u202f000\u00a0F\u00a0CFA"
    assert heard.names == ["payment_refunded"]
    assert event.data == {
        "action": "refund",
        "user": "fatou",
        "user_id": str(staff.pk),
        "amount": 1000,
        "refund_reference": "R1",
        "kind": "refund",
        "refunded_on": row.refunded_on.isoformat(),
    }


@pytest.mark.django_db(transaction=True)
def test_last_partial_refund_completes_the_refund(paid: Payment, staff: User, heard: Heard) -> None:
    refund(paid, staff, 1000)
    refund(paid, staff, 500, refunded_on=timezone.localdate())
    assert status_and_refund(paid) == ("succeeded", 1500)
    refund(paid, staff, 11000)
    assert status_and_refund(paid) == ("refunded", 12500)
    assert heard.names == ["payment_refunded"] * 3
    assert [each.amount for each in paid.refunds.all()] == [1000, 500, 11000]
    with pytest.raises(ValidationError) as caught:
        refund(paid, staff, 1)
    assert caught.value.code == "not_refundable"


def test_chargeback_can_have_a_fee(paid: Payment, staff: User) -> None:
    event = refund(paid, staff, 12500, kind="chargeback", fee=3000)
    row = paid.refunds.get()
    assert (row.kind, row.fee, row.fee_display) == ("chargeback", 3000, "3\u202f000\u00a0F\u00a0CFA")
    assert (event.data["kind"], event.data["fee"]) == ("chargeback", 3000)
    assert status_and_refund(paid) == ("refunded", 12500)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"amount": 0}, "amount_mismatch"),
        ({"amount": -1}, "amount_mismatch"),
        ({"amount": 12501}, "amount_mismatch"),
        ({"amount": 1, "kind": "gift"}, "invalid"),
        ({"amount": 1, "kind": "chargeback", "fee": -1}, "invalid"),
        ({"amount": 1, "kind": "chargeback", "fee": 2**63}, "invalid"),
        ({"amount": 1, "fee": 1}, "invalid"),
        ({"amount": 1, "reference": "R" * 129}, "invalid"),
        ({"amount": 1, "refunded_on": date(2020, 1, 1)}, "invalid"),
        ({"amount": 1, "refunded_on": timezone.localdate() + timedelta(days=1)}, "invalid"),
    ],
)
def test_unpaid_payment_cannot_be_refunded(paid: Payment, staff: User, values: dict[str, Any], code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        refund(paid, staff, **values)
    assert caught.value.code == code
    assert status_and_refund(paid) == ("succeeded", 0)
    assert not paid.refunds.exists()


def test_refund_is_limited_to_the_remaining_amount(paid: Payment, staff: User) -> None:
    refund(paid, staff, 12000)
    with pytest.raises(ValidationError) as caught:
        refund(paid, staff, 501)
    assert caught.value.code == "amount_mismatch"
    assert caught.value.messages == ["A refund cannot exceed what is left of the payment: 500 francs."]


def test_second_click_refunds_nothing(paid: Payment, staff: User) -> None:
    seen = Payment.objects.get(pk=paid.pk)
    refund(paid, staff, 1000)
    with pytest.raises(ValidationError) as caught:
        refund(seen, staff, 1000)
    assert caught.value.code == "changed"
    assert status_and_refund(paid) == ("succeeded", 1000)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("amount", [12500, 7000])
def test_two_people_at_once_never_refund_more_than_was_paid(paid: Payment, staff: User, amount: int) -> None:
    copies = [Payment.objects.get(pk=paid.pk) for _ in range(8)]

    def click(copy: Payment) -> str:
        try:
            refund(copy, staff, amount)
        except ValidationError as error:
            return str(error.code)
        else:
            return "done"
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(click, copies))
    assert results.count("done") == 1
    assert status_and_refund(paid)[1] == amount
    assert paid.refunds.count() == 1


class RollbackError(Exception):
    pass


def test_rolled_back_refund_can_be_recorded_again(paid: Payment, staff: User) -> None:
    def rolled_back() -> None:
        with transaction.atomic():
            refund(paid, staff, 1000)
            raise RollbackError

    with pytest.raises(RollbackError):
        rolled_back()
    refund(paid, staff, 1000)
    assert status_and_refund(paid) == ("succeeded", 1000)
    assert paid.refunds.count() == 1


# Where refunds are shown.


def test_status_includes_the_refunded_amount(paid: Payment, staff: User, client: Client) -> None:
    assert client.get(paid.get_status_url()).json()["refunded_amount"] == 0
    refund(paid, staff, 1000)
    answer = client.get(paid.get_status_url()).json()
    assert (answer["status"], answer["refunded_amount"]) == ("succeeded", 1000)


def test_customer_sees_a_partial_refund(paid: Payment, staff: User, client: Client) -> None:
    assert "refunded" not in client.get(paid.get_return_url()).content.decode()
    refund(paid, staff, 1000)
    page = client.get(paid.get_return_url()).content.decode()
    assert "1\u202f000\u00a0F\u00a0CFA of 12\u202f500\u00a0F\u00a0CFA refunded" in page
    with translation.override("fr"):
        page = client.get(paid.get_return_url(), headers={"accept-language": "fr"}).content.decode()
    assert "1\u202f000\u00a0F\u00a0CFA sur 12\u202f500\u00a0F\u00a0CFA remboursés" in page
