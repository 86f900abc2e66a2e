"""
Keep a service that hangs from blocking every thread of a web process.

A bulkhead limits how many threads wait for the service at once. A memory of its silence leaves it alone for a while
after it has not answered. A circuit breaker limits the threads only while the service does not answer. All of this is
per process.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from threading import Lock
from typing import TypeVar

from django_paiementpro.exceptions import GatewayUnavailableError

T = TypeVar("T")

#: For how many seconds a silent service is left alone: doubled for as long as it stays silent, up to the longest.
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 60.0

#: After how many seconds in which calls were made, and none was answered, a circuit breaker limits the calls.
SILENT_AFTER = 10.0

#: For how many seconds after the last call a circuit breaker remembers that calls were not answered.
SILENCE_MEMORY = 600.0


class Bulkhead:
    """Counts the threads that wait for a service."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken = 0

    @contextmanager
    def enter(self, limit: int) -> Iterator[bool]:
        """Take one of ``limit`` places for the ``with`` block, and yield whether one was free."""
        with self._lock:
            is_free = self._taken < limit
            self._taken += is_free
        try:
            yield is_free
        finally:
            with self._lock:
                self._taken -= is_free


class Silence:
    """Remembers that a service was silent."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._until = 0.0
        self._pause = 0.0

    def is_over(self) -> bool:
        """Return whether the service may be asked."""
        return time.monotonic() >= self._until

    def note(self, *, is_silent: bool) -> None:
        """Remember whether the service has answered. Calls that were under way together count as one silence."""
        with self._lock:
            if not is_silent:
                self._until = self._pause = 0.0
            elif self.is_over():
                self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
                self._until = time.monotonic() + self._pause


class CircuitBreaker:
    """
    Lets any number of threads wait for a service that answers, and one at a time for a service that does not.

    The answer to that one lets all in again. So does a while without calls: what they would have found is not known.
    """

    def __init__(self) -> None:
        self._bulkhead = Bulkhead()
        self._lock = Lock()
        self._calls = 0
        self._followers: list[object] = []
        self._unanswered_since = math.inf
        self._called_at = -math.inf

    def enter(self) -> AbstractContextManager[bool]:
        """Yield whether the thread may wait for the service in the ``with`` block."""
        now = time.monotonic()
        if now - self._called_at >= SILENCE_MEMORY:
            self._unanswered_since = math.inf
        is_silent = now - self._unanswered_since >= SILENT_AFTER
        return self._bulkhead.enter(1 if is_silent else sys.maxsize)

    @contextmanager
    def follow(self, limit: int) -> Iterator[Callable[[], bool]]:
        """
        Yield a function that returns whether a thread which waits for another one's call may keep waiting.

        Of ``limit`` threads in all, those that call come first, then those that came last: the answer to an earlier
        click is not read any more.
        """
        me = object()
        with self._lock:
            self._followers.append(me)

        def may_wait() -> bool:
            with self._lock:
                return self._calls + len(self._followers) - self._followers.index(me) <= limit

        try:
            yield may_wait
        finally:
            with self._lock:
                self._followers.remove(me)

    def call(self, function: Callable[[], T]) -> T:
        """Return what a call of the service returns. An error is an answer too, unless the service was unreachable."""
        with self._lock:
            self._calls += 1
        self._called_at = time.monotonic()
        self._unanswered_since = min(self._unanswered_since, self._called_at)
        is_answered = True
        try:
            return function()
        except GatewayUnavailableError as error:
            is_answered = not error.is_away
            raise
        finally:
            with self._lock:
                self._calls -= 1
            if is_answered:
                self._unanswered_since = math.inf


@lru_cache(maxsize=16)
def breaker_of(url: str) -> CircuitBreaker:
    """Return the circuit breaker of a service in this process."""
    return CircuitBreaker()
