"""
How webhooks are sent: claimed by a lease, posted by threads, and recorded.

Only the caller's thread uses the database. Each endpoint has a lane of its own: some of its webhooks are on the way at
once, the longest overdue first, and while they wait for a slow answer, the other endpoints' go on. No attempt takes
longer than ``transport`` allows, and a run begins none after its time.

The first attempt follows the response to the request that made the webhook. One thread of each process does that at a
time; webhooks that other requests make meanwhile join its run. Reconciliation sends what is due then: retries, and what
a process left that was killed.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone as django_timezone

from django_paiementpro import __version__, log
from django_paiementpro.db.connections import database
from django_paiementpro.db.keyset import after
from django_paiementpro.delivery.after_response import collecting_work, run_after_response
from django_paiementpro.enums import Outcome
from django_paiementpro.webhooks import alerts, transport
from django_paiementpro.webhooks.addresses import RESOLVE_SECONDS
from django_paiementpro.webhooks.enums import DeliveryStatus, Failure
from django_paiementpro.webhooks.models import TEST, Delivery, Endpoint, generate_secret
from django_paiementpro.webhooks.payloads import test_body
from django_paiementpro.webhooks.transport import Answer

try:
    from standardwebhooks import Webhook
except ImportError as error:
    raise ImportError(
        'django_paiementpro.webhooks needs "standardwebhooks": pip install "django-paiementpro[webhooks]"'
    ) from error

#: How long after each failed attempt the next one is due. After the sixth there is none.
PAUSES = (
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)

#: How long a process may take over an attempt, including the work around it.
LEASE = timedelta(seconds=RESOLVE_SECONDS + transport.TOTAL_SECONDS + 40)

#: No lease ends later than this from now, even if the clocks of two servers differ by a minute.
LONGEST_LEASE = LEASE + timedelta(minutes=1)

#: How many webhooks of one endpoint, and of all, are on the way at once.
PER_ENDPOINT = 4
IN_ALL = 32

#: For how many seconds a run begins attempts: after a response, and in reconciliation.
PATIENCE_AFTER_RESPONSE = 10.0
PATIENCE = 60.0

#: How many attempts of a delivery are kept.
MAX_ATTEMPTS = 20

#: How long a replaced secret signs too.
OVERLAP = timedelta(days=1)

#: How many deliveries are read at once.
PAGE_SIZE = 50

#: How often, in seconds, to look whether to stop.
ATTENTION = 0.5

# Whether there is something new to send, and the thread of this process that sends it.
_news = threading.Event()
_sender = threading.Lock()


def send_new() -> None:
    """Send the webhooks that have not been tried yet, for a few seconds at most."""
    deadline = time.monotonic() + PATIENCE_AFTER_RESPONSE
    _news.set()
    # Another thread may end its run before it sees the news: then the lock is free, and the news is still there.
    while _news.is_set() and time.monotonic() < deadline and _sender.acquire(blocking=False):
        try:
            with collecting_work():
                _Run(Q(failures=0), threading.Event(), deadline, _news)()
        finally:
            _sender.release()


def send_due(stop: threading.Event) -> Mapping[str, int]:
    """Send what is due, until ``stop`` is set, for a minute at most. Return how many were delivered, and were not."""
    with collecting_work():
        sent = _Run(Q(), stop, time.monotonic() + PATIENCE, threading.Event())()
    return {"webhooks_delivered": sent[True], "webhooks_failed": sent[False]}


def send_now(delivery: Delivery) -> Answer | None:
    """Send one webhook in this thread. Return the answer, or None if another process is sending it."""
    lease = _claim(delivery, Q())
    if lease is None:
        return None
    answer = _post(delivery, delivery.endpoint, django_timezone.now())
    _record(delivery, lease, answer)
    return answer


def send_test(endpoint: Endpoint) -> Delivery:
    """Send a test, which is tried once, to an endpoint that may be switched off. Return it with its attempt."""
    now = django_timezone.now()
    delivery = Delivery(endpoint=endpoint, type=TEST, body=test_body(now), next_at=now, created_at=now)
    delivery.save(using=database(), force_insert=True)
    send_now(delivery)
    return delivery


def make_due(delivery: Delivery) -> bool:
    """
    Make a delivery due now, with all its attempts before it.

    Return False, and change nothing, if its endpoint is switched off or a process is sending it.
    """
    now = django_timezone.now()
    changes = {"status": DeliveryStatus.PENDING, "failures": 0, "next_at": now}
    rows = _deliveries().filter(_is_free(now), pk=delivery.pk, endpoint__in=_active())
    if not rows.update(**changes):
        return False
    vars(delivery).update(changes)
    return True


def replace_secret(endpoint: Endpoint) -> bool:
    """Give an endpoint a new secret; the old one signs too for a day. Return False if that has been done meanwhile."""
    changes = {
        "secret": generate_secret(),
        "old_secret": endpoint.secret,
        "old_secret_until": django_timezone.now() + OVERLAP,
    }
    rows = Endpoint.objects.using(database()).filter(pk=endpoint.pk, secret=endpoint.secret)
    if not rows.update(**changes):
        return False
    vars(endpoint).update(changes)
    return True


def headers_of(delivery: Delivery, endpoint: Endpoint, now: datetime) -> dict[str, str]:
    """Return the headers of an attempt, as the Standard Webhooks specification says."""
    moment = now.astimezone(timezone.utc)  # the library takes any time zone for UTC
    signatures = (
        Webhook(secret).sign(delivery.webhook_id, moment, delivery.body) for secret in endpoint.secrets_at(now)
    )
    return {
        "Content-Type": "application/json",
        "User-Agent": f"django-paiementpro/{__version__}",
        "webhook-id": delivery.webhook_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


@dataclass(frozen=True, slots=True)
class _Job:
    """An attempt on the way."""

    delivery: Delivery
    lease: datetime


class _Run:
    """Sends what is due, lane by lane."""

    def __init__(self, which: Q, stop: threading.Event, deadline: float, news: threading.Event) -> None:
        self._which = which
        self._stop = stop
        self._deadline = deadline
        self._news = news
        self._lanes: dict[int, Iterator[Delivery]] = {}
        self._waiting: dict[Future[Answer], _Job] = {}
        self._sent: Counter[bool] = Counter()

    def __call__(self) -> Counter[bool]:
        """Return how many attempts succeeded, and how many did not."""
        self._open_lanes()
        with ThreadPoolExecutor(IN_ALL, thread_name_prefix="paiementpro-webhooks") as threads:
            while True:
                self._fill(threads)
                if not self._waiting:
                    return self._sent
                done, _pending = wait(self._waiting, ATTENTION, FIRST_COMPLETED)
                for future in done:
                    job = self._waiting.pop(future)
                    answer = _result_of(future)
                    _record(job.delivery, job.lease, answer)
                    self._sent[answer.is_success] += 1
                if self._news.is_set():
                    self._open_lanes()

    def _open_lanes(self) -> None:
        """Read which endpoints have something due."""
        self._news.clear()
        due = self._due()
        endpoints = due.order_by().values_list("endpoint", flat=True).distinct()
        self._lanes = {pk: _in_pages(due.filter(endpoint=pk)) for pk in endpoints}

    def _due(self) -> QuerySet[Delivery]:
        now = django_timezone.now()
        due = _deliveries().filter(self._which, _is_free(now), next_at__lte=now, endpoint__is_active=True)
        return due.select_related("endpoint")

    def _fill(self, threads: ThreadPoolExecutor) -> None:
        """Begin attempts, one for each lane in turn, as long as there are places."""
        busy = Counter(job.delivery.endpoint_id for job in self._waiting.values())
        lanes = list(self._lanes)
        while lanes and not self._stop.is_set() and time.monotonic() < self._deadline:
            for pk in tuple(lanes):
                if len(self._waiting) >= IN_ALL:
                    return
                delivery = next(self._lanes[pk], None) if busy[pk] < PER_ENDPOINT else None
                if delivery is None:
                    lanes.remove(pk)
                elif lease := _claim(delivery, Q(endpoint__in=_active())):
                    now = django_timezone.now()
                    self._waiting[threads.submit(_post, delivery, delivery.endpoint, now)] = _Job(delivery, lease)
                    busy[pk] += 1


def _in_pages(due: QuerySet[Delivery]) -> Iterator[Delivery]:
    """Iterate over what is due, the longest overdue first, in pages. Results change the rows meanwhile."""
    place: tuple[datetime | None, int] | None = None
    order = ("next_at", "pk")
    while page := list((due.filter(after(place, *order)) if place else due).order_by(*order)[:PAGE_SIZE]):
        place = page[-1].next_at, page[-1].pk
        yield from page


def _deliveries() -> QuerySet[Delivery]:
    return Delivery.objects.using(database())


def _active() -> QuerySet[Endpoint]:
    return Endpoint.objects.using(database()).filter(is_active=True)


def _is_free(now: datetime) -> Q:
    """Return the condition that no process is sending a delivery. A lease that is too long is a wrong clock's."""
    return Q(leased_until=None) | Q(leased_until__lte=now) | Q(leased_until__gt=now + LONGEST_LEASE)


