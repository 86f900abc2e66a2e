"""Send requests in this process, through all of the middleware, and measure their time, statements and commits."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, transaction

from benchmarks.contenders.wire import Request

WRITES = ("INSERT", "UPDATE", "DELETE", "WITH")


@dataclass
class Series:
    """The times of one contender in milliseconds, and the statements and commits that each request takes."""

    times: list[float] = field(default_factory=list)
    statements: int | None = None
    commits: int | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    def __str__(self) -> str:
        p95 = statistics.quantiles(self.times, n=20)[-1]
        counted = "" if self.statements is None else f", {self.statements} SQL"
        counted += "" if self.commits is None else f", {self.commits} commit{'' if self.commits == 1 else 's'}"
        return f"{self.median:.2f} ms, p95 {p95:.2f}{counted}"


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the statements that are executed in the block, without BEGIN and COMMIT."""
    made: list[str] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith(("BEGIN", "COMMIT")):
            made.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield made


@contextmanager
def commits() -> Iterator[list[str]]:
    """
    Collect the first write of each transaction that is committed in the block.

    These are the commits that wait for the disk, unless the database is configured not to. A write in autocommit mode
    is a transaction of its own.
    """
    committed: list[str] = []
    is_counted = False

    def count(sql: str) -> None:
        nonlocal is_counted
        committed.append(sql)
        is_counted = False

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal is_counted
        result = execute(sql, params, many, context)
        if sql.startswith(WRITES):
            if not connection.in_atomic_block:
                committed.append(sql)
            elif not is_counted:
                is_counted = True
                transaction.on_commit(partial(count, sql))
        return result

    with connection.execute_wrapper(note):
        yield committed


application = WSGIHandler()


def send(request: Request) -> tuple[float, int]:
    """Return the milliseconds that the response took, and its status."""
    environ = request.environ()
    statuses: list[str] = []
    started_at = time.perf_counter()
    response = application(environ, lambda status, headers: statuses.append(status))
    for _chunk in response:
        pass
    response.close()
    return 1000 * (time.perf_counter() - started_at), int(statuses[0][:3])
