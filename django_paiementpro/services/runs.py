"""
The runs of the reconciliation: who is at work, and since when.

A run that begins while others are at work joins them: it leaves to them what they have asked about since the first of
them began, in the last minutes. So two at once repeat nothing, one that follows another asks anew, and one that takes
hours keeps nobody from asking.
"""

import os
import socket
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from django_paiementpro.db.connections import database
from django_paiementpro.models import PaymentEvent, ReconciliationRun

#: How often a run says that it lives, and after how long without a word it is taken for dead.
BEAT = timedelta(seconds=15)
SILENCE = timedelta(minutes=2)

#: What was asked about longer ago than this is asked about again, whoever is still at work.
LOOK_BACK = timedelta(minutes=5)

#: A run that has begun in this time and not ended was killed, or is still at it.
RECENT = timedelta(hours=1)

#: For how long runs are remembered.
MEMORY = timedelta(days=7)

#: The runs of this process: its threads share one process id.
_own: set[int] = set()


def begin_run() -> tuple[ReconciliationRun, datetime, bool]:
    """
    Note that a run begins.

    Return it, the moment since which what was asked about is not asked again, and whether all other runs have ended.
    """
    others = list(_runs().filter(finished_at=None, started_at__gt=timezone.now() - RECENT))
    run = ReconciliationRun(host=socket.gethostname()[:255], process_id=os.getpid())
    run.save(using=database(), force_insert=True)
    _own.add(run.pk)
    _runs().filter(started_at__lt=run.started_at - MEMORY).delete()
    since = min([run.started_at, *_starts(run, others)])
    return run, max(since, run.started_at - LOOK_BACK), not others


def beat(run: ReconciliationRun) -> None:
    """Say that the run lives, if it has not said so for a while."""
    now = timezone.now()
    if not run.seen_at <= now < run.seen_at + BEAT:
        run.seen_at = now
        _runs().filter(pk=run.pk).update(seen_at=now)


def take_event(run: ReconciliationRun, event: PaymentEvent) -> bool:
    """
    Note that the run calls the receivers of an event. Return False if another run is calling them.

    A receiver that hangs outlives its lease. Calling it again from each run would leave every run hanging.
    """
    others = _runs().filter(event_id=event.pk, finished_at=None, started_at__gt=timezone.now() - RECENT)
    if any(_is_at_work(other, run) for other in others.exclude(pk=run.pk)):
        return False
    _set_event(run, event.pk)
    return True


def leave_event(run: ReconciliationRun) -> None:
    """Note that the run calls no receivers now."""
    if run.event_id is not None:
        _set_event(run, None)


def _set_event(run: ReconciliationRun, event_id: int | None) -> None:
    run.event_id, run.seen_at = event_id, timezone.now()
    _runs().filter(pk=run.pk).update(event_id=event_id, seen_at=run.seen_at)


def finish_run(run: ReconciliationRun, totals: Mapping[str, int | bool]) -> None:
    """Note that the run has ended, and what it has done."""
    run.finished_at = run.seen_at = timezone.now()
    run.totals = dict(totals)
    _runs().filter(pk=run.pk).update(finished_at=run.finished_at, seen_at=run.seen_at, totals=run.totals)


def leave_run(run: ReconciliationRun) -> None:
    """Forget that the run is this process's, however it has ended."""
    _own.discard(run.pk)


def _starts(run: ReconciliationRun, others: Iterable[ReconciliationRun]) -> Iterable[datetime]:
    seen = [other for other in others if other.seen_at > run.started_at - SILENCE]
    return (other.started_at for other in seen if other.host != run.host or _lives(other))


def _is_at_work(other: ReconciliationRun, run: ReconciliationRun) -> bool:
    """Return whether another run is alive: on this machine, if its process is; elsewhere, if it says so."""
    if other.host == run.host:
        return _lives(other)
    return abs(timezone.now() - other.seen_at) < SILENCE  # its clock may be ahead of ours, but not for long


def _lives(run: ReconciliationRun) -> bool:
    """Return whether a run on this machine is at work: one that was killed holds nobody up."""
    if run.process_id == os.getpid():
        return run.pk in _own
    if os.name != "posix":
        return True  # to ask for a process would end it
    try:
        os.kill(run.process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _runs() -> QuerySet[ReconciliationRun]:
    return ReconciliationRun.objects.using(database())
