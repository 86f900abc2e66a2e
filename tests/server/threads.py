"""Coordinate threads: start them together, hold them at a gate, wait for them at most ``DEADLINE`` seconds."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from django.db import connections

T = TypeVar("T")

# Far longer than anything takes on a busy machine: only a failing test reaches it.
DEADLINE = 60.0


class Gate:
    """Hold the first caller until the gate is opened; let others pass."""

    def __init__(self) -> None:
        self._first = threading.Lock()
        self._reached = threading.Event()
        self._opened = threading.Event()

    def __call__(self, *args: object, **kwargs: object) -> None:
        if self._first.acquire(blocking=False):
            self._reached.set()
            assert self._opened.wait(DEADLINE)

    def await_arrival(self) -> None:
        assert self._reached.wait(DEADLINE)

    def open(self) -> None:
        self._opened.set()


class Count:
    """Count calls per thread."""

    def __init__(self) -> None:
        self._threads: list[int] = []

    def __call__(self, *args: object, **kwargs: object) -> None:
        self._threads.append(threading.get_ident())

    def __int__(self) -> int:
        return len(self._threads)

    def threads(self, at_least: int) -> int:
        """Return how many threads have called it at least this often."""
        return sum(count >= at_least for count in Counter(self._threads).values())


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Run all calls at the same moment, each in its own thread with its own connections."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        try:
            barrier.wait(DEADLINE)
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@contextmanager
def meanwhile(call: Callable[[], T]) -> Iterator["Future[T]"]:
    """Run the call in another thread during the ``with`` block."""

    def run() -> T:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(run)
