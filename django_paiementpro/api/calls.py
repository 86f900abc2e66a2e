"""
How many requests of a process may wait for the gateway at once.

Each of them holds a thread and a connection of the database. Where the gateway hangs, those beyond the bound are told
to come back, at once and before anything is stored, and the rest of the site goes on.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.utils.translation import gettext as _

from django_paiementpro.api.problems import BUSY_SECONDS, Problem
from django_paiementpro.conf import conf
from django_paiementpro.services.bulkhead import Bulkhead

_bulkhead = Bulkhead()


@contextmanager
def place() -> Iterator[None]:
    """Take one of the ``PAIEMENTPRO_API_GATEWAY_CALLS`` places. Raises ``Problem`` where there is none."""
    with _bulkhead.enter(conf.api_gateway_calls) as is_free:
        if not is_free:
            raise Problem("busy", 503, _("Please try again in a few seconds."), wait=BUSY_SECONDS)
        yield
