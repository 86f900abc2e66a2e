"""
Statements that Django's ORM compiles once, to be run with other values each time.

A notification needs five statements, and to build and compile one takes the ORM longer than to run it takes the
database; ``make bench`` has the figures. What is said here means what ``filter(**where)`` means, and the SQL is
Django's own, kept by what is in it: the names, which of the values are None, and how many a list has. Expressions,
empty lists and other lookups than ``in`` are not for here; nor is what is asked for seldom, which is written as
everywhere. The compilers that this leans on are Django's, but none of its documented API: the tests compare with the
ORM, on every Django and database of the matrix.

All of it goes to the database that the model is written to: a replica may be behind.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Expression, Field, Model, QuerySet
from django.db.models.expressions import Col
from django.db.models.sql import Query, UpdateQuery
from django.db.models.sql.compiler import SQLCompiler

M = TypeVar("M", bound=Model)

#: What the fields of a row must be, by their names: a value, or after ``__in`` a list of them.
Where = Mapping[str, Any]

# What of it is in the SQL: each name, with None for a value that is None, else with how many values there are.
Shape = tuple[tuple[str, int | None], ...]

Adapter = Callable[[Any, BaseDatabaseWrapper], Any]


def find(model: type[M], where: Where) -> M | None:
    """Return a row that is so, the only one or any of them; None where there is none."""
    using = router.db_for_write(model)
    statement = _select(model, using, _shape(where))
    with connections[using].cursor() as cursor:
        cursor.execute(statement.sql, statement.parameters(_values(where), using))
        row = cursor.fetchone()
    return statement.instance(model, using, row) if row else None


def update(model: type[Model], where: Where, changes: Mapping[str, Any]) -> int:
    """Store the changes in each row that is so, and return how many there are."""
    using = router.db_for_write(model)
    statement = _update(model, using, _shape(where), tuple(changes))
    with transaction.mark_for_rollback_on_error(using), connections[using].cursor() as cursor:
        cursor.execute(statement.sql, statement.parameters([*changes.values(), *_values(where)], using))
        return int(cursor.rowcount)


class Slot(Expression):
    """Where a value goes, by its position among all, as its field hands it to the database."""

    def __init__(self, position: int, adapt: Adapter) -> None:
        super().__init__()
        self.position = position
        self.adapt = adapt

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        return "%s", (self,)


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    slots: tuple[Slot, ...]

    def parameters(self, values: list[Any], using: str) -> list[Any]:
        connection = connections[using]
        return [slot.adapt(values[slot.position], connection) for slot in self.slots]


@dataclass(frozen=True, slots=True)
class Select(Statement):
    query: Query
    columns: list[Col]

    def instance(self, model: type[M], using: str, row: tuple[Any, ...]) -> M:
        # Converters belong to a connection, and a connection to a thread: they are not kept.
        compiler = self.query.get_compiler(using)
        (values,) = compiler.apply_converters([row], compiler.get_converters(self.columns))
        return model.from_db(using, [column.target.attname for column in self.columns], values)


@functools.lru_cache(maxsize=256)
def _select(model: type[Model], using: str, shape: Shape) -> Select:
    query = _rows(model, shape)[:1].query
    compiler = query.get_compiler(using)
    sql, slots = compiler.as_sql()
    return Select(sql, tuple(slots), query, [column for column, _sql, _alias in compiler.select])


@functools.lru_cache(maxsize=256)
def _update(model: type[Model], using: str, shape: Shape, names: tuple[str, ...]) -> Statement:
    query = cast("UpdateQuery", _rows(model, shape, len(names)).query.chain(UpdateQuery))
    query.add_update_values(
        {name: Slot(position, _field(model, name).get_db_prep_save) for position, name in enumerate(names)}
    )
    sql, slots = query.get_compiler(using).as_sql()
    return Statement(sql, tuple(slots))


def _rows(model: type[M], shape: Shape, position: int = 0) -> QuerySet[M]:
    """Return the rows of that shape; their values come after so many others."""
    conditions: dict[str, Any] = {}
    for lookup, size in shape:
        name = lookup.removesuffix("__in")
        slots = [
            Slot(position + index, functools.partial(_prepared, _field(model, name))) for index in range(size or 0)
        ]
        position += len(slots)
        if size is None:
            conditions[f"{name}__isnull"] = True
        else:
            conditions[lookup] = slots[0] if name == lookup else slots
    return model._base_manager.filter(**conditions).order_by()


def _field(model: type[Model], name: str) -> "Field[Any, Any]":
    return model._meta.pk if name == "pk" else cast("Field[Any, Any]", model._meta.get_field(name))


def _prepared(field: "Field[Any, Any]", value: Any, connection: BaseDatabaseWrapper) -> Any:
    """Return what a lookup hands to the database."""
    return field.get_db_prep_value(field.get_prep_value(value), connection, prepared=True)


def _shape(where: Where) -> Shape:
    return tuple((name, None if value is None else len(_listed(name, value))) for name, value in where.items())


def _values(where: Where) -> list[Any]:
    return [each for name, value in where.items() if value is not None for each in _listed(name, value)]


def _listed(name: str, value: Any) -> Any:
    return value if name.endswith("__in") else [value]
