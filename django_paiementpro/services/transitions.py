"""
How a payment changes: what proves something is judged, and the verdict is stored once.

The law of this package: a transition is one short transaction, whose first statement is the conditional UPDATE of the
payment as it was read, followed by the INSERT of the event. Whoever loses the race reads again and decides again. So it
needs no lock and no SAVEPOINT, begins as a writer (which SQLite demands), and holds on every database.
"""

import functools
import random
import time
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import OperationalError, router, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_paiementpro import log, outbox, statements
from django_paiementpro.enums import Kind, Outcome, Reason, SettledBy, Status
from django_paiementpro.models import Payment, PaymentEvent

P = ParamSpec("P")
T = TypeVar("T")

MAX_REVIEW_REASON = 4000

# How long to stand back, in seconds, when the database has given up our transaction; at random, to let others pass.
CONFLICT_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.4, 0.4)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a piece of evidence means for a payment as it was read."""

    outcome: Outcome
    reason: str = ""
    message: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    signals: list[str] = field(default_factory=list)
    # False where somebody waits to see what the receivers say.
    may_queue: bool = True


def as_read(payment: Payment) -> dict[str, Any]:
    """Return the conditions that the payment's row, and all in it that decisions rest on, is as it was read."""
    return {
        "pk": payment.pk,
        "status": payment.status,
        "attempt": payment.attempt,
        "gateway_id": payment.gateway_id,
        "review_reason": payment.review_reason,
        "blanked_at": payment.blanked_at,
    }


def settle(
    payment: Payment,
    judge: Callable[[Payment], Verdict],
    kind: Kind,
    data: Any = None,
    remote_address: str = "",
    guard: Callable[[Payment], statements.Where] = as_read,
) -> PaymentEvent:
    """
    Judge the payment as read, and store the verdict if the payment is still as read; else read and judge again.

    The event joins the transition in one commit, and the signals wait with it.
    """
    while True:
        verdict = judge(payment)
        event = commit(functools.partial(store, payment, guard(payment), kind, verdict, data, remote_address))
        if event is not None:
            return event
        read_again(payment)


def store(
    payment: Payment, unchanged: statements.Where, kind: Kind, verdict: Verdict, data: Any, remote_address: str
) -> PaymentEvent | None:
    """Store the transition, if the payment is still as it was when it was judged, and the event with it."""
    if verdict.changes:
        now = timezone.now()
        changes = {**verdict.changes, "updated_at": now}
        if not statements.update(Payment, unchanged, changes):
            return None
        if changes.get("status") == Status.SUCCEEDED and changes["gateway_id"]:
            verdict = _compare_transaction(payment, verdict)
            changes = {**verdict.changes, "updated_at": now}
        payment.apply(changes)
        report = functools.partial(
            log.write,
            "payment_changed",
            copy(payment),
            outcome=verdict.outcome,
            status=str(payment.status),
            kind=str(kind),
        )
        transaction.on_commit(report, using=database())
    return insert_event(payment, kind, verdict, data, remote_address)


