"""
Indexes for what people type, and the expressions that use them.

A search compares in lower case, and telephone numbers by their last digits, which no index of the plain column serves.
MariaDB has neither indexes of expressions nor of some rows: there plain columns are indexed, and a search is right but
slower.
"""

from abc import ABC, abstractmethod
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement
from django.db.models import Expression, F, Index, Model, Q, Value
from django.db.models.functions import Coalesce, Lower, NullIf, Replace, Right
from django.db.models.lookups import Exact, StartsWith

#: How many digits at its end tell a telephone number from another, however its beginning is written.
PHONE_DIGITS = 8

#: What people put between the digits; what else ``phones`` takes is too rare to be looked for.
SEPARATORS = (" ", "\u00a0", "\u202f", "-", ".", "/", "(", ")")


def lower_text(name: str) -> Expression:
    """Return a column's text in lower case."""
    return Lower(name)


def phone_end(name: str) -> Expression:
    """Return the last digits of a column's telephone numbers, without what stands between them."""
    digits: Any = F(name)
    for separator in SEPARATORS:
        digits = Replace(digits, Value(separator))
    return Right(digits, PHONE_DIGITS)


def is_text(name: str, text: str) -> Q:
    """Return the condition that a column's text is this one, whatever the case."""
    lower: Any = text.lower()
    return Q(Exact(lower_text(name), lower))


def begins(name: str, text: str) -> Q:
    """Return the condition that a column's text begins so, whatever the case."""
    beginning: Any = text.lower()
    return Q(StartsWith(lower_text(name), beginning))


def ends_phone(name: str, digits: str) -> Q:
    """Return the condition that a column's telephone numbers end as this one does: others may end so too."""
    return Q(Exact(phone_end(name), digits[-PHONE_DIGITS:]))


def first_filled(first: str, second: str) -> Expression:
    """Return the text of the first column, or of the second where the first is empty."""
    return Coalesce(NullIf(first, Value("")), second)


class _ExpressionIndex(Index, ABC):
    """
    An index of an expression, where the database has such; else of the columns themselves.

    To Django it is one of columns: MariaDB then has no warning for the host.
    """

    def create_sql(
        self, model: type[Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Statement:
        statement = super().create_sql(model, schema_editor, using=using, **kwargs)
        if schema_editor.connection.features.supports_expression_indexes:
            columns = [schema_editor.quote_name(name) for name, _order in self.fields_orders]
            expression = self.expression_sql(schema_editor.connection.vendor, *columns)
            statement.template = statement.template.replace("%(columns)s", expression)
        return statement

    @abstractmethod
    def expression_sql(self, vendor: str, *columns: str) -> str:
        """Return the SQL of what is indexed, as the ORM writes it in a query."""


class LowerIndex(_ExpressionIndex):
    """An index of one column's ``lower_text``; on PostgreSQL also for how it begins, whatever the collation."""

    def expression_sql(self, vendor: str, *columns: str) -> str:
        return f"(LOWER({columns[0]}))" + (" text_pattern_ops" if vendor == "postgresql" else "")


class PhoneIndex(_ExpressionIndex):
    """An index of one column's ``phone_end``."""

    def expression_sql(self, vendor: str, *columns: str) -> str:
        digits = columns[0]
        for separator in SEPARATORS:
            digits = f"REPLACE({digits}, '{separator}', '')"
        if vendor == "sqlite":
            return f"(SUBSTR({digits}, ({PHONE_DIGITS} * -1), {PHONE_DIGITS}))"
        return f"(RIGHT({digits}, {PHONE_DIGITS}))"


class FirstFilledIndex(_ExpressionIndex):
    """An index of ``first_filled`` of the first two columns, and then of the others, which descend."""

    def expression_sql(self, vendor: str, *columns: str) -> str:
        first, second, *others = columns
        return ", ".join(
            [f"(COALESCE(NULLIF({first}, ''), {second}))", *(f"{column} DESC" for column in others)],
        )


class PartialIndex(Index):
    """An index of the rows of which ``where`` is true, where the database has such; else of all."""

    def __init__(self, *, where: Q, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.where = where

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "where": self.where}

    def create_sql(
        self, model: type[Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Statement:
        has_such = schema_editor.connection.features.supports_partial_indexes
        index = Index(fields=self.fields, name=self.name, condition=self.where if has_such else None)
        return index.create_sql(model, schema_editor, using=using, **kwargs)
