"""Reconciliation, which must run beside the requests, and the work that waits for it or for a person."""

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
from django_paiementpro.doctor.results import Result, failure, passed, warning
from django_paiementpro.doctor.target import Target
from django_paiementpro.enums import SettledBy, Status
from django_paiementpro.models import Payment, ReconciliationRun
from django_paiementpro.services.reconciliation import overdue_payments, undelivered_events

# It should run every few minutes: after an hour without a run something is wrong.
LATE = timedelta(hours=1)

# The payments that show whether notifications arrive: those settled recently, if there are enough of them.
RECENT = timedelta(days=7)
ENOUGH = 3


def examine_reconciliation(target: Target) -> Iterator[Result]:
    runs = ReconciliationRun.objects.using(database())
    seen_at = runs.aggregate(seen_at=Max("seen_at"))["seen_at"]
    last = runs.filter(finished_at__isnull=False).order_by("finished_at").last()
    now = timezone.now()
    if seen_at is None:
        # A new installation has nothing to reconcile yet.
        is_needed = Payment.objects.using(database()).filter(created_at__lt=now - LATE).exists()
        level = failure if is_needed else warning
        yield level(_("paiementpro_reconcile has never run."), _cron_advice())
    elif seen_at < now - LATE:
        yield failure(
            _("paiementpro_reconcile last ran %(time)s ago.") % {"time": timesince(seen_at, now)}, _cron_advice()
        )
    elif last is None or not last.finished_at or last.finished_at < now - LATE:
        yield warning(
            _("paiementpro_reconcile runs, but no run has finished in the last hour."),
            _("Check its output: it may have been killed, or take too long."),
        )
    else:
        yield passed(
            _("paiementpro_reconcile last finished %(time)s ago.") % {"time": timesince(last.finished_at, now)}
        )
        yield from _examine_totals(last.totals)


def _examine_totals(totals: Mapping[str, Any]) -> Iterator[Result]:
    if totals.get("gateway_away"):
        yield warning(
            _("The gateway was unavailable during the last run of paiementpro_reconcile."),
            _("Check that this machine can reach the Internet: paiementpro_doctor --gateway calls the gateway."),
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


def examine_backlog(target: Target) -> Iterator[Result]:
    results = [*_undelivered(), *_to_review(), *_overdue(), *_never_notified()]
    yield from results or [passed(_("No signal, review or expiry is overdue."))]


def _undelivered() -> Iterator[Result]:
    events = undelivered_events()
    if count := events.count():
        oldest = events.aggregate(oldest=Min("created_at"))["oldest"]
        level = failure if oldest < timezone.now() - LATE else warning
        yield level(
            ngettext(
                "%d event has undelivered signals: run “manage.py paiementpro_reconcile” every few minutes.",
                "%d events have undelivered signals: run “manage.py paiementpro_reconcile” every few minutes.",
                count,
            )
            % count,
            _("The oldest has been waiting for %(time)s: the log names the receiver that fails.")
            % {"time": timesince(oldest)}
            if level is failure
            else "",
        )


def _to_review() -> Iterator[Result]:
    if count := services.count_payments_to_review():
        yield warning(
            ngettext(
                "%d payment needs review: see the admin.",
                "%d payments need review: see the admin.",
                count,
            )
            % count
        )


def _overdue() -> Iterator[Result]:
    """Report payments that reconciliation should have expired."""
    if count := overdue_payments(timezone.now() - LATE).count():
        yield failure(
            ngettext(
                "%d payment should have expired: check why paiementpro_reconcile does not expire it.",
                "%d payments should have expired: check why paiementpro_reconcile does not expire them.",
                count,
            )
            % count
        )


def _never_notified() -> Iterator[Result]:
    """Report that only the status look-up or staff settle payments, which means that notifications do not arrive."""
    recent = Payment.objects.using(database()).filter(settled_at__gte=timezone.now() - RECENT, status=Status.SUCCEEDED)
    ways = list(recent.order_by("-settled_at").values_list("settled_by", flat=True)[:100])
    if len(ways) >= ENOUGH and SettledBy.NOTIFICATION not in ways:
        yield warning(
            _("None of the last %(count)d paid payments was settled by a notification: they do not arrive.")
            % {"count": len(ways)},
            _("Look in the web server’s log for the gateway’s requests and how they were answered."),
        )


def _cron_advice() -> str:
    """Return the line for cron of this very installation."""
    script = Path(sys.argv[0]).absolute()
    command = script if script.name == "manage.py" else "manage.py"
    return _("Run it every few minutes with cron: %(line)s") % {
        "line": f"*/5 * * * * {sys.executable} {command} paiementpro_reconcile"
    }
