"""Threads that meet: started at once, held at a gate, waited for; nothing waits longer than ``DEADLINE`` seconds."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from django.db import connections

T = TypeVar("T")

# Far above what anything takes on a busy machine: it is reached by a test that fails.
DEADLINE = 60.0


class Gate:
    """Who comes first is held until it is opened; others pass."""

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
    """How often it was called, and by which threads."""

    def __init__(self) -> None:
        self._threads: list[int] = []

    def __call__(self, *args: object, **kwargs: object) -> None:
        self._threads.append(threading.get_ident())

    def __int__(self) -> int:
        return len(self._threads)

    def threads(self, at_least: int) -> int:
        """Return how many threads have called it so often."""
        return sum(count >= at_least for count in Counter(self._threads).values())


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Run each call in a thread and with connections of its own, all let go at the same moment."""
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
    """Run the call in a thread beside the ``with`` block."""

    def run() -> T:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(run)
