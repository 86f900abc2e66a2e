"""
The few statements that every notification runs, as parameterized SQL.

The ORM takes longer to build and compile a query than the database takes to run it. PostgreSQL stores a transition and
its event in a single statement, without the round trips of a transaction; ``make bench`` has the figures. All
statements go to the database that payments are written to: a replica may lag behind.
"""

import functools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast

from django.db import DatabaseError, connections, transaction
from django.db.models import Field, Model, Value
from django.db.models.signals import post_save, pre_save
from django.db.transaction import TransactionManagementError

from django_paiementpro.db.connections import database, read

M = TypeVar("M", bound=Model)

#: The values that a row must have, by field name; None means NULL.
Where = Mapping[str, Any]


#: Commits without waiting for the disk, as a condition that is always true.
WITHOUT_WAITING = {"postgresql": " AND set_config('synchronous_commit', 'off', true) IS NOT NULL"}

#: What makes an INSERT return the key. The drivers of SQLite, MySQL and MariaDB know the last one anyway.
RETURNING_KEY = {"postgresql": " RETURNING {}", "sqlite": "", "mysql": ""}


def find(model: type[M], where: Where, also: str = "", params: Sequence[Any] = ()) -> M | None:
    """
    Return one matching row, or None.

    ``also`` is the SQL of an extra column, ``(SELECT …) AS name``, with its ``params``; it becomes an attribute of the
    row. Each view reads its payment with this function first, so a lost connection is replaced.
    """
    using = database()
    sql, params = _select(model, using, _shape(where), also), [*params, *_values(model, where, using)]
    if connections[using].vendor == "postgresql":  # pragma: no cover  coverage is measured on SQLite
        return read(lambda: _find_natively(model, using, sql, params))
    rows = model._base_manager.using(using).raw(sql, params)
    return read(lambda: next(iter(rows), None))


def update(model: type[Model], where: Where, changes: Mapping[str, Any], *, is_durable: bool = True) -> int:
    """
    Store the changes in each matching row, and return how many there are.

    As in ``QuerySet.update``, an error breaks the transaction around it.

    With ``is_durable=False`` PostgreSQL does not wait until the commit is on disk: a crash of its server in the next
    moment would undo it. This applies to the whole transaction, so pass it only if the transaction is ours. It takes no
    statement of its own; other databases commit as usual.
    """
    using = database()
    sql = _update(model, using, _shape(where), tuple(changes), is_durable)
    count, _key = _execute(using, sql, [*_stored(model, changes, using), *_values(model, where, using)])
    return count


def insert(row: Model) -> None:
    """Insert a new row, and set its key."""
    using = database()
    if not _is_plain(type(row), using):
        row.save(force_insert=True, using=using)
        return
    _count, row.pk = _execute(using, _insert(type(row), using), _new_values(row, using))


def update_and_insert(
    model: type[M], where: Where, changes: Mapping[str, Any], row: Model, *, is_durable: bool = True
) -> bool:
    """
    Store the changes in the matching row, and insert another row. Return False, and do neither, if no row matches.

    Where ``is_one_statement`` holds, this is one statement, which needs no transaction around it; elsewhere it is two.
    """
    using = database()
    if is_one_statement(type(row), using):  # pragma: no cover  coverage is measured on SQLite
        return _update_and_insert_at_once(model, using, where, changes, row, is_durable)
    if not update(model, where, changes, is_durable=is_durable):
        return False
    insert(row)
    return True


def is_one_statement(model: type[Model], using: str) -> bool:
    """Return whether ``update_and_insert`` of such a row is one statement in this database."""
    return connections[using].vendor == "postgresql" and _is_plain(model, using)


def _is_plain(model: type[Model], using: str) -> bool:
    """Return whether an INSERT does all that ``save()`` would: it returns the key, and no receiver is connected."""
    has_listeners = pre_save.has_listeners(model) or post_save.has_listeners(model)
    return connections[using].vendor in RETURNING_KEY and not has_listeners


def _execute(using: str, sql: str, params: Sequence[Any]) -> tuple[int, Any]:
    """Execute a statement, and return how many rows it concerns and the key of the row that it inserts, if any."""
    connection = connections[using]
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            key = (cursor.fetchone() or [None])[0] if cursor.description else getattr(cursor, "lastrowid", None)
            return int(cursor.rowcount), key
    except DatabaseError:
        with suppress(TransactionManagementError):  # raised outside of transactions
            transaction.set_rollback(True, using)
        raise


def _find_natively(
    model: type[M], using: str, sql: str, params: Sequence[Any]
) -> M | None:  # pragma: no cover  coverage is measured on SQLite
    """Do what ``raw()`` does in half the time. PostgreSQL's driver returns the right types, but for a few columns."""
    fields = model._meta.concrete_fields
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params)
        found = cursor.fetchone()
        if found is None:
            return None
        others = [column.name for column in cursor.description[len(fields) :]]
    values = list(found)
    for index, convert, expression in _converters(model):
        values[index] = convert(values[index], expression, connections[using])
    row = model.from_db(using, [field.attname for field in fields], values[: len(fields)])
    for name, value in zip(others, values[len(fields) :], strict=True):
        setattr(row, name, value)
    return row


@functools.lru_cache(maxsize=16)
def _converters(model: type[Model]) -> list[tuple[int, Any, Value]]:  # pragma: no cover  coverage is measured on SQLite
    """Return the columns whose values have to be converted: JSON, and keys of a user model of the host."""
    fields = [_referenced(field) for field in model._meta.concrete_fields]
    return [
        (index, field.from_db_value, Value(None, output_field=field))
        for index, field in enumerate(fields)
        if hasattr(field, "from_db_value")
    ]


