"""
The table in which all that is measured stands: ``python -m benchmarks.table FILE`` prints what others have noted.

Each benchmark prints its own rows, and notes them in the file that ``BENCHMARK_ROWS`` names, if it names one.
"""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, fields
from itertools import groupby
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
    heads = tuple(field.name for field in fields(Row))[1:]
    cells = [astuple(row)[1:] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    for section, group in groupby(rows, key=lambda row: row.section):
        print(f"\n**{section}**\n")
        print(_line(heads, widths))
        print(_line(["-" * width for width in widths], widths))
        for row in group:
            print(_line(astuple(row)[1:], widths))
    sys.stdout.flush()


def _line(cells: Iterable[str], widths: list[int]) -> str:
    return "| " + " | ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)) + " |"


if __name__ == "__main__":
    lines = Path(sys.argv[1]).read_text().splitlines()
    print_table([Row(**json.loads(line)) for line in lines])
