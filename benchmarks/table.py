"""
The table in which all that is measured stands.

Each benchmark prints its own rows, and notes them in the file that ``BENCHMARK_ROWS`` names, if it names one.
"""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One comparison inside one run."""

    section: str
    what: str
    ours: str
    #: With whom, and what that one does.
    beside: str = ""
    theirs: str = ""
    #: How many times as good ours is: the others' time by ours, or our rate by theirs.
    ratio: str = ""
    goal: str = ""


def goal(text: str, holds: bool) -> str:
    """Return a goal, and whether it holds."""
    return f"{text} {'holds' if holds else 'MISSED'}"


def report(rows: Iterable[Row]) -> None:
    """Print rows, and note them for the table of all."""
    rows = list(rows)
    print_table(rows)
    if path := os.environ.get("BENCHMARK_ROWS"):
        with Path(path).open("a") as file:
            file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)


def print_table(rows: list[Row]) -> None:
    """Print them as a table of Markdown, aligned to be read as it is."""
    heads = tuple(field.name for field in fields(Row))
    cells = [astuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    print()
    for line in (heads, ["-" * width for width in widths], *cells):
        print(_line(line, widths))
    sys.stdout.flush()


def _line(cells: Iterable[str], widths: list[int]) -> str:
    return "| " + " | ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)) + " |"


def print_noted(file: Path) -> None:
    """Print what has been noted, as one table, section by section."""
    rows = [Row(**json.loads(line)) for line in file.read_text().splitlines()]
    print_table(sorted(rows, key=lambda row: [other.section for other in rows].index(row.section)))
