"""The plain SQL of ``db.sql`` does what the ORM does, on every database."""

import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, models, transaction
from django.db.models.signals import ModelSignal, post_save, pre_save
from django.db.models.sql.compiler import SQLCompiler
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.utils import timezone

from django_paiementpro.db import sql
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
    found, meant = sql.find(Payment, where), Payment.objects.filter(**where).first()
    assert (found and columns(found)) == (meant and columns(meant))


def test_find_returns_an_ordinary_payment() -> None:
    payment = make_payments()[0]
    found = sql.find(Payment, {"reference": payment.reference})
    assert found is not None
    assert found == payment
    assert found.get_deferred_fields() == set()
    assert (found._state.db, found._state.adding) == ("default", False)
    found.description = "Order 4"
    found.save()
    assert Payment.objects.get(pk=payment.pk).description == "Order 4"


def test_find_converts_the_key_of_a_user_as_the_orm_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def converted(value: int, expression: Any, connection: Any) -> str:
        return f"user {value}"

    user = User.objects.create_user("awa")
    payment = make_payment(user=user)
    monkeypatch.setattr(User._meta.pk, "from_db_value", converted, raising=False)
    sql._converters.cache_clear()
    found = sql.find(Payment, {"reference": payment.reference})
    monkeypatch.undo()
    sql._converters.cache_clear()
    assert found is not None
    assert found.user_id == f"user {user.pk}"


@isolate_apps("tests.host")
def test_key_of_a_user_is_found_through_other_models() -> None:
    class Account(models.Model):
        number = models.CharField(max_length=9, unique=True)

        class Meta:
            app_label = "host"

    class Person(models.Model):
        account = models.OneToOneField(Account, models.CASCADE, to_field="number", primary_key=True)

        class Meta:
            app_label = "host"

    class Sale(models.Model):
        person = models.ForeignKey(Person, models.CASCADE)

        class Meta:
            app_label = "host"

    assert sql._referenced(Sale._meta.get_field("person")) is Account._meta.get_field("number")


def test_find_returns_one_of_several_rows() -> None:
    payments = make_payments()
    with CaptureQueriesContext(connection) as queries:
        assert sql.find(Payment, {"status": "created"}) in payments
    [query] = queries
    assert "LIMIT 1" in query["sql"]


@pytest.mark.parametrize(("description", "expected"), [("Order 3", 3000), ("100 %s", None)])
def test_find_reads_another_column_in_the_same_statement(description: str, expected: int | None) -> None:
    payment = make_payments()[0]
    also = "(SELECT amount FROM paiementpro_payment other WHERE other.description = %s) AS other_amount"
    with CaptureQueriesContext(connection) as queries:
        found: Any = sql.find(Payment, {"pk": payment.pk}, also, [description])
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
    assert sql.update(Payment, where, changes, is_durable=is_durable) == len(meant) == count
    for payment in payments:
        before = columns(payment)
        payment.refresh_from_db()
        assert columns(payment) == ({**before, **changes} if payment.pk in meant else before)


@pytest.mark.parametrize("is_durable", [True, False])
def test_only_postgresql_commits_asynchronously(is_durable: bool) -> None:
    payment = make_payments()[0]
    with CaptureQueriesContext(connection) as queries:
        sql.update(Payment, {"pk": payment.pk}, {"description": "Order 4"}, is_durable=is_durable)
    [query] = queries
    is_asynchronous = connection.vendor == "postgresql" and not is_durable
    assert ("synchronous_commit" in query["sql"]) == is_asynchronous


def test_list_is_stored_as_json() -> None:
    event = PaymentEvent.objects.create(payment=make_payments()[0], kind="host", outcome="accepted")
    assert sql.update(PaymentEvent, {"pk": event.pk, "deliver_at": None}, {"delivered": ["a b"]}) == 1
    event.refresh_from_db()
    assert event.delivered == ["a b"]


def test_error_breaks_the_transaction_as_the_orm_does() -> None:
    payment = make_payments()[0]
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            sql.update(Payment, {"pk": payment.pk}, {"amount": 0})
        with pytest.raises(transaction.TransactionManagementError):
            Payment.objects.exists()
        transaction.set_rollback(True)
    with transaction.atomic():
        with pytest.raises(IntegrityError), transaction.atomic():
            sql.update(Payment, {"pk": payment.pk}, {"amount": 0})
        assert Payment.objects.filter(amount=1000).exists()


