"""
Run the benchmarks and print one table at the end: ``python -m benchmarks``, which ``make bench`` runs.

Each part runs in its own process with its own settings. All parts take about half an hour, or over an hour with
``--full``, which uses the sizes that the goals were set for. ``--only`` runs some of the parts.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.table import print_noted

CONTENDERS = "benchmarks.contenders.settings"
NAMES = ["notification", "checkout", "rest", "footprint", "reconcile", "slow", "admin"]


@dataclass(frozen=True)
class Part:
    """A command and its environment."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="use the sizes that the goals were set for")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="PART", help=f"run some parts: {', '.join(NAMES)}")
    parser.add_argument("--payments", type=int, help="payments in the back office (100000; with --full 1000000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows"
        rows.touch()
        for part in parts(Path(folder), options.full, options.payments):
            if not options.only or part.name in options.only:
                run(part, rows)
        print("\n\nAll of it\n=========")
        print_noted(rows)


def parts(folder: Path, full: bool, payments: int | None) -> Iterator[Part]:
    """Return the parts in order, those that depend on the database once for each."""
    sqlite = {"NOTIFICATION_URL": f"sqlite:///{folder / 'benchmark.sqlite3'}"}
    contenders = {"DJANGO_SETTINGS_MODULE": CONTENDERS}
    notification = ["--payments=1000", "--seconds=5", "--turns=5"] if full else []
    for environment in (contenders, contenders | sqlite):
        yield Part("notification", ["benchmarks.notification", *notification], environment)
    for environment in (contenders, contenders | sqlite):
        yield Part("checkout", ["benchmarks.checkout", *(["--payments=1000"] if full else [])], environment)
    yield Part("rest", ["benchmarks.rest", *(["--requests=500"] if full else [])], contenders)
    yield Part("footprint", ["benchmarks.footprint"], contenders | sqlite)
    operations = {"DJANGO_SETTINGS_MODULE": "benchmarks.operations"}
    reconcile = ["--payments", *(["10000", "100000"] if full else ["2000"])]
    yield Part("reconcile", ["benchmarks.reconcile", *reconcile], operations)
    yield Part("slow", ["benchmarks.slow", *(["--turns=3"] if full else [])], operations)
    number = payments or (1_000_000 if full else 100_000)
    yield Part("admin", ["benchmarks.fill", f"--payments={number}", "--keep"])
    yield Part("admin", ["benchmarks.admin", *([] if full else ["--rounds=5"])])


def run(part: Part, rows: Path) -> None:
    started_at = time.monotonic()
    print(f"\n$ python -m {' '.join(part.command)}", flush=True)
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    subprocess.run(
        [sys.executable, "-m", *part.command],
        env={**environment, **part.environment, "BENCHMARK_ROWS": str(rows)},
        check=True,
    )
    print(f"({time.monotonic() - started_at:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
