"""
How many requests of a process may wait for the gateway at once.

Each of them holds a thread and a connection of the database. Where the gateway hangs, those beyond the bound are told
to come back, at once and before anything is stored, and the rest of the site goes on.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.utils.translation import gettext as _

from django_paiementpro.api.problems import BUSY_SECONDS, Problem
from django_paiementpro.conf import conf


class Busy(Problem):
    def __init__(self) -> None:
        super().__init__("busy", 503, _("Please try again in a few seconds."), wait=BUSY_SECONDS)


class Calls:
    """A number of places, so many times ``PAIEMENTPRO_API_GATEWAY_CALLS``."""

    def __init__(self, times: int = 1) -> None:
        self._times = times
        self._taken = 0
        self._lock = threading.Lock()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place. Raises ``Busy`` where there is none."""
        with self._lock:
            if self._taken >= conf.api_gateway_calls * self._times:
                raise Busy
            self._taken += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken -= 1


#: For payments that are to be opened.
openings = Calls()

#: For those who ask for the same again, by its key: they wait for the one that was first, and mostly call nobody.
repetitions = Calls(times=2)
