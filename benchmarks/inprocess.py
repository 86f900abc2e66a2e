"""Requests in this process, through the whole of the middleware: their times, and their statements."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.db import connection

from benchmarks.contenders.wire import Request


@dataclass
class Series:
    """The times of one contender, in milliseconds, and how many statements each takes."""

    times: list[float] = field(default_factory=list)
    statements: int | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    def __str__(self) -> str:
        p95 = statistics.quantiles(self.times, n=20)[-1]
        counted = "" if self.statements is None else f", {self.statements} SQL"
        return f"{self.median:.2f} ms, p95 {p95:.2f}{counted}"


@contextmanager
def statements() -> Iterator[list[str]]:
    """Return the statements that are made meanwhile, BEGIN and COMMIT apart."""
    made: list[str] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith(("BEGIN", "COMMIT")):
            made.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield made


application = WSGIHandler()


def send(request: Request) -> tuple[float, int]:
    """Return how long the answer took, in milliseconds, and its status."""
    environ = request.environ()
    statuses: list[str] = []
    started_at = time.perf_counter()
    response = application(environ, lambda status, headers: statuses.append(status))
    for _chunk in response:
        pass
    response.close()
    return 1000 * (time.perf_counter() - started_at), int(statuses[0][:3])
