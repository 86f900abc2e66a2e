"""
Compare how fast each contender handles notifications: in process, under gunicorn, and four at once for one payment.

``benchmarks.contenders`` describes the contenders and what each promises. Distinct payments, duplicates and forged
notifications are measured separately. In process, the contenders take turns after each notification; a time covers the
whole request, including the middleware, on a persistent database connection. The statements and commits of one request
are counted too. Under gunicorn, the contenders take turns of a few seconds, in which wrk keeps four connections busy.
A ratio of 2 means that ours is twice as fast.
"""

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import TypeVar

from django.db import connection, connections

from benchmarks.contenders.contender import Contender, heard
from benchmarks.contenders.field import contenders
from benchmarks.contenders.wire import HOST, Request
from benchmarks.database import create_tables
from benchmarks.inprocess import Series, commits, send, statements
from benchmarks.table import Row, goal, report

OURS, FLOOR, HONEST_FLOOR, LEAST = "ours", "floor", "honest floor", "least"
PAYMENTS, GETPAID = "django-payments", "django-getpaid"
REORDERED = "ours, the body in another order"
BARE, UNKNOWN = "a view that says 404", "a URL that Django does not know"

T = TypeVar("T")

SECTION = "Notification"

#: Contenders that do not record duplicates, and so do less work.
WITHOUT_RECORD = {PAYMENTS, GETPAID}

DISTINCT, DUPLICATE, FORGED = "distinct", "duplicate", "forged"
IN_PROCESS, GUNICORN = "in process", "gunicorn"

#: The ratio to reach, where it is not 1, for each contender, way to measure and database. The plain floor promises less
#: than ours, and django-payments keeps no audit trail.
LEAST_RATIOS = {
    (FLOOR, IN_PROCESS, "postgresql"): 0.95,
    (FLOOR, GUNICORN, "postgresql"): 0.9,
    (FLOOR, GUNICORN, "sqlite"): 1.18,
    (PAYMENTS, IN_PROCESS, "postgresql"): 0.95,
    (PAYMENTS, GUNICORN, "postgresql"): 0.95,
}
#: The ratio to reach against a view that only answers 404.
LEAST_FORGED_RATIO = 0.91

WARM_UP = 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.notification", description=__doc__)
    parser.add_argument("--payments", type=int, default=300, help="of each contender, in process (300)")
    parser.add_argument("--seconds", type=int, default=2, help="of each turn under gunicorn (2)")
    parser.add_argument("--turns", type=int, default=3, help="of each contender under gunicorn, 0 for none (3)")
    parser.add_argument("--race", type=int, default=300, help="payments notified four times at once (300)")
    parser.add_argument("--port", type=int, default=0, help="of gunicorn (any that is free)")
    options = parser.parse_args()
    create_tables()
    rivals = contenders()
    for rival in rivals:
        rival.prepare()
    report(rows_in_process(in_process(rivals, options.payments)))
    if options.turns:
        rates = under_gunicorn(rivals, options.seconds, options.turns, options.port or free_port())
        report(rows_under_gunicorn(rates))
    if options.race and connection.vendor != "sqlite":
        report(rows_of_race(race(rivals, options.race), options.race))


# In process.


def in_process(rivals: list[Contender], number: int) -> dict[tuple[str, str], Series]:
    """Return the times by kind and contender."""
    results: dict[tuple[str, str], Series] = {}
    genuine = {rival.name: rival.notifications(number + WARM_UP) for rival in rivals}
    genuine[REORDERED] = [request.reordered() for request in rivals[0].notifications(number + WARM_UP)]
    forged = {rival.name: [rival.forged() for _ in range(number + WARM_UP)] for rival in rivals}
    forged |= strangers(forged[OURS])
    for kind, requests in ((DISTINCT, genuine), (DUPLICATE, genuine), (FORGED, forged)):
        names = list(requests)
        for index in range(number + WARM_UP):
            random.shuffle(names)
            for name in names:
                series = results.setdefault((kind, name), Series())
                if index == WARM_UP - 1:
                    series.statements, series.commits = count(requests[name][index])
                else:
                    milliseconds, _status = send(requests[name][index])
                    if index >= WARM_UP:
                        series.times.append(milliseconds)
    check(rivals, number + WARM_UP)
    return in_order(results, rivals)