def _referenced(field: Any) -> Any:
    """Return the key that a foreign key stores, or the field itself."""
    return _referenced(field.target_field) if field.related_model else field


def _new_fields(model: type[Model]) -> list["Field[Any, Any]"]:
    return [field for field in model._meta.concrete_fields if not field.primary_key]


def _new_values(row: Model, using: str) -> list[Any]:
    connection = connections[using]
    return [field.get_db_prep_save(getattr(row, field.attname), connection) for field in _new_fields(type(row))]


def _stored(model: type[Model], values: Mapping[str, Any], using: str) -> list[Any]:
    connection = connections[using]
    return [_field(model, name).get_db_prep_save(value, connection) for name, value in values.items()]


# The SQL depends on the names and on which of the values are None.
Shape = tuple[tuple[str, bool], ...]


def _shape(where: Where) -> Shape:
    return tuple((name, value is None) for name, value in where.items())


def _values(model: type[Model], where: Where, using: str) -> list[Any]:
    connection = connections[using]
    values = ((_field(model, name), value) for name, value in where.items() if value is not None)
    # As a lookup does: a key need not be a valid value to insert.
    return [field.get_db_prep_value(field.get_prep_value(value), connection, prepared=True) for field, value in values]


@functools.lru_cache(maxsize=256)
def _select(model: type[Model], using: str, shape: Shape, also: str) -> str:
    columns = [_column(model, field.name, using) for field in model._meta.concrete_fields]
    names, table = ", ".join([*columns, *filter(None, [also])]), _table(model, using)
    return f"SELECT {names} FROM {table} WHERE {_conditions(model, using, shape)} LIMIT 1"  # noqa: S608  names of models alone  # nosec B608


@functools.lru_cache(maxsize=256)
def _update(model: type[Model], using: str, shape: Shape, names: tuple[str, ...], is_durable: bool) -> str:
    changes, table = ", ".join(f"{_column(model, name, using)} = %s" for name in names), _table(model, using)
    also = "" if is_durable else WITHOUT_WAITING.get(connections[using].vendor, "")
    return f"UPDATE {table} SET {changes} WHERE {_conditions(model, using, shape)}{also}"  # noqa: S608  names of models alone  # nosec B608


@functools.lru_cache(maxsize=16)
def _insert(model: type[Model], using: str) -> str:
    columns, table = _new_columns(model, using), _table(model, using)
    values = ", ".join(["%s"] * len(_new_fields(model)))
    key = RETURNING_KEY[connections[using].vendor].format(_column(model, "pk", using))
    return f"INSERT INTO {table} ({columns}) VALUES ({values}){key}"  # noqa: S608  names of models alone  # nosec B608


def _update_and_insert_at_once(
    model: type[Model], using: str, where: Where, changes: Mapping[str, Any], row: Model, is_durable: bool
) -> bool:  # pragma: no cover  coverage is measured on SQLite
    sql = _update_and_insert(model, type(row), using, _shape(where), tuple(changes), is_durable)
    params = [*_stored(model, changes, using), *_values(model, where, using)]
    count, key = _execute(using, sql, [*params, *_new_values(row, using)])
    if count:
        row.pk = key
    return bool(count)


@functools.lru_cache(maxsize=256)
def _update_and_insert(
    model: type[Model], inserted: type[Model], using: str, shape: Shape, names: tuple[str, ...], is_durable: bool
) -> str:  # pragma: no cover  coverage is measured on SQLite
    changed, table = _update(model, using, shape, names, is_durable), _table(inserted, using)
    # In a SELECT a NULL has no type until it is given one.
    values = ", ".join(f"CAST(%s AS {field.db_type(connections[using])})" for field in _new_fields(inserted))
    insert = f"INSERT INTO {table} ({_new_columns(inserted, using)}) SELECT {values} FROM changed"  # noqa: S608  names of models alone  # nosec B608
    return f"WITH changed AS ({changed} RETURNING 1) {insert} RETURNING {_column(inserted, 'pk', using)}"


def _new_columns(model: type[Model], using: str) -> str:
    return ", ".join(_column(model, field.name, using) for field in _new_fields(model))


def _conditions(model: type[Model], using: str, shape: Shape) -> str:
    # The key's index is the best. PostgreSQL looks for a better one for each "=", but not for its other spelling.
    has_key = any(name == "pk" for name, _is_null in shape)
    equals = "IS NOT DISTINCT FROM" if has_key and connections[using].vendor == "postgresql" else "="

    def condition(name: str, is_null: bool) -> str:
        if is_null:
            return "IS NULL"
        return f"{'=' if name == 'pk' else equals} %s"

    return " AND ".join(f"{_column(model, name, using)} {condition(name, is_null)}" for name, is_null in shape)


def _table(model: type[Model], using: str) -> str:
    return _quoted(model._meta.db_table, using)


def _column(model: type[Model], name: str, using: str) -> str:
    return _quoted(str(_field(model, name).column), using)


def _quoted(name: str, using: str) -> str:
    return connections[using].ops.quote_name(name)


def _field(model: type[Model], name: str) -> "Field[Any, Any]":
    return model._meta.pk if name == "pk" else cast("Field[Any, Any]", model._meta.get_field(name))
