"""The app's migrations, forwards and backwards, with rows in the tables."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations.models import IndexOperation
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Index
from django.test import override_settings
from django.utils import timezone

from django_paiementpro import operations
from django_paiementpro.models import Payment
from tests.conftest import MIGRATIONS

pytestmark = pytest.mark.django_db(transaction=True)


ROWS = 50


def migrate(name: str) -> Any:
    """Migrate to the one of that name, forwards or backwards, and return the models as they are then."""
    executor = MigrationExecutor(connection)
    executor.migrate([("paiementpro", name)])
    executor.loader.build_graph()
    return executor.loader.project_state(("paiementpro", name)).apps


@pytest.fixture(autouse=True)
def newest() -> Iterator[None]:
    yield
    migrate(MIGRATIONS[-1])


def fill(apps: Any) -> None:
    """Store payments and events with what every version of the tables has."""
    model, event = apps.get_model("paiementpro", "Payment"), apps.get_model("paiementpro", "PaymentEvent")
    now = timezone.now()
    payments = model.objects.bulk_create(
        model(
            reference=f"m{number}",
            merchant_id="PP-F324",
            amount=12500 + number,
            currency="XOF",
            description="Order",
            customer_email="awa@example.com",
            customer_phone="0707123456",
            status="succeeded",
            settled_at=now,
            return_context={"order": number},
        )
        for number in range(ROWS)
    )
    for number, payment in enumerate(model.objects.order_by("pk")):
        event.objects.create(payment=payment, kind="notification", outcome="accepted", data={"amount": number})
    assert len(payments) == ROWS


def contents(apps: Any) -> list[Any]:
    model = apps.get_model("paiementpro", "Payment")
    fields = ("reference", "amount", "status", "customer_phone", "return_context", "events__data")
    return list(model.objects.order_by("pk").values_list(*fields))


def indexes() -> dict[str, list[str]]:
    with connection.cursor() as cursor:
        there = connection.introspection.get_constraints(cursor, Payment._meta.db_table)
    return {
        name: index["columns"] for name, index in there.items() if index["index"] and name.startswith("paiementpro_")
    }


def test_every_migration_goes_forwards_and_backwards_with_rows() -> None:
    ours = indexes()
    first = migrate(MIGRATIONS[0])
    fill(first)
    before = contents(first)
    for name in [*MIGRATIONS[1:], *MIGRATIONS[-2::-1], *MIGRATIONS[1:]]:
        assert contents(migrate(name)) == before
    assert indexes() == ours


def migration_class(name: str) -> Any:
    return import_module(f"django_paiementpro.migrations.{name}").Migration


@pytest.mark.parametrize("name", [name for name in MIGRATIONS if not migration_class(name).atomic])
def test_what_is_done_outside_of_a_transaction_can_be_done_again(name: str) -> None:
    """Forget that it was done, as where the process was killed at its end."""
    ours = indexes()
    migrate(name)
    MigrationRecorder(connection).record_unapplied("paiementpro", name)
    migrate(MIGRATIONS[-1])
    assert indexes() == ours


def test_no_index_is_made_or_dropped_under_a_lock() -> None:
    for name in MIGRATIONS[1:]:
        migration = migration_class(name)
        made = [operation for operation in migration.operations if isinstance(operation, IndexOperation)]
        assert all(isinstance(operation, (operations.AddIndex, operations.RemoveIndex)) for operation in made)
        assert not (made and migration.atomic)


class Elsewhere:
    """Keeps the app's tables out of this database."""

    def allow_migrate(self, *args: Any, **hints: Any) -> bool:
        return False


@pytest.mark.parametrize(
    "operation",
    [
        operations.AddIndex("payment", Index(fields=["amount"], name="paiementpro_never")),
        operations.RemoveIndex("payment", "paiementpro_gateway_id"),
    ],
    ids=["add", "remove"],
)
def test_a_database_without_the_tables_is_left_alone(operation: Any) -> None:
    before = MigrationExecutor(connection).loader.project_state(("paiementpro", MIGRATIONS[-1]))
    after = before.clone()
    operation.state_forwards("paiementpro", after)
    ours = indexes()
    with override_settings(DATABASE_ROUTERS=[Elsewhere()]), connection.schema_editor(atomic=False) as editor:
        operation.database_forwards("paiementpro", editor, before, after)
        operation.database_backwards("paiementpro", editor, after, before)
    assert indexes() == ours
