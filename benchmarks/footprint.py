"""
Measure how long ``django.setup()`` takes with and without the app, and the memory of a worker after many notifications.

Each start runs in its own process; starts with and without the app take turns. A worker handles all notifications one
after the other: ours, and those of the views written by hand. Its memory is read after the first tenth and at the end.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.core.wsgi import get_wsgi_application

from benchmarks.contenders.field import contenders
from benchmarks.contenders.wire import Request
from benchmarks.database import create_tables
from benchmarks.inprocess import send
from benchmarks.table import Row, report

SECTION = "Import and memory"
OURS, FLOORS = "ours", ["floor", "honest floor"]
BATCH = 1000

START = """
import os, resource, sys, time
from django.conf import settings
apps = ["admin", "auth", "contenttypes", "messages", "sessions", "staticfiles"]
settings.configure(
    INSTALLED_APPS=["django.contrib." + app for app in apps] + {apps},
    SECRET_KEY="only for benchmarks",
    PAIEMENTPRO_MERCHANT_ID="PP-F324",
    ROOT_URLCONF="django_paiementpro.urls",
)
import django
started_at = time.perf_counter()
django.setup()
if {urls}:
    import django_paiementpro.urls
seconds = time.perf_counter() - started_at
if sys.platform == "linux":
    size = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
else:
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(1000 * seconds, size / 1024**2)
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footprint", description=__doc__)
    parser.add_argument("--starts", type=int, default=15, help="of each kind (15)")
    parser.add_argument("--notifications", type=int, default=10_000, help="that a worker handles (10000)")
    parser.add_argument("--worker", type=Path, help="handle the notifications of a file, and print the memory")
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
    else:
        report([*starts(options.starts), *workers(options.notifications)])


def starts(number: int) -> Iterator[Row]:
    """Start with the app and without, by turns."""
    kinds = {
        "without": START.format(apps=[], urls=False),
        "with": START.format(apps=["django_paiementpro"], urls=False),
        "served": START.format(apps=["django_paiementpro"], urls=True),
    }
    results: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for turn in range(number + 1):
        for kind, script in kinds.items():
            out = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout
            milliseconds, megabytes = map(float, out.split())
            if turn:
                results[kind].append((milliseconds, megabytes))
    times = {kind: statistics.median(milliseconds for milliseconds, _ in of) for kind, of in results.items()}
    sizes = {kind: statistics.median(megabytes for _, megabytes in of) for kind, of in results.items()}
    beside = f"{times['without']:.0f} ms, {sizes['without']:.0f} MB"
    for kind, what in (("with", "django.setup()"), ("served", "django.setup() and the app's URLs")):
        ours, ratio = f"{times[kind]:.0f} ms, {sizes[kind]:.0f} MB", f"{times['without'] / times[kind]:.2f}"
        yield Row(SECTION, what, ours, "django.setup() without the app", beside, ratio)


def workers(number: int) -> Iterator[Row]:
    """Let our worker and one of each floor handle that many notifications, and compare their memory."""
    create_tables()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for rival in (rival for rival in contenders() if rival.name in {OURS, *FLOORS}):
            file = Path(folder) / "requests"
            with file.open("w") as out:
                for start in range(0, number, BATCH):
                    for request in rival.notifications(min(BATCH, number - start)):
                        body = request.body.decode()
                        out.write(json.dumps([request.path, body, request.content_type, request.query]) + "\n")
            command = [sys.executable, "-m", "benchmarks.footprint", f"--worker={file}"]
            printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            results[rival.name] = tuple(map(float, printed.split()))
    ours_before, ours = results[OURS]
    for name in FLOORS:
        theirs_before, theirs = results[name]
        yield Row(
            SECTION,
            f"a worker after {number:,} notifications",
            f"{ours:.1f} MB, {ours - ours_before:+.1f} since the first tenth",
            name,
            f"{theirs:.1f} MB, {theirs - theirs_before:+.1f} since the first tenth",
            f"{theirs / ours:.2f}",
        )


def work(file: Path) -> None:
    """Handle what the file holds, line by line, and print the memory in MB after a tenth, and at the end."""
    get_wsgi_application()
    contenders()  # connects the receivers
    number = sum(1 for _ in file.open())
    with file.open() as lines:
        for index, line in enumerate(lines, start=1):
            path, body, content_type, query = json.loads(line)
            _milliseconds, status = send(Request(path, body.encode(), content_type, query))
            assert status == 200
            if index == max(1, number // 10):
                print(memory())
    print(memory())


def memory() -> float:
    """Return the memory that this process has now, in MB; on other systems than Linux the most that it has had."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


if __name__ == "__main__":
    main()
