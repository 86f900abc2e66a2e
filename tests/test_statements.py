"""The plain SQL of ``statements`` does what the ORM does, on every database."""

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

NOW = timezone.now()


def make_payments(**others: Any) -> list[Payment]:
    return [make_payment(amount=1000 * number, description=f"Order {number}", **others) for number in (1, 2, 3)]


@pytest.mark.parametrize(
    "where",
    [
        {"amount": 2000},
        {"pk": 0},
        {"amount": 2000, "initialized_at": None},
        {"amount": 2000, "currency": None},
        {"description": "Order 2", "needs_review": False, "settled_attempt": 7},
        {"description": "100 %s", "checked_at": NOW},
        {"return_context": {"order": "é"}, "description": "Order 3"},
    ],
)
def test_find_finds_what_the_orm_finds(where: Mapping[str, Any]) -> None:
    make_payments(return_context={"order": "é"}, checked_at=NOW, customer_email="awa@example.com", channel="WAVECI")
    make_payment(description="100 %s", checked_at=NOW)
    found, meant = statements.find(Payment, where), Payment.objects.filter(**where).first()
    assert (found and columns(found)) == (meant and columns(meant))


def test_find_returns_an_ordinary_payment() -> None:
    payment = make_payments()[0]
    found = statements.find(Payment, {"reference": payment.reference})
    assert found is not None
    assert found == payment
    assert found.get_deferred_fields() == set()
    assert (found._state.db, found._state.adding) == ("default", False)
    found.description = "Order 4"
    found.save()
    assert Payment.objects.get(pk=payment.pk).description == "Order 4"


def test_find_returns_one_of_several_rows() -> None:
    payments = make_payments()
    with CaptureQueriesContext(connection) as queries:
        assert statements.find(Payment, {"status": "created"}) in payments
    [query] = queries
    assert "LIMIT 1" in query["sql"]


@pytest.mark.parametrize(("description", "expected"), [("Order 3", 3000), ("100 %s", None)])
def test_find_reads_another_column_in_the_same_statement(description: str, expected: int | None) -> None:
    payment = make_payments()[0]
    also = "(SELECT amount FROM paiementpro_payment other WHERE other.description = %s) AS other_amount"
    with CaptureQueriesContext(connection) as queries:
        found: Any = statements.find(Payment, {"pk": payment.pk}, also, [description])
    assert len(queries) == 1
    assert (found, found.other_amount) == (payment, expected)


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ({"amount": 2000}, 1),
        ({"status": "created", "blanked_at": None}, 3),
        ({"amount": 2000, "checked_at": None}, 0),
        ({"status": "succeeded"}, 0),
    ],
)
@pytest.mark.parametrize("is_durable", [True, False])
def test_update_stores_what_the_orm_stores(where: Mapping[str, Any], count: int, is_durable: bool) -> None:
    now = timezone.now() - timedelta(days=3)
    payments = make_payments(checked_at=now)
    changes = {"status": "succeeded", "settled_at": now, "return_context": {"order": ["é", 1]}, "settled_attempt": None}
    meant = {payment.pk for payment in Payment.objects.filter(**where)}
    assert statements.update(Payment, where, changes, is_durable=is_durable) == len(meant) == count
    for payment in payments:
        before = columns(payment)
        payment.refresh_from_db()
        assert columns(payment) == ({**before, **changes} if payment.pk in meant else before)


@pytest.mark.parametrize("is_durable", [True, False])
def test_only_postgresql_commits_asynchronously(is_durable: bool) -> None:
    payment = make_payments()[0]
    with CaptureQueriesContext(connection) as queries:
        statements.update(Payment, {"pk": payment.pk}, {"description": "Order 4"}, is_durable=is_durable)
    [query] = queries
    is_asynchronous = connection.vendor == "postgresql" and not is_durable
    assert ("synchronous_commit" in query["sql"]) == is_asynchronous


def test_list_is_stored_as_json() -> None:
    event = PaymentEvent.objects.create(payment=make_payments()[0], kind="host", outcome="accepted")
    assert statements.update(PaymentEvent, {"pk": event.pk, "deliver_at": None}, {"delivered": ["a b"]}) == 1
    event.refresh_from_db()
    assert event.delivered == ["a b"]


def test_error_breaks_the_transaction_as_the_orm_does() -> None:
    payment = make_payments()[0]
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            statements.update(Payment, {"pk": payment.pk}, {"amount": 0})
        with pytest.raises(transaction.TransactionManagementError):
            Payment.objects.exists()
        transaction.set_rollback(True)
    with transaction.atomic():
        with pytest.raises(IntegrityError), transaction.atomic():
            statements.update(Payment, {"pk": payment.pk}, {"amount": 0})
        assert Payment.objects.filter(amount=1000).exists()


@pytest.mark.django_db(transaction=True)
def test_error_outside_of_a_transaction_breaks_nothing() -> None:
    payment = make_payments()[0]
    with pytest.raises(IntegrityError):
        statements.update(Payment, {"pk": payment.pk}, {"amount": 0})
    assert Payment.objects.get(pk=payment.pk).amount == 1000


def test_nothing_is_compiled() -> None:
    make_payments()
    with patch.object(SQLCompiler, "as_sql", side_effect=AssertionError):
        found = statements.find(Payment, {"amount": 2000, "settled_at": None})
        assert statements.update(Payment, {"amount": 2000, "gateway_id": ""}, {"description": "Order 4"}) == 1
    assert found == Payment.objects.get(description="Order 4")


@pytest.mark.django_db(transaction=True)
def test_each_thread_uses_its_own_connection() -> None:
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
