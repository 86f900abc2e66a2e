"""What plain SQL does is what the ORM would have done."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone

from django_paiementpro import rows
from django_paiementpro.models import Payment, PaymentEvent
from tests.conftest import Statements, due_event, make_payment

pytestmark = pytest.mark.django_db


def values(instance: Model) -> dict[str, Any]:
    return {field.attname: getattr(instance, field.attname) for field in instance._meta.concrete_fields}


def test_a_row_is_read_as_the_orm_reads_it(payment: Payment) -> None:
    Payment.objects.update(return_context={"order": ["é", 1]}, transaction_date=timezone.now(), needs_review=True)

    found = rows.read(Payment, "default", {"reference": payment.reference})

    expected = Payment.objects.get()
    assert found == expected
    assert values(found) == values(expected)
    assert list(map(type, values(found).values())) == list(map(type, values(expected).values()))
    assert (found._state.db, found._state.adding) == ("default", False)


def test_what_is_read_stores_only_what_is_changed(payment: Payment) -> None:
    found = rows.read(Payment, "default", {"reference": payment.reference})
    assert found
    Payment.objects.update(status="succeeded")

    found.description = "Another"
    found.save()

    assert Payment.objects.values_list("status", "description").get() == ("succeeded", "Another")


def test_what_is_not_there_is_none(payment: Payment) -> None:
    assert rows.read(Payment, "default", {"reference": "another"}) is None
    assert rows.read_text(Payment, "default", "reference", {"amount": 1}) is None


def test_one_of_several_values_will_do() -> None:
    first, second = make_payment(status="failed"), make_payment(status="succeeded")

    assert rows.read_text(Payment, "default", "reference", {"status": ["failed", "expired"]}) == first.reference
    assert rows.read_text(Payment, "default", "reference", {"status": ["refunded", "succeeded"]}) == second.reference


def test_a_row_is_changed_only_as_found(payment: Payment) -> None:
    as_found = {"id": payment.pk, "status": "pending", "settled_at": None}
    changes = {"settled_at": timezone.now(), "return_context": {"a": [1]}, "needs_review": True}
    other = make_payment(status="pending")

    assert not rows.update(Payment, "default", as_found | {"attempt": 2}, changes)
    assert Payment.objects.filter(settled_at=None).count() == 2
    assert rows.update(Payment, "default", as_found, changes)
    assert not rows.update(Payment, "default", as_found, changes)
    payment.refresh_from_db()
    assert {name: getattr(payment, name) for name in changes} == changes
    assert Payment.objects.get(pk=other.pk).settled_at is None


def test_a_new_row_is_as_the_orm_would_have_stored_it(payment: Payment) -> None:
    content = {
        "payment": payment,
        "kind": "notification",
        "outcome": "accepted",
        "data": {"payId": "é", "twice": ["1", "2"]},
        "signals": ["payment_succeeded"],
        "deliver_at": timezone.now() + timedelta(minutes=5),
        "created_at": timezone.now(),
    }
    event = PaymentEvent(**content)

    rows.insert(event, "default")

    by_orm = PaymentEvent.objects.create(**content)
    assert (event._state.db, event._state.adding) == ("default", False)
    assert by_orm.pk == event.pk + 1
    stored, expected = PaymentEvent.objects.order_by("pk")
    assert values(stored) == values(expected) | {"id": event.pk}
    event.message = "changed"
    event.save()
    assert PaymentEvent.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_postgresql_alone_does_not_wait_for_its_disk_and_not_within_a_transaction(
    payment: Payment, statements: Statements
) -> None:
    event = due_event(payment)

    def told(*, durably: bool) -> bool:
        with statements:
            assert rows.update(PaymentEvent, "default", {"id": event.pk}, {"deliver_at": None}, durably=durably)
        return "synchronous_commit" in statements[-1]

    assert told(durably=False) == (connection.vendor == "postgresql")
    assert not told(durably=True)
    with transaction.atomic():
        assert not told(durably=False)
