"""
Notice that ``paiementpro_reconcile`` does not run, which it cannot report itself.

Any request of the site, once it has been answered, gives its process the occasion to look, every ten minutes at most.
"""

import time
from threading import Lock
from typing import Any

from django.core.signals import request_finished
from django.utils import timezone

from django_paiementpro import log
from django_paiementpro.alerts.sending import send_alerts
from django_paiementpro.db.connections import close_old_connections
from django_paiementpro.enums import Outcome
from django_paiementpro.monitoring.health import UNRECONCILED_AFTER, reconciled_at

INTERVAL = 600.0

_turn = Lock()
_looked_at = time.monotonic()


def watch_requests() -> None:
    """Look after requests, from now on."""
    request_finished.connect(_look_sometimes, dispatch_uid="paiementpro.alerts")


def _look_sometimes(**_kwargs: Any) -> None:
    global _looked_at  # noqa: PLW0603  one for the process
    if time.monotonic() - _looked_at < INTERVAL or not _turn.acquire(blocking=False):
        return
    _looked_at = time.monotonic()
    try:
        look()
    except Exception as error:  # noqa: BLE001  the request has been answered
        log.write("alerts_not_sent", outcome=Outcome.FAILED, raised=error)
    finally:
        _turn.release()
        close_old_connections()


def look() -> None:
    """Mail the alerts if no reconciliation does."""
    now = timezone.now()
    last = reconciled_at(now)
    if last is None or now - last > UNRECONCILED_AFTER:
        send_alerts(now)
