"""
Compare the back office with a plain ModelAdmin: whole requests, including the middleware, on the filled database.

Times are medians in milliseconds, with the worst in brackets, followed by the statements with their time and the number
of payments shown. The two take turns, and their first turn does not count.
"""

import argparse
import platform
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import django
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Min
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from benchmarks.questions import OURS, PLAIN, Question, questions, since
from benchmarks.table import Row, goal, report
from django_paiementpro.models import Payment, PaymentEvent

# In seconds; the plans of faster statements are not printed.
SLOW = 0.001

Statement = tuple[float, str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.admin", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how many turns count (7)")
    parser.add_argument(
        *("--explain", "-e"),
        choices=[OURS, PLAIN],
        nargs="?",
        const=OURS,
        help="print instead how PostgreSQL goes about the statements of one of the two that take over a millisecond",
    )
    options = parser.parse_args()
    print(conditions())
    if options.explain:
        explain(options.explain)
    else:
        # First, as on Linux the peak of a new process begins with its parent's.
        exports = list(measure_exports())
        report([*measure(options.rounds), *exports])


def conditions() -> str:
    """Return what the figures depend on."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version'), current_setting('shared_buffers')")
        version, buffers = cursor.fetchone()
    return (
        f"{Payment.objects.count():,} payments, {PaymentEvent.objects.count():,} events; "
        f"PostgreSQL {version.split()[0]} with shared_buffers {buffers}, "
        f"Django {django.__version__}, Python {platform.python_version()}\n"
    )


# The table.


@dataclass
class Statements:
    """Times each statement."""

    made: list[Statement] = field(default_factory=list)

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        started_at = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.made.append((time.perf_counter() - started_at, sql, params))


@dataclass(frozen=True)
class Answer:
    """One request: its duration, its statements, and the payments that it shows."""

    milliseconds: float
    statements: list[Statement]
    shown: list[bytes]


def sign_in() -> Client:
    """Return a client that is logged in as a superuser."""
    staff, _created = get_user_model().objects.get_or_create(
        username="benchmark", defaults={"is_staff": True, "is_superuser": True}
    )
    client = Client()
    client.force_login(staff)
    return client


def ask(client: Client, site: str, question: Question) -> Answer | None:
    """Request a page of one of the two; return None if it has no such page, or redirects for an unknown parameter."""
    parameters = question.parameters[site]
    if parameters is None:
        return None
    try:
        path = question.path(site)
    except NoReverseMatch:
        return None
    statements = Statements()
    with connection.execute_wrapper(statements):
        started_at = time.perf_counter()
        response = client.get(path, parameters)
        milliseconds = 1000 * (time.perf_counter() - started_at)
    if response.status_code != 200:
        return None
    shown = dict.fromkeys(re.findall(rb"/payment/(\d+)/change/", response.content))
    return Answer(milliseconds, statements.made, list(shown))


def measure(rounds: int) -> Iterator[Row]:
    """Request each page in each round, and return the rows of the table."""
    client, asked = sign_in(), questions()
    answers: dict[tuple[str, str], list[Answer]] = {}
    for number in range(rounds + 1):
        for question in asked:
            for site in (OURS, PLAIN) if number % 2 else (PLAIN, OURS):
                answer = ask(client, site, question)
                if answer and number:
                    answers.setdefault((question.name, site), []).append(answer)
    section = f"Back office, {Payment.objects.count():,} payments on PostgreSQL"
    for question in asked:
        ours, plain = answers.get((question.name, OURS)), answers.get((question.name, PLAIN))
        yield Row(
            section,
            question.name,
            figures(ours) if ours else "not there yet",
            "a plain ModelAdmin" if plain else "",
            figures(plain) if plain else "",
            f"{median(plain) / median(ours):.1f}" if ours and plain else "",
            goal(f"≤ {question.goal:.0f} ms", median(ours) <= question.goal) if question.goal and ours else "",
        )


def figures(answers: list[Answer]) -> str:
    """Return times, statements with their time, and how many payments are shown."""
    milliseconds = statistics.median(1000 * sum(seconds for seconds, *_ in answer.statements) for answer in answers)
    return (
        f"{median(answers):,.0f} ms ({max(answer.milliseconds for answer in answers):,.0f}), "
        f"{len(answers[-1].statements)} SQL in {milliseconds:,.0f}, {len(answers[-1].shown)} shown"
    )


def median(answers: list[Answer]) -> float:
    return statistics.median(answer.milliseconds for answer in answers)


def explain(site: str) -> None:
    """Print the plan of each statement that is slow even when repeated."""
    client = sign_in()
    for question in questions():
        ask(client, site, question)
        answer = ask(client, site, question)
        if answer is None:
            print(f"\n{question.name}: not there yet")
            continue
        print(f"\n{question.name}: {answer.milliseconds:.0f} ms, {len(answer.statements)} statements")
        for seconds, sql, params in answer.statements:
            if seconds > SLOW and sql.startswith("SELECT"):
                print(f"\n  {1000 * seconds:.1f} ms  {re.sub('^SELECT .*? FROM', 'SELECT … FROM', sql)}\n  {params}")
                with connection.cursor() as cursor:
                    cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", params)
                    for (step,) in cursor.fetchall():
                        print(f"    {step}")


# The export.


def measure_exports() -> Iterator[Row]:
    """Return the speed and the memory of an export of some ten thousand payments, and of all."""
    count = Payment.objects.count()
    oldest = Payment.objects.order_by("-created_at")[:10_000].aggregate(day=Min("created_at"))["day"]
    for what, parameters in (("the newest", since(timezone.localdate(oldest))), ("all", {})):
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            exported = process.submit(export, parameters).result()
        yield Row(f"Back office, {count:,} payments on PostgreSQL", f"export of {what}", exported)


def export(parameters: dict[str, Any]) -> str:
    """Export once, and describe the result."""
    with suppress(NoReverseMatch):
        path = reverse("admin:paiementpro_payment_export")
        client = sign_in()
        before = peak_memory()
        started_at = time.perf_counter()
        response = client.get(path, parameters)
        if response.status_code == 200 and response.streaming:
            rows = sum(chunk.count(b"\n") for chunk in response) - 1
            seconds = time.perf_counter() - started_at
            return (
                f"{rows:,} rows, {rows / seconds:,.0f} a second, "
                f"{peak_memory()} MB of memory at most, {before} MB before"
            )
    return "not there yet"


def peak_memory() -> int:
    """Return the peak memory of this process, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 1024**2


if __name__ == "__main__":
    main()
