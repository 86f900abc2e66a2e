"""What statements say is what the ORM says, on every database; and a second time nothing is compiled."""

import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.sql.compiler import SQLCompiler
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_paiementpro import statements
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.testing import make_payment
from tests.conftest import columns

pytestmark = pytest.mark.django_db


def make_payments(**others: Any) -> list[Payment]:
    return [make_payment(amount=1000 * number, description=f"Order {number}", **others) for number in (1, 2, 3)]


@pytest.mark.parametrize(
    "where",
    [
        {"amount": 2000},
        {"pk": 0},
        {"amount": 2000, "initialized_at": None},
        {"amount": 2000, "currency": None},
        {"amount__in": [2000]},
        {"amount__in": {2000, 7}, "status__in": ["created", "pending"], "description": "Order 2"},
        {"amount__in": [2000, 2000], "status": "pending"},
    ],
)
def test_what_is_found_is_what_the_orm_finds(where: Mapping[str, Any]) -> None:
    make_payments(return_context={"order": "é"}, checked_at=timezone.now(), customer_email="awa@example.com")
    found, meant = statements.find(Payment, where), Payment.objects.filter(**where).first()
    assert (found and columns(found)) == (meant and columns(meant))


def test_what_is_found_is_a_payment_as_any_other() -> None:
    payment = make_payments()[0]
    found = statements.find(Payment, {"reference": payment.reference})
    assert found == payment
    assert found._state.db == "default"
    assert not found._state.adding
    assert found._stored == Payment.objects.get(pk=payment.pk)._stored


def test_where_many_are_so_one_of_them_is_found() -> None:
    payments = make_payments()
    with CaptureQueriesContext(connection) as queries:
        assert statements.find(Payment, {"status": "created"}) in payments
    assert "LIMIT 1" in queries[0]["sql"]


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ({"amount": 2000}, 1),
        ({"amount__in": [1000, 3000], "blanked_at": None}, 2),
        ({"amount": 2000, "checked_at": None}, 0),
        ({"status": "succeeded"}, 0),
    ],
)
def test_what_is_stored_is_what_the_orm_stores(where: Mapping[str, Any], count: int) -> None:
    now = timezone.now() - timedelta(days=3)
    payments = make_payments(checked_at=now)
    changes = {"status": "succeeded", "settled_at": now, "return_context": {"order": ["é", 1]}, "settled_attempt": None}
    meant = {payment.pk for payment in Payment.objects.filter(**where)}
    assert statements.update(Payment, where, changes) == len(meant) == count
    for payment in payments:
        before = columns(payment)
        payment.refresh_from_db()
        assert columns(payment) == ({**before, **changes} if payment.pk in meant else before)


def test_a_list_as_a_value_is_stored_as_json() -> None:
    event = PaymentEvent.objects.create(payment=make_payments()[0], kind="host", outcome="accepted")
    assert statements.update(PaymentEvent, {"pk": event.pk, "deliver_at": None}, {"delivered": ["a b"]}) == 1
    event.refresh_from_db()
    assert event.delivered == ["a b"]


def test_what_the_database_refuses_breaks_the_transaction_as_the_orm_does() -> None:
    payment = make_payments()[0]
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            statements.update(Payment, {"pk": payment.pk}, {"amount": 0})
        with pytest.raises(transaction.TransactionManagementError):
            Payment.objects.exists()
        transaction.set_rollback(True)


def test_the_second_time_nothing_is_compiled() -> None:
    def run(amount: int) -> None:
        statements.find(Payment, {"amount": amount, "status__in": ["created", "failed"]})
        statements.update(Payment, {"amount": amount, "gateway_id": ""}, {"description": str(amount)})

    make_payments()
    run(1000)
    with patch.object(SQLCompiler, "as_sql", side_effect=AssertionError):
        run(2000)
    assert Payment.objects.get(amount=2000).description == "2000"


@pytest.mark.django_db(transaction=True)
def test_each_thread_finds_by_its_own_connection() -> None:
    payment = make_payments(initialized_at=timezone.now())[0]
    found: list[Payment | None] = []

    def find() -> None:
        found.append(statements.find(Payment, {"reference": payment.reference}))
        connection.close()

    threads = [threading.Thread(target=find) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each and each.initialized_at for each in found] == [Payment.objects.get(pk=payment.pk).initialized_at] * 2
