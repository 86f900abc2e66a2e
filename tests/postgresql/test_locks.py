"""A migration beside running payments: none of them waits for it."""

import time
from typing import Any

import pytest
from django.db import connection, transaction

from tests.conftest import MIGRATIONS
from tests.server.threads import meanwhile, wait_until
from tests.test_migrations import indexes, migrate, migration_class

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="PostgreSQL alone"),
]


def is_waiting() -> bool:
    """Whether a migration waits for a transaction that is open."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE query ~ 'INDEX' AND wait_event_type = 'Lock'")
        return bool(cursor.fetchone()[0])


def store(apps: Any, reference: str) -> float:
    """Store a payment in the tables as they are, and return how many seconds it took."""
    started_at = time.monotonic()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '5s'")
        values = {"merchant_id": "PP-F324", "currency": "XOF", "amount": 12500, "reference": reference}
        apps.get_model("paiementpro", "Payment").objects.create(**values)
    return time.monotonic() - started_at


@pytest.mark.parametrize("name", [name for name in MIGRATIONS if not migration_class(name).atomic])
def test_a_payment_waits_for_no_index(name: str) -> None:
    ours = indexes()
    apps = migrate(MIGRATIONS[MIGRATIONS.index(name) - 1])

    connection.set_autocommit(False)
    try:
        store(apps, "first")
        # The migration waits for this transaction; those that come later must not wait for the migration.
        with meanwhile(lambda: migrate(name)) as migrated:
            try:
                wait_until(is_waiting)
                with meanwhile(lambda: store(apps, "second")) as stored:
                    assert stored.result() < 1
            finally:
                connection.commit()
            migrated.result(60)
    finally:
        connection.rollback()
        connection.set_autocommit(True)

    migrate(MIGRATIONS[-1])
    assert indexes() == ours
