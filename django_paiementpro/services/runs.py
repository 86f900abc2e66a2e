"""
The runs of the reconciliation: which are active, and since when.

A run that begins while others are active joins them: it skips what they have asked about since the first of them
began, but no longer ago than ``LOOK_BACK``. So concurrent runs repeat no look-ups, a run that follows another asks
again, and a run that takes hours does not keep others from asking.

A run is active while it records heartbeats. One that was killed counts as active until its last heartbeat is stale.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from threading import Event, Thread

from django.db import Error, connections
from django.db.models import Q, QuerySet
from django.utils import timezone

from django_paiementpro.db.connections import database
from django_paiementpro.models import PaymentEvent, ReconciliationRun

#: How often a run records a heartbeat, and how old the last heartbeat of an active run can be.
HEARTBEAT = timedelta(seconds=15)
STALE_AFTER = timedelta(minutes=2)

#: What was asked about longer ago than this is asked about again, even if other runs are active.
LOOK_BACK = timedelta(minutes=5)

#: A run that began within this time and has not ended was killed, or is still active.
RECENT = timedelta(hours=1)

#: For how long runs are remembered.
MEMORY = timedelta(days=7)


def begin_run() -> tuple[ReconciliationRun, datetime, bool]:
    """
    Store a run that begins now.

    Return it, the moment since which what was asked about is not asked again, and whether all other runs have ended.
    """
    now = timezone.now()
    unfinished = _runs().filter(finished_at=None)
    is_alone = not unfinished.filter(started_at__gt=now - RECENT).exists()
    starts = list(unfinished.filter(_is_alive(now)).values_list("started_at", flat=True))
    run = ReconciliationRun(host=socket.gethostname()[:255], process_id=os.getpid())
    run.save(using=database(), force_insert=True)
    _runs().filter(started_at__lt=run.started_at - MEMORY).delete()
    return run, max(min([run.started_at, *starts]), run.started_at - LOOK_BACK), is_alone


@contextmanager
def heartbeats(run: ReconciliationRun) -> Iterator[None]:
    """
    Record a heartbeat every 15 seconds during the ``with`` block.

    A thread does so, with a connection of its own: a receiver that hangs must not make its run look dead. The thread
    ends with the process, however that ends.
    """
    is_over = Event()

    def record() -> None:
        while not is_over.wait(HEARTBEAT.total_seconds()):
            with suppress(Error):  # the next one may succeed
                try:
                    _runs().filter(pk=run.pk).update(seen_at=timezone.now())
                finally:
                    connections.close_all()  # those of this thread

    thread = Thread(target=record, name="paiementpro-heartbeats", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def take_event(run: ReconciliationRun, event: PaymentEvent) -> bool:
    """
    Claim an event for this run, which then calls its receivers. Return False if another run has claimed it.

    A receiver that hangs outlasts the event's lease: if every run called it again, every run would hang.
    """
    others = _runs().filter(_is_alive(timezone.now()), event_id=event.pk, finished_at=None).exclude(pk=run.pk)
    if others.exists():
        return False
    _set_event(run, event.pk)
    return True


def leave_event(run: ReconciliationRun) -> None:
    """Store that the run calls no receivers now."""
    if run.event_id is not None:
        _set_event(run, None)


def finish_run(run: ReconciliationRun, totals: Mapping[str, int | bool]) -> None:
    """Store that the run has ended, and what it has done."""
    run.finished_at = run.seen_at = timezone.now()
    run.totals = dict(totals)
    _runs().filter(pk=run.pk).update(finished_at=run.finished_at, seen_at=run.seen_at, totals=run.totals)


def _set_event(run: ReconciliationRun, event_id: int | None) -> None:
    run.event_id = event_id
    _runs().filter(pk=run.pk).update(event_id=event_id)


def _is_alive(now: datetime) -> Q:
    """Return the condition that the last heartbeat of a run is not stale. Its clock may be slightly ahead."""
    return Q(seen_at__gt=now - STALE_AFTER, seen_at__lt=now + STALE_AFTER)


def _runs() -> QuerySet[ReconciliationRun]:
    return ReconciliationRun.objects.using(database())
