"""
What leaves the site for a receipt: its mail, and the call for the tax administration's document.

Both are owed in the row of the receipt, and done after the response that issued it, under a lease, by one thread of the
process at a time: a mail server that hangs holds up neither the gateway nor more than one thread. What fails is tried
again by ``paiementpro_reconcile``, after pauses that grow.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from threading import Event, Lock
from typing import Any

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from django_paiementpro import log
from django_paiementpro.db.connections import database
from django_paiementpro.delivery.after_response import run_after_response
from django_paiementpro.enums import Outcome
from django_paiementpro.receipts import fiscal_documents, mailing
from django_paiementpro.receipts.models import Receipt

#: How many errands in a row may fail before a run leaves the rest to the next.
FAILURES_IN_A_ROW = 3


@dataclass(frozen=True)
class Errand:
    """Something to do once for each receipt that owes it."""

    name: str
    #: Does it, and returns what to store.
    perform: Callable[[Receipt], Mapping[str, Any]]
    #: How long to wait before it is tried again, after each failure.
    pauses: tuple[timedelta, ...]
    #: Whether it is given up after the last pause. Otherwise that pause is repeated.
    has_end: bool
    #: How long a process may take for it.
    lease: timedelta
    #: The condition on which it can be done, besides being due.
    is_possible: Q = field(default_factory=Q)
    #: The condition on which its result is stored: another process may have been quicker.
    is_open: Q = field(default_factory=Q)
    _waiting: deque[str] = field(default_factory=deque, repr=False)
    _lock: Any = field(default_factory=Lock, repr=False)

    def due(self) -> QuerySet[Receipt]:
        """Return the receipts that owe it now."""
        now = timezone.now()
        due_at = f"{self.name}_due_at"
        # A date further away than any pause was written by a clock that has been set back since.
        longest = max(*self.pauses, self.lease) + timedelta(minutes=1)
        is_due = Q((f"{due_at}__lte", now)) | Q((f"{due_at}__gt", now + longest))
        return Receipt.objects.using(database()).filter(is_due)

    def _ready(self, pk: str) -> Receipt | None:
        """Return a receipt if it owes it now, and it can be done."""
        receipts = self.due().filter(self.is_possible).select_related("payment", "original", "refund")
        return receipts.filter(pk=pk).first()

    def start(self, pk: str) -> None:
        """Start in this thread, unless another thread is already running: it then does this one too."""
        self._waiting.append(pk)
        while self._waiting and self._lock.acquire(blocking=False):
            try:
                while self._waiting:
                    receipt = self._ready(self._waiting.popleft())
                    if receipt is not None and self.do(receipt) is False:
                        # The others would probably fail too, and slowly: the next reconciliation tries.
                        self._waiting.clear()
            finally:
                self._lock.release()

    def do_all(self, stop: Event) -> int:
        """
        Do what is due, the longest due first. Return how much was done.

        After a few failures in a row the rest is left to the next run, which begins with the others.
        """
        count = failures = 0
        for pk in list(self.due().order_by(f"{self.name}_due_at", "pk").values_list("pk", flat=True)):
            if stop.is_set() or failures >= FAILURES_IN_A_ROW:
                break
            # Read again: the list may be minutes old.
            receipt = self._ready(pk)
            is_done = self.do(receipt) if receipt else None
            count += is_done is True
            failures = failures + 1 if is_done is False else 0
        return count

    def do(self, receipt: Receipt) -> bool | None:
        """
        Take the lease, and do it. Return False if it failed, or None if another process has the lease.

        If the process dies, it is done again once the lease has run out.
        """
        due_at, attempts = f"{self.name}_due_at", f"{self.name}_attempts"
        rows = Receipt.objects.using(database()).filter(pk=receipt.pk)
        lease = timezone.now() + self.lease
        if not rows.filter(**{due_at: getattr(receipt, due_at)}).update(**{due_at: lease, attempts: F(attempts) + 1}):
            return None
        started_at = time.monotonic()
        tried = getattr(receipt, attempts)
        try:
            changes = self.perform(receipt)
        except Exception as error:  # noqa: BLE001  mail backends and the host's issuer raise anything
            is_over = self.has_end and tried >= len(self.pauses)
            pause = self.pauses[min(tried, len(self.pauses) - 1)]
            rows.filter(**{due_at: lease}).update(**{due_at: None if is_over else timezone.now() + pause})
            log.write(
                f"receipt_{self.name}_{'given_up' if is_over else 'failed'}",
                receipt.payment,
                outcome=Outcome.FAILED,
                duration=time.monotonic() - started_at,
                raised=error,
                receipt=receipt.number,
            )
            return False
        if not rows.filter(self.is_open).update(**changes, **{due_at: None}):
            log.write(f"receipt_{self.name}_twice", receipt.payment, receipt=receipt.number)
        return True


MAIL = Errand(
    name="mail",
    perform=mailing.mail,
    pauses=(
        *(timedelta(minutes=minutes) for minutes in (5, 15)),
        *(timedelta(hours=hours) for hours in (1, 6, 24)),
    ),
    has_end=True,
    lease=timedelta(minutes=10),
)

FISCAL = Errand(
    name="fiscal",
    perform=fiscal_documents.issue,
    pauses=(
        *(timedelta(minutes=minutes) for minutes in (1, 5, 15)),
        *(timedelta(hours=hours) for hours in (1, 3)),
    ),
    has_end=False,
    lease=timedelta(minutes=15),
    # The platform has to know the payment before its refund.
    is_possible=Q(original=None) | Q(original__fiscal_due_at=None),
    is_open=Q(fiscal_reference=""),
)


def start(receipt: Receipt) -> None:
    """Do what a receipt owes, once the response to the current request has been sent."""
    for errand in (FISCAL, MAIL):
        if getattr(receipt, f"{errand.name}_due_at"):
            run_after_response(partial(errand.start, receipt.pk))


def mail_again(receipts: QuerySet[Receipt]) -> int:
    """Mail receipts whether or not they have been mailed. Return how many: those whose customer has an address."""
    found = receipts.using(database()).exclude(payment__customer_email="").select_related("payment")
    now, count = timezone.now(), 0
    for receipt in found:
        Receipt.objects.using(database()).filter(pk=receipt.pk).update(mail_due_at=now, mail_attempts=0)
        receipt.mail_due_at = now
        start(receipt)
        count += 1
    return count
