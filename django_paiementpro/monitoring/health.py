"""
The health of the installation: what monitoring asks for, in a few queries that stay cheap with millions of rows.

Payments to review, customers who are late and channels that fail are reported, but are no problem of the installation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Min
from django.db.models.functions import Coalesce
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.conf import conf
from django_paiementpro.db.connections import database
from django_paiementpro.delivery import outbox
from django_paiementpro.enums import PAID, Kind, Outcome, Status
from django_paiementpro.models import Payment, PaymentEvent, ReconciliationRun
from django_paiementpro.services.leases import CLOCK_SKEW
from django_paiementpro.services.reconciliation import overdue_payments
from django_paiementpro.services.runs import STALE_AFTER

#: A signal that stays undelivered for longer is a problem: its receiver fails, or nothing retries it.
UNDELIVERED_AFTER = timedelta(minutes=15)

#: If no reconciliation has finished for longer, that is a problem: cron does not run it, or it dies.
UNRECONCILED_AFTER = timedelta(hours=1)

#: A payment still pending this long after ``PAIEMENTPRO_EXPIRES_AFTER`` is a problem: nothing expires it.
OVERDUE_AFTER = timedelta(hours=1)

#: How many of the newest events are searched for a notification.
MAX_EVENTS = 50_000

#: How far back the last success of a channel is looked for.
SUCCESS_WINDOW = timedelta(days=30)

#: How many of the newest runs are looked at: those at work have not finished, and some may have died.
MAX_RUNS = 100


@dataclass(frozen=True, slots=True)
class Health:
    """Figures at one point in time. Datetimes are aware."""

    at: datetime
    #: When the gateway last sent a notification that was not refused; None if the newest 50,000 events have none.
    last_notification_at: datetime | None
    #: By channel, those offered and any others: when a payment last succeeded; None if not in the last 30 days.
    last_success_at: Mapping[str, datetime | None]
    #: How many payments are pending, and since when the oldest of them is.
    pending: int
    oldest_pending_at: datetime | None
    #: How many events have signals that no process is delivering, and when the oldest and the newest were created.
    undelivered: int
    oldest_undelivered_at: datetime | None
    newest_undelivered_at: datetime | None
    #: How many payments should have expired.
    overdue: int
    #: How many payments have open findings.
    to_review: int
    #: When a reconciliation last finished, or was seen at work; None if none has.
    reconciled_at: datetime | None

    @property
    def problems(self) -> list[str]:
        """
        Return the names of the problems; the list is empty if there are none.

        ``undelivered``: a signal has been waiting too long. ``unreconciled``: ``paiementpro_reconcile`` is not
        running. ``overdue``: payments that should have expired have not.
        """
        reconciled_age = self.age(self.reconciled_at)
        problems = {
            # An event dated in the future was created while the clock was wrong: its age is unknown.
            "undelivered": _is_over(self.age(self.oldest_undelivered_at), UNDELIVERED_AFTER)
            or (self.newest_undelivered_at or self.at) > self.at + CLOCK_SKEW,
            "unreconciled": reconciled_age is None or _is_over(reconciled_age, UNRECONCILED_AFTER),
            "overdue": self.overdue > 0,
        }
        return [name for name, is_present in problems.items() if is_present]

    def age(self, moment: datetime | None) -> float | None:
        """Return how many seconds ago that was: 0 for the future, since clocks differ, and None for None."""
        return None if moment is None else max(0.0, (self.at - moment).total_seconds())

    def as_json(self) -> dict[str, Any]:
        """Return the same for JSON: ISO 8601 datetimes, ages in seconds, and ``ok``, true if there are no problems."""
        return {
            "ok": not self.problems,
            "problems": self.problems,
            "at": self.at.isoformat(),
            "last_notification": self._moment(self.last_notification_at),
            "last_success": {code: self._moment(moment) for code, moment in self.last_success_at.items()},
            "pending": {"count": self.pending, "oldest": self._moment(self.oldest_pending_at)},
            "undelivered": {
                "count": self.undelivered,
                "oldest": self._moment(self.oldest_undelivered_at),
                "newest": self._moment(self.newest_undelivered_at),
            },
            "overdue": {"count": self.overdue},
            "to_review": {"count": self.to_review},
            "last_reconciliation": self._moment(self.reconciled_at),
        }

    def _moment(self, moment: datetime | None) -> dict[str, Any] | None:
        return None if moment is None else {"at": moment.isoformat(), "age": self.age(moment)}


def health(now: datetime | None = None) -> Health:
    """Return the health of the installation, from eight queries."""
    now = now or timezone.now()
    payments = Payment.objects.using(database()).order_by()
    owed = PaymentEvent.objects.using(database()).order_by().filter(outbox.due(now))
    pending = payments.filter(status=Status.PENDING).aggregate(
        count=Count("*"), oldest=Min(Coalesce("initialized_at", "created_at"))
    )
    undelivered = owed.aggregate(count=Count("*"), oldest=Min("created_at"), newest=Max("created_at"))
    return Health(
        at=now,
        last_notification_at=_last_notification_at(),
        last_success_at=_last_success_at(now),
        pending=pending["count"],
        oldest_pending_at=pending["oldest"],
        undelivered=undelivered["count"],
        oldest_undelivered_at=undelivered["oldest"],
        newest_undelivered_at=undelivered["newest"],
        overdue=overdue_payments(now - OVERDUE_AFTER).count(),
        to_review=services.count_payments_to_review(),
        reconciled_at=reconciled_at(now),
    )


def _is_over(age: float | None, limit: timedelta) -> bool:
    return age is not None and age > limit.total_seconds()


def _last_notification_at() -> datetime | None:
    """Search the newest events only: no index tells notifications from millions of others."""
    events = PaymentEvent.objects.using(database()).order_by("-pk")
    newest = events.values_list("pk", flat=True).first() or 0
    notifications = events.filter(pk__gt=newest - MAX_EVENTS, kind=Kind.NOTIFICATION).exclude(outcome=Outcome.REFUSED)
    return notifications.values_list("created_at", flat=True).first()


def _last_success_at(now: datetime) -> dict[str, datetime | None]:
    paid = Payment.objects.using(database()).order_by().filter(settled_at__gte=now - SUCCESS_WINDOW, status__in=PAID)
    seen = dict(paid.values_list("effective_channel").annotate(Max("settled_at")))
    return {code: seen.get(code) for code in [*conf.channels, *sorted(filter(None, seen))]}


def reconciled_at(now: datetime) -> datetime | None:
    """Return when a run last finished, or was seen at work just now: a run that keeps dying does nothing."""
    runs = ReconciliationRun.objects.using(database()).order_by("-pk").values_list("finished_at", "seen_at")
    seen = [
        finished_at or (seen_at if seen_at > now - STALE_AFTER else None) for finished_at, seen_at in runs[:MAX_RUNS]
    ]
    # The future was noted by a clock that has been set back since.
    return max((moment for moment in seen if moment and moment <= now + CLOCK_SKEW), default=None)
