"""Threads that meet: started at once, held at a gate, waited for; nothing waits longer than ``DEADLINE`` seconds."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from django.db import connections

T = TypeVar("T")

DEADLINE = 15.0


class Gate:
    """Whoever calls it is held until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.opened.wait(DEADLINE)

    def await_arrival(self) -> None:
        assert self.reached.wait(DEADLINE)

    def open(self) -> None:
        self.opened.set()


class Count:
    """How often it was called, from whichever threads."""

    def __init__(self) -> None:
        self.calls: list[None] = []

    def __call__(self, *args: object, **kwargs: object) -> None:
        self.calls.append(None)

    def __int__(self) -> int:
        return len(self.calls)


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