def in_order(results: dict[tuple[str, str], T], rivals: list[Contender]) -> dict[tuple[str, str], T]:
    kinds, names = [DISTINCT, DUPLICATE, FORGED], [REORDERED, *(rival.name for rival in rivals), BARE, UNKNOWN]
    return {(kind, name): results[kind, name] for kind in kinds for name in names if (kind, name) in results}


def strangers(requests: list[Request]) -> dict[str, list[Request]]:
    """Return the same notifications, sent to URLs that no contender serves."""
    return {
        BARE: [request.to(request.path.replace("/paiementpro/notification/", "/bare/")) for request in requests],
        UNKNOWN: [request.to(request.path.replace("/paiementpro/", "/unknown/")) for request in requests],
    }


def count(request: Request) -> tuple[int, int]:
    """Return the number of statements and of commits."""
    with statements() as executed, commits() as committed:
        send(request)
    return len(executed), len(committed)


def check(rivals: Iterable[Contender], number: int) -> None:
    """Raise ``AssertionError`` if a contender has not sent a signal for each payment."""
    for rival in rivals:
        if heard[rival.name] < number:
            raise AssertionError(f"{rival.name} has sent {heard[rival.name]} signals for {number} payments")


def rows_in_process(results: dict[tuple[str, str], Series]) -> Iterator[Row]:
    for (kind, name), series in results.items():
        if name != OURS:
            ours = results[kind, OURS]
            yield row(kind, IN_PROCESS, ours, name, series, series.median / ours.median)


def row(kind: str, way: str, ours: object, name: str, theirs: object, ratio: float) -> Row:
    """Return a row, with the ratio to reach and whether it is reached."""
    least = least_ratio(kind, way, name)
    return Row(
        SECTION,
        f"{kind}, {way}, {connection.display_name}",
        str(ours),
        name,
        str(theirs),
        f"{ratio:.2f}",
        goal(f"≥ {least:g}", round(ratio, 2) >= least) if least else "",
    )


def least_ratio(kind: str, way: str, name: str) -> float | None:
    """Return the ratio to reach, or None if the contender does too little for a comparison."""
    if kind == FORGED:
        return {BARE: LEAST_FORGED_RATIO, UNKNOWN: LEAST_FORGED_RATIO, HONEST_FLOOR: 1.0}.get(name)
    if name in {LEAST, REORDERED} or (kind == DUPLICATE and name in WITHOUT_RECORD):
        return None
    return LEAST_RATIOS.get((name, way, connection.vendor), 1.0)


# Under gunicorn.


@dataclass
class Turn:
    """What wrk has counted in one turn."""

    rate: float
    p99: float
    #: Answers with another status than is right, and connections that broke.
    wrong: int


@dataclass
class Turns:
    turns: list[Turn] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(turn.rate for turn in self.turns)

    def __str__(self) -> str:
        wrong = sum(turn.wrong for turn in self.turns)
        p99 = statistics.median(turn.p99 for turn in self.turns)
        return f"{self.rate:,.0f} a second, p99 {p99:.1f} ms" + (f", {wrong} wrong answers" if wrong else "")


def under_gunicorn(rivals: list[Contender], seconds: int, turns: int, port: int) -> dict[tuple[str, str], Turns]:
    """Return the rates by kind and contender."""
    results: dict[tuple[str, str], Turns] = {}
    # How many payments a turn may take: more than it took.
    enough = {rival.name: 3000 for rival in rivals}
    with serving(port), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requests"
        for turn in range(turns + 1):
            # The first turn does not count: it is short, and warms up.
            length = seconds if turn else 1
            genuine = {rival.name: rival.notifications(enough[rival.name] * length) for rival in rivals}
            forged = {rival.name: [rival.forged() for _ in range(200)] for rival in rivals}
            forged |= strangers(forged[OURS])
            paid = {}
            for rival in shuffled(rivals):
                before = rival.count_paid()
                result = attack(genuine[rival.name], file, length, port)
                count = rival.count_paid() - before
                if count >= len(genuine[rival.name]):
                    raise AssertionError(f"{rival.name} has run out of payments")
                results.setdefault((DISTINCT, rival.name), Turns()).turns.append(result)
                enough[rival.name] = int(3 * result.rate) + 200
                # The last few may have been cut off.
                paid[rival.name] = genuine[rival.name][: max(1, count - 8)]
            for name in shuffled(paid):
                result = attack(paid[name], file, length, port)
                results.setdefault((DUPLICATE, name), Turns()).turns.append(result)
            for name in shuffled(forged):
                result = attack(forged[name], file, length, port, refused=True)
                results.setdefault((FORGED, name), Turns()).turns.append(result)
            if not turn:
                results.clear()
            for rival in rivals:
                clear(rival)
    return in_order(results, rivals)


