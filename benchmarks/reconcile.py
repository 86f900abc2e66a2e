"""
Reconcile many pending payments with a slow sandbox: how long it takes, how many it asks about, how much memory.

Each row is a run of ``paiementpro_reconcile`` in its own process, against a server in another. Beside it is the
best that this number of workers could do if only the answers took time.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from benchmarks.database import create_tables
from benchmarks.table import Row, report
from django_paiementpro.models import Payment

BATCH = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reconcile", description=__doc__)
    parser.add_argument("--payments", type=int, nargs="+", default=[10_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--delay", type=float, default=0.2, help="seconds that each answer takes (0.2)")
    options = parser.parse_args()
    with serving(options.delay) as url:
        report(measure(url, options.payments, options.workers, options.delay))


def measure(url: str, numbers: list[int], workers: list[int], delay: float) -> Iterator[Row]:
    """Reconcile each number of payments with each number of workers, beside the best possible result."""
    for payments in numbers:
        create_tables()
        make_pending(payments)
        for count in workers:
            Payment.objects.update(checked_at=None)
            seconds, asked, peak = reconcile(url, count)
            assert asked == payments
            at_best = count / delay if delay else 0.0
            yield Row(
                "Reconciliation",
                f"{payments:,} payments, {count} workers, {connection.display_name}",
                f"{asked / seconds:,.0f} a second, {seconds:.1f} s, {peak:.0f} MB at most",
                f"at best, at {1000 * delay:.0f} ms an answer",
                f"{at_best:,.0f} a second" if delay else "",
                f"{asked / seconds / at_best:.2f}" if delay else "",
            )


def make_pending(number: int) -> None:
    """Make payments whose pages were opened in the last hour, which each run asks about."""
    now = timezone.now()
    for start in range(0, number, BATCH):
        Payment.objects.bulk_create(
            Payment(
                amount=12500,
                description="Order",
                customer_email=f"payer{index}@example.com",
                customer_first_name="Awa",
                customer_last_name="Koné",
                customer_phone="0707123456",
                status="pending",
                attempt=1,
                initialized_at=now + timedelta(hours=5),  # still within the last hour at the end of a long run
            )
            for index in range(start, min(start + BATCH, number))
        )


@contextmanager
def serving(delay: float) -> Iterator[str]:
    """Serve the sandbox, and return its URL."""
    command = [sys.executable, "-m", "benchmarks.server", f"--delay={delay}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield f"{server.stdout.readline().strip()}/sandbox"
        finally:
            server.kill()


def reconcile(gateway_url: str, workers: int) -> tuple[float, int, float]:
    """Return the seconds, the payments asked about, and the peak of the process's memory in MB."""
    script = "import resource, benchmarks; from django.core.management import call_command as call; "
    script += f"call('paiementpro_reconcile', '--json', '--rate=0', '--workers={workers}'); "
    script += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    out = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "GATEWAY_URL": gateway_url},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.splitlines()
    numbers = json.loads(out[0])
    return numbers["seconds"], numbers["asked"], int(out[1]) / (1024 if sys.platform == "linux" else 1024**2)


if __name__ == "__main__":
    main()