def _compare_transaction(payment: Payment, verdict: Verdict) -> Verdict:
    """
    See to it that what staff enter by hand pays for one payment, now that the UPDATE is done and not yet committed.

    A transaction that has paid for another is refused to staff, who raise ``ValidationError``. The gateway's own word
    stands; where staff have given its transaction to another payment before, both must be looked at.
    """
    gateway_id = verdict.changes["gateway_id"]
    paid_by_it = {
        "gateway_id__in": {gateway_id, gateway_id.upper(), gateway_id.lower()},
        "status__in": [status for status in Status if status.is_paid],
    }
    if verdict.changes["settled_by"] != SettledBy.STAFF:
        # This payment is none of staff's, now that the UPDATE is done.
        if other := statements.find(Payment, {**paid_by_it, "settled_by": SettledBy.STAFF}):
            finding = (Reason.TRANSACTION_REUSED, f"{gateway_id} {other.reference}")
            stored = copy(payment)
            vars(stored).update(verdict.changes)
            alarm = flagged(stored, verdict.outcome, finding)
            Payment.objects.primary().filter(pk=payment.pk).update(**alarm.changes)
            return replace(
                verdict,
                reason=alarm.reason,
                message="; ".join(filter(None, [verdict.message, alarm.message])),
                changes={**verdict.changes, **alarm.changes},
                signals=list(dict.fromkeys([*verdict.signals, *alarm.signals])),
            )
        return verdict
    # One after the other: of two that are confirmed at once, the second sees the first.
    kinds = ContentType.objects.using(database()).select_for_update()
    list(kinds.filter(app_label=Payment._meta.app_label, model=Payment._meta.model_name))
    if other := Payment.objects.primary().filter(**paid_by_it).exclude(pk=payment.pk).first():
        raise ValidationError(
            _("This transaction has paid for the payment %(reference)s already."),
            code="gateway_id_taken",
            params={"reference": other.reference},
        )
    return verdict


def insert_event(
    payment: Payment, kind: Kind, verdict: Verdict, data: Any = None, remote_address: str = ""
) -> PaymentEvent:
    """Insert the event. To a payment whose personal data were blanked it may bring some: then it is due once more."""
    if payment.blanked_at is not None:
        Payment.objects.primary().filter(pk=payment.pk).update(blanked_at=None)
    event = PaymentEvent(
        payment=payment,
        kind=kind,
        outcome=verdict.outcome,
        reason=verdict.reason,
        message=verdict.message,
        data=dict(data or {}),
        remote_address=remote_address[:64],
    )
    outbox.post(event, verdict.signals, may_queue=verdict.may_queue)
    return event


def flagged(payment: Payment, outcome: Outcome, *findings: tuple[Reason, str]) -> Verdict:
    """Flag the payment. What it is flagged for already is recorded, but nobody is told twice."""
    lines = describe(findings)
    known = payment.review_reason.splitlines() if payment.needs_review else []
    news = [line for line in lines if line not in known]
    verdict = Verdict(outcome, findings[0][0], "; ".join(lines))
    if news:
        verdict.changes["needs_review"] = True
        verdict.changes["review_reason"] = "\n".join([*known, *news])[:MAX_REVIEW_REASON]
        verdict.signals.append("payment_flagged")
    return verdict


def describe(findings: Iterable[tuple[Reason, str]]) -> list[str]:
    """Return a line for each finding: the reason's code, and what was found, in no language."""
    return [f"{reason}: {' '.join(detail.split())[:200]}" for reason, detail in findings]


def commit(work: Callable[[], T]) -> T:
    """
    Do the work in one transaction, and once more where the database has given it up for another's.

    It does so for deadlocks, and for conflicts where the host has chosen a stricter isolation than the default. The
    work may run several times: what it compares with is bound before, not what an earlier run has left in memory.
    """
    alias = database()
    if not transaction.get_connection(alias).in_atomic_block:
        for longest_pause in CONFLICT_PAUSES:
            try:
                with transaction.atomic(using=alias):
                    return work()
            except OperationalError:
                log.write("transaction_given_up")
            time.sleep(random.uniform(0, longest_pause))  # noqa: S311  no secret  # nosec B311
    with transaction.atomic(using=alias):
        return work()


def outside_transactions(function: Callable[P, T]) -> Callable[P, T]:
    """Refuse, with ``RuntimeError``, to run inside the caller's ``atomic()``; a TestCase's own is exempt."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        with transaction.atomic(using=database(), durable=True):
            pass
        return function(*args, **kwargs)

    return wrapper


def read_again(payment: Payment) -> None:
    """Read what is stored now: inside a caller's transaction under a lock, as a snapshot would never change."""
    rows = Payment.objects.primary()
    if transaction.get_connection(database()).in_atomic_block:
        rows = rows.select_for_update()
    payment.refresh_from_db(from_queryset=rows)


def database() -> str:
    return router.db_for_write(Payment)
