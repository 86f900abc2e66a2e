"""Keyset pagination."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import Q, QuerySet


def in_pages(rows: "QuerySet[Any, Any]", *order: str, size: int) -> Iterator[list[Any]]:
    """
    Yield the rows in pages, ordered by these columns, all ascending or all descending, of which the last is unique.

    Each page is a query of its own, which starts after the last row of the page before. Memory is bounded, no cursor
    stays open, and the last page costs as much as the first. With ``values()``, name all the columns.
    """
    rows = rows.order_by(*order)
    page = list(rows[:size])
    while page:
        yield page
        if len(page) < size:
            return
        page = list(rows.filter(after(_position_of(page[-1], order), *order))[:size])


def after(position: Sequence[Any], *order: str) -> Q:
    """Return the condition that a row comes after a position, which holds a value for each column of the order."""
    column, *other_columns = order
    value, *other_values = position
    name, lookup = column.lstrip("-"), "lt" if column.startswith("-") else "gt"
    condition = Q((f"{name}__{lookup}", value))
    if other_columns:
        # The second condition, though redundant, lets databases use an index.
        condition = (condition | after(other_values, *other_columns)) & Q((f"{name}__{lookup}e", value))
    return condition


def _position_of(row: Any, order: Sequence[str]) -> list[Any]:
    names = [column.lstrip("-") for column in order]
    return [row[name] if isinstance(row, dict) else getattr(row, name) for name in names]