def _claim(delivery: Delivery, condition: Q) -> datetime | None:
    """Lease a delivery that is still as it was read. Return the end of the lease, or None if it is not ours."""
    lease = django_timezone.now() + LEASE
    as_read = Q(pk=delivery.pk, status=DeliveryStatus.PENDING, next_at=delivery.next_at)
    rows = _deliveries().filter(condition, as_read, leased_until=delivery.leased_until)
    return lease if rows.update(leased_until=lease) else None


def _post(delivery: Delivery, endpoint: Endpoint, now: datetime) -> Answer:
    """Send a webhook. Threads of a run call this: it uses no database."""
    return transport.post(endpoint.url, delivery.body.encode(), headers_of(delivery, endpoint, now))


def _result_of(future: Future[Answer]) -> Answer:
    """Return the answer. A bug in one attempt must not hold up the others."""
    try:
        return future.result()
    except Exception as error:  # noqa: BLE001  logged
        log.write("deferred_work_failed", outcome=Outcome.FAILED, raised=error)
        return Answer(failure=Failure.BUG)


def _record(delivery: Delivery, lease: datetime, answer: Answer) -> None:
    """Store the result of an attempt, and when the next one is due; switch the endpoint off after the sixth failure."""
    now = django_timezone.now()
    attempt: dict[str, Any] = {
        "at": now.isoformat(),
        "status": answer.status,
        "failure": answer.failure,
        "seconds": round(answer.seconds, 3),
        "answer": answer.text,
    }
    failures = delivery.failures + (not answer.is_success)
    changes = {
        "attempts": [*delivery.attempts, attempt][-MAX_ATTEMPTS:],
        "response_status": answer.status,
        "seconds": attempt["seconds"],
        "failures": failures,
        "leased_until": None,
        **_what_follows(delivery, answer, failures, now),
    }
    is_ours = _deliveries().filter(pk=delivery.pk, leased_until=lease).update(**changes)
    vars(delivery).update(changes)
    log.write(
        "webhook_delivered" if answer.is_success else "webhook_failed",
        outcome=Outcome.ACCEPTED if answer.is_success else Outcome.FAILED,
        duration=answer.seconds,
        webhook=delivery.webhook_id,
        endpoint=delivery.endpoint_id,
        status=answer.status,
        failure=answer.failure or "",
    )
    if is_ours and failures > len(PAUSES) and not delivery.is_test:
        _switch_off(delivery.endpoint, now)


def _what_follows(delivery: Delivery, answer: Answer, failures: int, now: datetime) -> dict[str, Any]:
    if answer.is_success:
        return {"status": DeliveryStatus.DELIVERED, "next_at": None}
    is_over = delivery.is_test or failures > len(PAUSES)
    if is_over or not _active().filter(pk=delivery.endpoint_id).exists():
        return {"status": DeliveryStatus.FAILED, "next_at": None}
    return {"next_at": now + PAUSES[failures - 1]}


def _switch_off(endpoint: Endpoint, now: datetime) -> None:
    """Switch an endpoint off, and report it once."""
    rows = _active().filter(pk=endpoint.pk)
    if not rows.update(is_active=False, switched_off_at=now, report_at=now):
        return
    endpoint.end_deliveries()
    log.write("webhook_endpoint_off", outcome=Outcome.FAILED, endpoint=endpoint.pk)
    run_after_response(alerts.report_endpoints)
