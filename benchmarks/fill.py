"""
Generate payments of the last two years, each with its order and about four events: a million of them in two minutes.

The tables are recreated from the models, so that nothing old remains. Their indexes are built after the rows.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection
from django.db.models import Model

from benchmarks import rows
from benchmarks.database import create_database
from benchmarks.orders.models import Order
from benchmarks.people import FIRST_NAMES, HABITS, LAST_NAMES, RHYTHM
from django_paiementpro.models import Finding, IdempotencyKey, Payment, PaymentEvent, Refund, SearchKey

MODELS: list[type[Model]] = [Order, Payment, PaymentEvent, Finding, Refund, SearchKey, IdempotencyKey]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fill", description=__doc__)
    parser.add_argument("--payments", type=int, default=1_000_000)
    parser.add_argument(
        "--keep", action="store_true", help="leave the tables alone where they have that many payments already"
    )
    options = parser.parse_args()
    create_database()
    call_command("migrate", run_syncdb=True, verbosity=0)
    if options.keep and is_filled(options.payments):
        print(f"{options.payments:,} payments are there already.")
        return
    with part("everything"):
        fill(options.payments)
        vacuum()
    print_sizes()


def is_filled(payments: int) -> bool:
    """Return whether there are that many payments, in tables with the columns and indexes of the models."""
    with connection.cursor() as cursor:
        for model in MODELS:
            table = model._meta.db_table
            columns = {column.name for column in connection.introspection.get_table_description(cursor, table)}
            indexes = set(connection.introspection.get_constraints(cursor, table))
            if columns != {field.column for field in model._meta.local_concrete_fields}:
                return False
            if not indexes.issuperset(index.name for index in model._meta.indexes):
                return False
    return Payment.objects.count() == payments


def fill(payments: int) -> None:
    """Recreate the tables in one transaction: if it is interrupted, the old rows remain."""
    params = {
        "payments": payments,
        "customers": max(payments // 3, 1),
        "rhythm": RHYTHM,
        "first_names": FIRST_NAMES,
        "last_names": LAST_NAMES,
        "channels": [str(habit.channel) for habit in HABITS],
        "weights": [habit.weight for habit in HABITS],
        "calling_codes": [habit.calling_code for habit in HABITS],
        "prefixes": [habit.prefix for habit in HABITS],
        "request": rows.REQUEST_FIELDS,
        "notification": rows.NOTIFICATION_FIELDS,
        "answer": rows.ANSWER_FIELDS,
        "order_type": ContentType.objects.get_for_model(Order).pk,
    }
    with connection.schema_editor() as editor, connection.cursor() as cursor:
        cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
        cursor.execute("SET LOCAL work_mem = '256MB'")
        cursor.execute(rows.FUNCTIONS)
        for model in reversed(MODELS):
            editor.delete_model(model)
        for model in MODELS:
            editor.create_model(model)
            # Unlogged tables read the same, and what a crash of the server would lose is soon generated again.
            cursor.execute(f"ALTER TABLE {model._meta.db_table} SET UNLOGGED")
        with part("hours and customers"):
            cursor.execute(rows.HOURS, params)
            cursor.execute(rows.CUSTOMERS, params)
        with part("orders"):
            insert(cursor, Order, rows.ORDERS, rows.ORDERS_SOURCE, params)
        with part("payments"):
            insert(cursor, Payment, rows.PAYMENTS, rows.PAYMENTS_SOURCE, params)
        with part("events"):
            insert(cursor, PaymentEvent, rows.EVENTS, rows.EVENTS_SOURCE, params)
        with part("findings, refunds and search keys"):
            insert(cursor, Finding, rows.FINDINGS, rows.FINDINGS_SOURCE, params)
            insert(cursor, Refund, rows.REFUNDS, rows.REFUNDS_SOURCE, params)
            insert(cursor, SearchKey, rows.SEARCH_KEYS, rows.SEARCH_KEYS_SOURCE, params)
        with part("indexes and foreign keys"):
            # What create_model has deferred; the editor would run it on exit.
            for statement in editor.deferred_sql:
                editor.execute(statement, None)
            editor.deferred_sql.clear()
        for statement in connection.ops.sequence_reset_sql(no_style(), MODELS):
            cursor.execute(statement)


def insert(cursor: Any, model: type[Model], columns: dict[str, str], source: str, params: dict[str, Any]) -> None:
    """Insert the rows of the source; other columns get the defaults of their fields."""
    columns, params = dict(columns), dict(params)
    for field in model._meta.local_concrete_fields:
        if field.column not in columns and not field.primary_key and not field.generated:
            columns[field.column] = f"%({field.column})s"
            params[field.column] = field.get_db_prep_save(field.get_default(), connection)
    names = ", ".join(map(connection.ops.quote_name, columns))
    cursor.execute(
        f"INSERT INTO {model._meta.db_table} ({names}) SELECT {', '.join(columns.values())} FROM {source}", params
    )


def vacuum() -> None:
    """Update the planner's statistics and the visibility map."""
    with part("VACUUM ANALYZE"), connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {', '.join(model._meta.db_table for model in MODELS)}")


def print_sizes() -> None:
    """Print how many rows each table has, and how large it and its indexes are."""
    with connection.cursor() as cursor:
        for model in MODELS:
            table = model._meta.db_table
            cursor.execute(
                "SELECT count(*), pg_table_size(%s::regclass), pg_indexes_size(%s::regclass) FROM " + table,
                [table, table],
            )
            count, size, indexes_size = cursor.fetchone()
            print(f"\n{table}: {count:,} rows, {megabytes(size)}, indexes {megabytes(indexes_size)}")
            cursor.execute(
                "SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index"
                " WHERE indrelid = %s::regclass ORDER BY 2 DESC",
                [table],
            )
            for name, index_size in cursor.fetchall():
                print(f"  {name:<60}{megabytes(index_size):>10}")


def megabytes(size: int) -> str:
    return f"{size / 1024**2:,.0f} MB"


@contextmanager
def part(name: str) -> Iterator[None]:
    """Print how long it takes."""
    started_at = time.perf_counter()
    yield
    print(f"{name:<30}{time.perf_counter() - started_at:8.1f} s", flush=True)


if __name__ == "__main__":
    main()
