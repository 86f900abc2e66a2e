"""
Whether the installation is well: what monitoring asks, in a few statements that stay cheap beside millions of rows.

What is a matter of people is told, and is no alarm: payments to review, payers who come late, an operator that fails.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Min
from django.db.models.functions import Coalesce
from django.utils import timezone

from django_paiementpro import outbox
from django_paiementpro.conf import conf
from django_paiementpro.enums import PAID, Kind, Outcome, Status
from django_paiementpro.models import Finding, Payment, PaymentEvent, ReconciliationRun
from django_paiementpro.services.claims import CLOCK_SKEW
from django_paiementpro.services.runs import SILENCE
from django_paiementpro.services.transitions import database

#: A signal that is owed for longer is an alarm: its receiver fails, or nobody delivers again.
UNDELIVERED_AFTER = timedelta(minutes=15)

#: A reconciliation that has not ended for longer is an alarm: cron does not run it, or it dies.
UNRECONCILED_AFTER = timedelta(hours=1)

#: A payment that waits for so much longer than ``PAIEMENTPRO_EXPIRES_AFTER`` is an alarm: nothing expires it.
OVERDUE_AFTER = timedelta(hours=1)

#: So many of the newest events are searched for a notification.
MAX_EVENTS = 50_000

#: How far back an operator's last success is looked for.
SUCCESS_WINDOW = timedelta(days=30)

#: So many of the newest runs are looked at: those that are at work have not ended, and some may have died.
MAX_RUNS = 100


@dataclass(frozen=True, slots=True)
class Health:
    """Figures at one point in time. Datetimes are aware."""

    at: datetime
    #: When the gateway last sent what was not refused; None where none is among the newest ``MAX_EVENTS`` events.
    last_notification_at: datetime | None
    #: By operator's code: those offered, and any others; None where nobody has paid in ``SUCCESS_WINDOW``.
    last_success_at: Mapping[str, datetime | None]
    #: How many payments wait for their payers, and since when the one does that has waited longest.
    pending: int
    oldest_pending_at: datetime | None
    #: How many events owe signals that nobody is delivering, and when the oldest was written.
    undelivered: int
    oldest_undelivered_at: datetime | None
    #: How many payments a person must look at.
    to_review: int
    #: When a reconciliation last ended, or was seen at work; None where none has.
    reconciled_at: datetime | None

    @property
    def problems(self) -> list[str]:
        """
        Name what somebody must be woken for; nothing where all is well.

        ``undelivered``: a signal is owed for too long. ``unreconciled``: ``paiementpro_reconcile`` does not run.
        ``overdue``: payments that nobody has paid in time do not expire.
        """
        reconciled_age = self.age(self.reconciled_at)
        alarms = {
            "undelivered": self._is_ahead(self.oldest_undelivered_at)
            or _is_beyond(self.age(self.oldest_undelivered_at), UNDELIVERED_AFTER),
            "unreconciled": reconciled_age is None or _is_beyond(reconciled_age, UNRECONCILED_AFTER),
            "overdue": _is_beyond(self.age(self.oldest_pending_at), conf.expires_after + OVERDUE_AFTER),
        }
        return [name for name, is_raised in alarms.items() if is_raised]

    def age(self, moment: datetime | None) -> float | None:
        """Return how many seconds ago that was; 0 where another server's clock is ahead, None of None."""
        return None if moment is None else max(0.0, (self.at - moment).total_seconds())

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON has it: moments in ISO 8601, ages in seconds, and ``ok`` where nothing is wrong."""
        return {
            "ok": not self.problems,
            "problems": self.problems,
            "at": self.at.isoformat(),
            "last_notification": self._moment(self.last_notification_at),
            "last_success": {code: self._moment(moment) for code, moment in self.last_success_at.items()},
            "pending": {"count": self.pending, "oldest": self._moment(self.oldest_pending_at)},
            "undelivered": {"count": self.undelivered, "oldest": self._moment(self.oldest_undelivered_at)},
            "to_review": {"count": self.to_review},
            "last_reconciliation": self._moment(self.reconciled_at),
        }

    def _is_ahead(self, moment: datetime | None) -> bool:
        """Return whether a clock that was ahead has written the moment, so that its age is unknown."""
        return moment is not None and moment > self.at + CLOCK_SKEW

    def _moment(self, moment: datetime | None) -> dict[str, Any] | None:
        return None if moment is None else {"at": moment.isoformat(), "age": self.age(moment)}


def health(now: datetime | None = None) -> Health:
    """Return how the installation fares, in seven statements."""
    now = now or timezone.now()
    payments = Payment.objects.primary().order_by()
    owed = PaymentEvent.objects.using(database()).order_by().filter(outbox.due(now))
    pending = payments.filter(status=Status.PENDING).aggregate(
        count=Count("*"), oldest=Min(Coalesce("initialized_at", "created_at"))
    )
    undelivered = owed.aggregate(count=Count("*"), oldest=Min("created_at"))
    return Health(
        at=now,
        last_notification_at=_last_notification_at(),
        last_success_at=_last_success_at(now),
        pending=pending["count"],
        oldest_pending_at=pending["oldest"],
        undelivered=undelivered["count"],
        oldest_undelivered_at=undelivered["oldest"],
        to_review=count_payments_to_review(),
        reconciled_at=_reconciled_at(now),
    )


def count_payments_to_review() -> int:
    """Return how many payments have open findings."""
    findings = Finding.objects.using(database()).filter(reviewed_at=None)
    return int(findings.aggregate(count=Count("payment", distinct=True))["count"])


def _is_beyond(age: float | None, limit: timedelta) -> bool:
    return age is not None and age > limit.total_seconds()


def _last_notification_at() -> datetime | None:
    """Look among the newest events alone: no index tells notifications from the rest of millions."""
    events = PaymentEvent.objects.using(database()).order_by("-pk")
    newest = events.values_list("pk", flat=True).first() or 0
    notifications = events.filter(pk__gt=newest - MAX_EVENTS, kind=Kind.NOTIFICATION).exclude(outcome=Outcome.REFUSED)
    return notifications.values_list("created_at", flat=True).first()


def _last_success_at(now: datetime) -> dict[str, datetime | None]:
    paid = Payment.objects.primary().order_by().filter(settled_at__gte=now - SUCCESS_WINDOW, status__in=PAID)
    seen = dict(paid.values_list("effective_channel").annotate(Max("settled_at")))
    return {code: seen.get(code) for code in [*conf.channels, *sorted(filter(None, seen))]}


def _reconciled_at(now: datetime) -> datetime | None:
    """Return when a run has ended, or was seen at work just now: one that dies each time does nothing."""
    runs = ReconciliationRun.objects.using(database()).order_by("-pk").values_list("finished_at", "seen_at")
    seen = [finished_at or (seen_at if seen_at > now - SILENCE else None) for finished_at, seen_at in runs[:MAX_RUNS]]
    # A moment ahead of us was noted by a clock that has been set back since.
    return max((moment for moment in seen if moment and moment <= now + CLOCK_SKEW), default=None)
