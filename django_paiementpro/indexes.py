"""
Indexes for what people type, and the expressions that use them.

A search compares in lower case, and telephone numbers by their last digits, which no index of the plain column serves.
MariaDB has no indexes of expressions: there the plain column is indexed, and a search is right but slower.
"""

from abc import ABC, abstractmethod
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement
from django.db.models import Expression, F, Index, Model, Value
from django.db.models.functions import Lower, Replace, Right

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


class _ExpressionIndex(Index, ABC):
    """An index of an expression of one column, where the database has such; else of the column itself."""

    def create_sql(
        self, model: type[Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Statement:
        statement = super().create_sql(model, schema_editor, using=using, **kwargs)
        if schema_editor.connection.features.supports_expression_indexes:
            expression = self.expression_sql(schema_editor.connection.vendor)
            statement.template = statement.template.replace("%(columns)s", expression)
        return statement

    @abstractmethod
    def expression_sql(self, vendor: str) -> str:
        """Return the SQL of the expression with ``%(columns)s`` for the column, as the function above writes it."""


class LowerIndex(_ExpressionIndex):
    """An index of one column's ``lower_text``; on PostgreSQL also for how it begins, whatever the collation."""

    def expression_sql(self, vendor: str) -> str:
        return "(LOWER(%(columns)s))" + (" text_pattern_ops" if vendor == "postgresql" else "")


class PhoneIndex(_ExpressionIndex):
    """An index of one column's ``phone_end``."""

    def expression_sql(self, vendor: str) -> str:
        digits = "%(columns)s"
        for separator in SEPARATORS:
            digits = f"REPLACE({digits}, '{separator}', '')"
        if vendor == "sqlite":
            return f"(SUBSTR({digits}, ({PHONE_DIGITS} * -1), {PHONE_DIGITS}))"
        return f"(RIGHT({digits}, {PHONE_DIGITS}))"