def shuffled(items: Iterable[T]) -> list[T]:
    return random.sample(items := list(items), len(items))


def clear(rival: Contender) -> None:
    """Empty its tables, so that none is slow for the size that another turn has left."""
    with connection.cursor() as cursor:
        for model in rival.models:
            if connection.vendor == "postgresql":
                cursor.execute(f"TRUNCATE {model._meta.db_table} CASCADE")
            else:
                cursor.execute(f"DELETE FROM {model._meta.db_table}")


@contextmanager
def serving(port: int) -> Iterator[None]:
    """Run gunicorn with as many workers as there are cores, each with two threads that keep connections alive."""
    workers = os.cpu_count() or 2
    command = [
        *(sys.executable, "-m", "gunicorn", "benchmarks.contenders.wsgi", f"--bind={HOST}:{port}"),
        *(f"--workers={workers}", "--worker-class=gthread", "--threads=2", "--keep-alive=60", "--log-level=error"),
    ]
    with subprocess.Popen(command) as server:
        try:
            await_answer(port)
            yield
        finally:
            server.send_signal(signal.SIGTERM)


def await_answer(port: int) -> None:
    """Wait until a worker has loaded the project."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        connection = HTTPConnection(HOST, port, timeout=60)
        with suppress(OSError):
            connection.request("GET", "/")
            connection.getresponse()
            return
        time.sleep(0.1)
    raise RuntimeError("gunicorn does not come up")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def attack(requests: list[Request], file: Path, seconds: int, port: int, *, refused: bool = False) -> Turn:
    """Let wrk send them, starting with the first, for this many seconds."""
    file.write_text("".join(map(as_line, requests)))
    command = [
        *("wrk", "--threads=1", "--connections=4", f"--duration={seconds}s", "--latency", "--timeout=30s"),
        *(f"--script={Path(__file__).parent / 'wrk.lua'}", f"http://{HOST}:{port}", "--", str(file)),
    ]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    counted = json.loads(out.strip().splitlines()[-1])
    wrong = counted["broken"] + (counted["requests"] - counted["refused"] if refused else counted["refused"])
    return Turn(counted["requests"] / counted["seconds"], counted["p99"], wrong)


def as_line(request: Request) -> str:
    """Return what the script of wrk reads."""
    path = f"{request.path}?{request.query}" if request.query else request.path
    headers = {"Host": HOST, "Content-Type": request.content_type, **request.headers}
    parts = [path, request.body.decode(), *(part for header in headers.items() for part in header)]
    return "\t".join(part.replace("\t", "\\t").replace("\r", "\\r").replace("\n", "\\n") for part in parts) + "\n"


def rows_under_gunicorn(results: dict[tuple[str, str], Turns]) -> Iterator[Row]:
    for (kind, name), turns in results.items():
        if name != OURS:
            ours = results[kind, OURS]
            yield row(kind, GUNICORN, ours, name, turns, ours.rate / turns.rate)


# The race.


def race(rivals: list[Contender], number: int, times: int = 4) -> dict[str, int]:
    """Return how many signals each sends for ``number`` payments, each notified ``times`` times at once."""
    requests = {rival.name: rival.notifications(number) for rival in rivals}
    heard.clear()
    start = threading.Barrier(times)

    def run() -> None:
        for index in range(number):
            for name in requests:
                start.wait()
                send(requests[name][index])
        connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {name: heard[name] for name in requests}


def rows_of_race(signals: dict[str, int], number: int) -> Iterator[Row]:
    ours = signals[OURS]
    what = f"{number} payments, each notified four times at once, {connection.display_name}"
    for name, count in signals.items():
        if name != OURS:
            yield Row(
                SECTION,
                what,
                f"{ours} signals",
                name,
                f"{count} signals",
                "",
                goal(f"{number} signals", ours == number),
            )


if __name__ == "__main__":
    main()
