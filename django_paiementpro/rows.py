"""
Single rows, by plain SQL: for the few statements of a notification.

Django's ORM takes longer to write such a statement than the rest of it takes: it is built and compiled anew each time.
The values pass through the fields as they do there. For all other statements there is the ORM.
"""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from django.db import connections
from django.db.models import Field, Model

M = TypeVar("M", bound=Model)

#: What a row must be like: a value of each field, or several of which it has one. None is NULL.
Conditions = Mapping[str, Any]


def read(model: type[M], using: str, found: Conditions) -> M | None:
    """Return the instance of a row, None where there is none."""
    where, params = _where(model, using, found)
    query = f"SELECT * FROM {_quoted(model._meta.db_table, using)} WHERE {where} LIMIT 1"  # noqa: S608  the model's names
    return next(iter(model._default_manager.using(using).raw(query, params)), None)


def read_text(model: type[Model], using: str, name: str, found: Conditions) -> str | None:
    """Return one text of a row, None where there is no such row."""
    column = _quoted(_field(model, name).column, using)
    where, params = _where(model, using, found)
    query = f"SELECT {column} FROM {_quoted(model._meta.db_table, using)} WHERE {where} LIMIT 1"  # noqa: S608
    with connections[using].cursor() as cursor:
        cursor.execute(query, params)
        row = cursor.fetchone()
    return row[0] if row else None


def update(model: type[Model], using: str, found: Conditions, changes: Mapping[str, Any]) -> bool:
    """Change a row if it is as found; return whether it was."""
    fields = {_field(model, name): value for name, value in changes.items()}
    columns = ", ".join(f"{_quoted(field.column, using)} = %s" for field in fields)
    values = [field.get_db_prep_save(value, connections[using]) for field, value in fields.items()]
    where, params = _where(model, using, found)
    query = f"UPDATE {_quoted(model._meta.db_table, using)} SET {columns} WHERE {where}"  # noqa: S608
    with connections[using].cursor() as cursor:
        cursor.execute(query, [*values, *params])
        return bool(cursor.rowcount)


def _where(model: type[Model], using: str, found: Conditions) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    params: list[Any] = []
    for name, value in found.items():
        field = _field(model, name)
        column = _quoted(field.column, using)
        if value is None:
            conditions.append(f"{column} IS NULL")
        else:
            values = list(value) if isinstance(value, (list, set)) else [value]
            conditions.append(f"{column} IN ({', '.join(['%s'] * len(values))})")
            params += [field.get_db_prep_value(value, connections[using]) for value in values]
    return " AND ".join(conditions), params


def _field(model: type[Model], name: str) -> "Field[Any, Any]":
    return cast("Field[Any, Any]", model._meta.get_field(name))


def _quoted(name: str | None, using: str) -> str:
    return connections[using].ops.quote_name(name or "")
