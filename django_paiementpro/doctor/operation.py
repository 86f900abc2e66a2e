"""What must go on beside the requests, and what waits for it or for a person."""

import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db.models import Max, Min
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_paiementpro import services
from django_paiementpro.db.connections import database
from django_paiementpro.doctor.findings import Finding, failure, passed, warning
from django_paiementpro.doctor.visits import Visit
from django_paiementpro.enums import SettledBy, Status
from django_paiementpro.models import Payment, ReconciliationRun
from django_paiementpro.services.reconciliation import overdue_payments, undelivered_events

# It is meant to run every few minutes: after an hour something keeps it from doing so.
LATE = timedelta(hours=1)

# How far back the way is looked at by which payments were settled, and how many tell something.
RECENT = timedelta(days=7)
ENOUGH = 3


def reconciliation_findings(visit: Visit) -> Iterator[Finding]:
    runs = ReconciliationRun.objects.using(database())
    seen_at = runs.aggregate(seen_at=Max("seen_at"))["seen_at"]
    last = runs.filter(finished_at__isnull=False).order_by("finished_at").last()
    now = timezone.now()
    if seen_at is None:
        # A fresh installation has nothing to reconcile yet.
        is_needed = Payment.objects.using(database()).filter(created_at__lt=now - LATE).exists()
        verdict = failure if is_needed else warning
        yield verdict(_("paiementpro_reconcile has never run."), _in_cron())
    elif seen_at < now - LATE:
        yield failure(
            _("paiementpro_reconcile was last seen %(time)s ago.") % {"time": timesince(seen_at, now)}, _in_cron()
        )
    elif last is None or not last.finished_at or last.finished_at < now - LATE:
        yield warning(
            _("paiementpro_reconcile runs, but none of its runs has come to its end in the last hour."),
            _("See its output: it may be killed, or take too long."),
        )
    else:
        yield passed(_("paiementpro_reconcile last ended %(time)s ago.") % {"time": timesince(last.finished_at, now)})
        yield from _totals_findings(last.totals)


def _totals_findings(totals: Mapping[str, Any]) -> Iterator[Finding]:
    """Say what the last run met."""
    if totals.get("gateway_away"):
        yield warning(
            _("The last run of paiementpro_reconcile found the gateway away."),
            _("See whether this machine may go out to the Internet: paiementpro_doctor --gateway asks the gateway."),
        )
    if failed := totals.get("failed"):
        yield warning(
            ngettext(
                "%d row raised an error in the last run of paiementpro_reconcile: see the log for reconcile_failed.",
                "%d rows raised an error in the last run of paiementpro_reconcile: see the log for reconcile_failed.",
                failed,
            )
            % failed
        )


def waiting_findings(visit: Visit) -> Iterator[Finding]:
    findings = [*_undelivered(), *_to_review(), *_too_old(), *_never_notified()]
    yield from findings or [passed(_("Nothing waits for a receiver, a person or its end."))]


def _undelivered() -> Iterator[Finding]:
    events = undelivered_events()
    if count := events.count():
        oldest = events.aggregate(oldest=Min("created_at"))["oldest"]
        verdict = failure if oldest < timezone.now() - LATE else warning
        yield verdict(
            ngettext(
                "%d event waits for a receiver: run “manage.py paiementpro_reconcile”, every few minutes.",
                "%d events wait for a receiver: run “manage.py paiementpro_reconcile”, every few minutes.",
                count,
            )
            % count,
            _("The oldest has waited for %(time)s: see the log for the receiver that fails.")
            % {"time": timesince(oldest)}
            if verdict is failure
            else "",
        )


def _to_review() -> Iterator[Finding]:
    if count := services.count_payments_to_review():
        yield warning(
            ngettext(
                "%d payment is to be reviewed: look for it in the admin.",
                "%d payments are to be reviewed: look for them in the admin.",
                count,
            )
            % count
        )


def _too_old() -> Iterator[Finding]:
    """Look for what reconciliation should have expired."""
    if count := overdue_payments(timezone.now() - LATE).count():
        yield failure(
            ngettext(
                "%d payment is pending that should have expired: see why paiementpro_reconcile does not do it.",
                "%d payments are pending that should have expired: see why paiementpro_reconcile does not do it.",
                count,
            )
            % count
        )


def _never_notified() -> Iterator[Finding]:
    """Learn from what has happened: where only the look-up or staff settle, notifications do not arrive."""
    recent = Payment.objects.using(database()).filter(settled_at__gte=timezone.now() - RECENT, status=Status.SUCCEEDED)
    ways = list(recent.order_by("-settled_at").values_list("settled_by", flat=True)[:100])
    if len(ways) >= ENOUGH and SettledBy.NOTIFICATION not in ways:
        yield warning(
            ngettext(
                "Of the last %d paid payment none was settled by a notification: they do not arrive.",
                "Of the last %d paid payments none was settled by a notification: they do not arrive.",
                len(ways),
            )
            % len(ways),
            _("See the web server’s log for what the gateway sends, and what it is answered."),
        )


def _in_cron() -> str:
    """Return what to do, with the line for this very installation."""
    script = Path(sys.argv[0]).absolute()
    command = script if script.name == "manage.py" else "manage.py"
    return _("Have cron call it every few minutes: %(line)s") % {
        "line": f"*/5 * * * * {sys.executable} {command} paiementpro_reconcile"
    }
