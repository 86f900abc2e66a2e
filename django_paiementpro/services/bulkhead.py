"""
What keeps a service that hangs from taking every thread of a web process.

A bulkhead bounds how many threads wait for the service at once. A memory of its silence spares it, and the threads,
for a while after it has not answered. Both belong to one process.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

#: For how many seconds a silent service is left alone: doubled for as long as it stays silent, up to the longest.
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 60.0


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
