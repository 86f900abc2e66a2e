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

_lock = threading.Lock()
_taken = 0


@contextmanager
def place() -> Iterator[None]:
    """Take one of the ``PAIEMENTPRO_API_GATEWAY_CALLS`` places. Raises ``Problem`` where there is none."""
    global _taken  # noqa: PLW0603  there is one number of a process
    with _lock:
        if _taken >= conf.api_gateway_calls:
            raise Problem("busy", 503, _("Please try again in a few seconds."), wait=BUSY_SECONDS)
        _taken += 1
    try:
        yield
    finally:
        with _lock:
            _taken -= 1
