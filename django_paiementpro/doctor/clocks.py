"""Clocks: leases between processes, and the lives of pages and payments, are told by them."""

import time
from collections.abc import Iterator

from django.db import connections
from django.utils.translation import gettext as _

from django_paiementpro.db.connections import database
from django_paiementpro.doctor.findings import Finding, failure, passed, warning
from django_paiementpro.doctor.visits import Visit

# In seconds. A lease lasts 5 s longer than its call may: processes whose clocks differ by more may both ask for a page.
NOTICEABLE = 2.0
HARMFUL = 30.0

# Seconds since 1970. SQLite has no clock but ours.
CLOCK_QUERIES = {
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400",
    "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    "mysql": "SELECT UNIX_TIMESTAMP(NOW(6))",
}


def findings(visit: Visit) -> Iterator[Finding]:
    connection = connections[database()]
    if connection.vendor not in CLOCK_QUERIES:
        return  # told among the databases
    with connection.cursor() as cursor:
        asked_at = time.time()
        cursor.execute(CLOCK_QUERIES[connection.vendor])
        [moment] = cursor.fetchone()
        seconds = time.time() - asked_at
    yield from compare(_("The clock of the database server"), float(moment) - asked_at, uncertainty=seconds)


def compare(subject: str, difference: float, uncertainty: float) -> Iterator[Finding]:
    """Judge a clock by its difference from ours, in seconds, and by how long it took to ask for it."""
    off = max(0.0, abs(difference) - uncertainty)
    shown = {"clock": subject, "seconds": abs(difference)}
    if off <= NOTICEABLE:
        yield passed(_("%(clock)s agrees with this machine’s.") % shown)
        return
    verdict = failure if off > HARMFUL else warning
    yield verdict(_("%(clock)s differs from this machine’s by %(seconds).0f s.") % shown, _("Have NTP set both."))