@pytest.mark.django_db(transaction=True)
def test_error_outside_of_a_transaction_breaks_nothing() -> None:
    payment = make_payments()[0]
    with pytest.raises(IntegrityError):
        sql.update(Payment, {"pk": payment.pk}, {"amount": 0})
    assert Payment.objects.get(pk=payment.pk).amount == 1000


def test_nothing_is_compiled() -> None:
    make_payments()
    with patch.object(SQLCompiler, "as_sql", side_effect=AssertionError):
        found = sql.find(Payment, {"amount": 2000, "settled_at": None})
        assert sql.update(Payment, {"amount": 2000, "gateway_id": ""}, {"description": "Order 4"}) == 1
    assert found == Payment.objects.get(description="Order 4")


@pytest.mark.django_db(transaction=True)
def test_each_thread_uses_its_own_connection() -> None:
    payment = make_payments(initialized_at=timezone.now())[0]
    found: list[Payment | None] = []

    def find() -> None:
        found.append(sql.find(Payment, {"reference": payment.reference}))
        connection.close()

    threads = [threading.Thread(target=find) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each and each.initialized_at for each in found] == [Payment.objects.get(pk=payment.pk).initialized_at] * 2


def new_event(payment: Payment, **values: Any) -> PaymentEvent:
    return PaymentEvent(payment=payment, kind="host", outcome="accepted", data={"order": "é %s"}, **values)


def test_insert_stores_what_the_orm_stores() -> None:
    payment, deliver_at = make_payments()[0], NOW + timedelta(minutes=5)
    event = new_event(payment, message="it's \\ 100 %", signals=["payment_failed"], deliver_at=deliver_at)
    sql.insert(event)
    assert columns(PaymentEvent.objects.get(pk=event.pk)) == columns(event)
    saved = new_event(payment, message=event.message, signals=event.signals, deliver_at=deliver_at)
    saved.created_at = event.created_at
    saved.save()
    assert columns(saved) | {"id": event.pk} == columns(event)


@pytest.mark.parametrize("is_durable", [True, False])
def test_update_and_insert_does_both(is_durable: bool) -> None:
    payment, other, _third = make_payments()
    event = new_event(payment)
    where = {"pk": payment.pk, "initialized_at": None}
    changes = {"status": "failed", "initialized_at": NOW}
    assert sql.update_and_insert(Payment, where, changes, event, is_durable=is_durable)
    stored = Payment.objects.get(pk=payment.pk)
    assert (stored.status, stored.initialized_at) == ("failed", NOW)
    assert columns(PaymentEvent.objects.get()) == columns(event)
    assert Payment.objects.get(pk=other.pk).status == "created"


def test_update_and_insert_does_neither_without_a_row() -> None:
    payment = make_payments()[0]
    event = new_event(payment)
    assert not sql.update_and_insert(Payment, {"pk": payment.pk, "status": "failed"}, {"attempt": 2}, event)
    assert event.pk is None
    assert not PaymentEvent.objects.exists()


def test_insert_saves_where_the_driver_does_not_know_the_key() -> None:
    event = new_event(make_payments()[0])
    with patch.dict(sql.RETURNING_KEY, clear=True):
        assert not sql.is_one_statement(PaymentEvent, "default")
        assert sql.update_and_insert(Payment, {"pk": event.payment_id}, {"attempt": 2}, event)
    assert columns(PaymentEvent.objects.get()) == columns(event)


@pytest.mark.parametrize("signal", [pre_save, post_save])
def test_insert_sends_signals_that_are_listened_to(signal: ModelSignal) -> None:
    saved = []

    def note(sender: object, instance: PaymentEvent, **kwargs: object) -> None:
        saved.append(instance)

    event = new_event(make_payments()[0])
    signal.connect(note, sender=PaymentEvent)
    try:
        assert sql.update_and_insert(Payment, {"pk": event.payment_id}, {"attempt": 2}, event)
    finally:
        signal.disconnect(note, sender=PaymentEvent)
    assert saved == [event]


def test_postgresql_changes_and_inserts_in_one_statement() -> None:
    make_payments()
    assert sql.is_one_statement(PaymentEvent, "default") == (connection.vendor == "postgresql")
