"""
Single rows, by plain SQL: for the few statements of a notification.

Django's ORM takes longer to write such a statement than all the rest of it takes: it is built and compiled anew each
time. The values pass through the fields as they do there. For all other statements there is the ORM.
"""

import functools
from collections.abc import Mapping
from typing import Any, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

M = TypeVar("M", bound=Model)

# A condition that holds. It has this very statement, which is its own transaction, not wait for the disk.
ONLY_SOON_DURABLE = {"postgresql": " AND set_config('synchronous_commit', 'off', true) IS NOT NULL"}

#: What a row must be like: the value of each field, or a list of values of which it has one. None is NULL.
Conditions = Mapping[str, Any]


def read(model: type[M], using: str, found: Conditions) -> M | None:
    """Return the instance of a row, None where there is none."""
    columns, names, converters = _reading(model, using)
    row = _select(model, using, columns, found)
    if row is None:
        return None
    values = list(row)
    for position, column, functions in converters:
        for function in functions:
            values[position] = function(values[position], column, connections[using])
    return model.from_db(using, names, values)


def read_text(model: type[Model], using: str, name: str, found: Conditions) -> str | None:
    """Return one text of a row, None where there is no such row."""
    row = _select(model, using, connections[using].ops.quote_name(_field(model, name).column), found)
    return row[0] if row else None


def insert(instance: Model, using: str) -> None:
    """Store a new row, and give its key to the instance. No ``post_save`` is sent."""
    connection = connections[using]
    quote = connection.ops.quote_name
    key: Any = instance._meta.pk
    fields: list[Any] = [field for field in instance._meta.concrete_fields if field is not key]
    values = [field.get_db_prep_save(field.pre_save(instance, add=True), connection) for field in fields]
    columns, places = ", ".join(quote(field.column) for field in fields), ", ".join(["%s"] * len(fields))
    # MySQL tells the key by other means.
    returning = f" RETURNING {quote(key.column)}" if connection.features.can_return_columns_from_insert else ""
    with connection.cursor() as cursor:
        table = quote(instance._meta.db_table)
        cursor.execute(f"INSERT INTO {table} ({columns}) VALUES ({places}){returning}", values)  # noqa: S608
        instance.pk = cursor.fetchone()[0] if returning else cursor.lastrowid
    instance._state.adding, instance._state.db = False, using


def update(
    model: type[Model], using: str, found: Conditions, changes: Mapping[str, Any], *, durably: bool = True
) -> bool:
    """
    Change a row if it is as found; return whether it was.

    What need not be durable, outside of a transaction, PostgreSQL does not wait for its disk to have: it forgets the
    last of it where its server crashes.
    """
    connection = connections[using]
    quote = connection.ops.quote_name
    fields = {_field(model, name): value for name, value in changes.items()}
    columns = ", ".join(f"{quote(field.column)} = %s" for field in fields)
    values = [field.get_db_prep_save(value, connection) for field, value in fields.items()]
    where, params = _where(model, connection, found)
    if not durably and not connection.in_atomic_block:
        where += ONLY_SOON_DURABLE.get(connection.vendor, "")
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {quote(model._meta.db_table)} SET {columns} WHERE {where}", [*values, *params])  # noqa: S608
        return bool(cursor.rowcount)


def _select(model: type[Model], using: str, columns: str, found: Conditions) -> Any:
    connection = connections[using]
    table = connection.ops.quote_name(model._meta.db_table)
    where, params = _where(model, connection, found)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {table} WHERE {where}", params)  # noqa: S608
        return cursor.fetchone()


def _where(model: type[Model], connection: BaseDatabaseWrapper, found: Conditions) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    params: list[Any] = []
    for name, value in found.items():
        field = _field(model, name)
        column = connection.ops.quote_name(field.column)
        if value is None:
            conditions.append(f"{column} IS NULL")
        else:
            values = value if isinstance(value, list) else [value]
            conditions.append(f"{column} IN ({', '.join(['%s'] * len(values))})")
            params += [field.get_db_prep_value(value, connection) for value in values]
    return " AND ".join(conditions), params


@functools.cache
def _reading(model: type[Model], using: str) -> tuple[str, list[str], list[tuple[int, Any, list[Any]]]]:
    """
    Return the columns of a model, the names of its fields, and what turns the database's values into theirs.

    The last is by the position of the column, where there is anything to turn.
    """
    connection = connections[using]
    fields: list[Any] = list(model._meta.concrete_fields)
    columns = [field.get_col(model._meta.db_table) for field in fields]
    converters = [
        (position, column, [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)])
        for position, column in enumerate(columns)
    ]
    return (
        ", ".join(connection.ops.quote_name(field.column) for field in fields),
        [field.attname for field in fields],
        [entry for entry in converters if entry[2]],
    )


def _field(model: type[Model], name: str) -> Any:
    """Return a field that has a column, which the types do not tell from those that have none."""
    return model._meta.get_field(name)
