"""Keyset pagination."""

from collections.abc import Iterator
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
        page = list(rows.filter(_after(page[-1], order))[:size])


def _after(row: Any, order: tuple[str, ...]) -> Q:
    column, *others = order
    name, lookup = column.lstrip("-"), "lt" if column.startswith("-") else "gt"
    value = row[name] if isinstance(row, dict) else getattr(row, name)
    after = Q((f"{name}__{lookup}", value))
    if others:
        # The second condition, though redundant, lets databases use an index.
        after = (after | _after(row, tuple(others))) & Q((f"{name}__{lookup}e", value))
    return after
