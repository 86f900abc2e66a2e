"""
A limit on the requests of a process that wait for the gateway at once.

Each of them holds a thread and a database connection. If the gateway hangs, further requests are answered at once with
503, before anything is stored, and the rest of the site keeps working.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.utils.translation import gettext as _

from django_paiementpro.api.problems import BUSY_SECONDS, Problem
from django_paiementpro.conf import conf
from django_paiementpro.services.bulkhead import Bulkhead

_bulkhead = Bulkhead()


@contextmanager
def limited() -> Iterator[None]:
    """Take one of the ``PAIEMENTPRO_API_GATEWAY_CALLS`` places. Raises ``Problem`` if none is free."""
    with _bulkhead.enter(conf.api_gateway_calls) as is_free:
        if not is_free:
            raise Problem("busy", _("Please try again in a few seconds."), wait=BUSY_SECONDS)
        yield
