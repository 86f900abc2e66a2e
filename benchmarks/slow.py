"""
Take many payments at once to a gateway that takes its time, under three servers, and visit the home page meanwhile.

Each customer opens the checkout link and, as a browser does, follows the page that retries by itself, until the gateway
opens its page. The gateway is the sandbox, in its own process. Servers take turns.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection

from benchmarks.contenders.ours import make_payments
from benchmarks.database import create_tables
from benchmarks.notification import await_answer, free_port
from benchmarks.reconcile import serving as serving_sandbox
from benchmarks.table import Row, report

HOST = "127.0.0.1"

#: By name: the command, which a port is added to.
GUNICORN = ["gunicorn", "django.core.wsgi:get_wsgi_application()", "--workers=2", "--timeout=120", "--log-level=error"]
SERVERS = {
    "gunicorn --workers 2": GUNICORN,
    "gunicorn --workers 2 --threads 16": [*GUNICORN, "--threads=16"],
    "uvicorn": ["uvicorn", "--factory", "django.core.asgi:get_asgi_application", "--log-level=error"],
}
REFRESH = re.compile(rb'http-equiv="refresh" content="([0-9]+);url=([^"]+)"')

#: How long a visitor stays on the home page, in seconds.
PAUSE = 0.2


@dataclass(frozen=True)
class Purchase:
    """How long a customer waited for the gateway's page, and how often the site was too busy for it."""

    seconds: float
    refusals: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slow", description=__doc__)
    parser.add_argument("--checkouts", type=int, default=50, help="at once (50)")
    parser.add_argument("--delay", type=float, default=3.0, help="seconds that the gateway takes (3)")
    parser.add_argument("--calls", type=int, nargs="+", default=[24, 12], help="PAIEMENTPRO_API_GATEWAY_CALLS (24, 12)")
    parser.add_argument("--turns", type=int, default=1, help="of each server (1)")
    options = parser.parse_args()
    create_tables()
    with serving_sandbox(options.delay) as gateway_url:
        report(measure(gateway_url, options.checkouts, options.calls, options.turns))


def measure(gateway_url: str, number: int, limits: list[int], turns: int) -> Iterator[Row]:
    for _turn in range(turns):
        for name, command in SERVERS.items():
            for limit in limits:
                with serving(command, gateway_url, limit) as port:
                    purchases, visits = sell(port, number)
                waits = [purchase.seconds for purchase in purchases]
                yield Row(
                    "A slow gateway",
                    f"{name}: {number} checkouts at once, {limit} calls at most",
                    f"{max(waits):.1f} s until the last page, median {statistics.median(waits):.1f} s, "
                    f"{sum(purchase.refusals > 0 for purchase in purchases)} customers had to retry, "
                    f"{sum(purchase.refusals for purchase in purchases)} answers 503",
                    "the home page meanwhile",
                    f"median {statistics.median(visits):.2f} s, at most {max(visits):.2f} s",
                )


@contextmanager
def serving(command: list[str], gateway_url: str, limit: int) -> Iterator[int]:
    port = free_port()
    address = [f"--bind={HOST}:{port}"] if command[0] == "gunicorn" else [f"--host={HOST}", f"--port={port}"]
    environment = {**os.environ, "GATEWAY_URL": gateway_url, "GATEWAY_CALLS": str(limit), "CONN_MAX_AGE": "0"}
    with subprocess.Popen([sys.executable, "-m", *command, *address], env=environment) as server:
        try:
            await_answer(port)
            yield port
        finally:
            server.terminate()


def sell(port: int, number: int) -> tuple[list[Purchase], list[float]]:
    """Return the purchases, and how long each visit of the home page took meanwhile."""
    paths = [payment.get_checkout_url() for payment in make_payments(number)]
    start, is_over = threading.Barrier(number + 1), threading.Event()

    def visit() -> list[float]:
        visits = []
        start.wait()
        while not is_over.wait(PAUSE):
            started_at = time.monotonic()
            fetch(port, "/", expected={200})
            visits.append(time.monotonic() - started_at)
        return visits

    def buy(path: str) -> Purchase:
        start.wait()
        started_at, refusals = time.monotonic(), 0
        while retry := REFRESH.search(fetch(port, path, expected={302, 503})):
            refusals += 1
            time.sleep(int(retry[1]))
            path = retry[2].decode()
        return Purchase(time.monotonic() - started_at, refusals)

    with ThreadPoolExecutor(number + 1) as pool:
        visitor = pool.submit(visit)
        try:
            purchases = list(pool.map(buy, paths))
        finally:
            is_over.set()
        return purchases, visitor.result()


def fetch(port: int, path: str, expected: set[int]) -> bytes:
    connection = HTTPConnection(HOST, port, timeout=300)
    connection.request("GET", path)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    if response.status not in expected:
        raise AssertionError(f"{path}: {response.status} {content[:500]!r}")
    return content


if __name__ == "__main__":
    main()
