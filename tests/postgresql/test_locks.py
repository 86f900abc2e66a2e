"""A migration beside running payments: none of them waits for it."""

import time

import pytest
from django.db import connection, transaction

from tests.conftest import MIGRATIONS, make_payment
from tests.server.threads import meanwhile, wait_until
from tests.test_migrations import indexes, migrate

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


def seconds_to_store_a_payment() -> float:
    started_at = time.monotonic()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '5s'")
        make_payment()
    return time.monotonic() - started_at


def test_a_payment_waits_for_no_index() -> None:
    ours = indexes()
    migrate(MIGRATIONS[1])

    connection.set_autocommit(False)
    make_payment()
    # The migration waits for this transaction; those that come later must not wait for the migration.
    with meanwhile(lambda: migrate(MIGRATIONS[-1])) as migrated:
        try:
            wait_until(is_waiting)
            with meanwhile(seconds_to_store_a_payment) as stored:
                assert stored.result() < 1
        finally:
            connection.commit()
            connection.set_autocommit(True)
        migrated.result(60)

    assert indexes() == ours
