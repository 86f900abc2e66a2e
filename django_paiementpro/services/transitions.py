"""
How a payment changes: a decision is stored once, with the event that says why.

The rule of this package: a transition is one short transaction. Its first statement is a conditional UPDATE of the
payment, which applies only if everything the decision depends on is still as it was read; the INSERT of the event
follows. A process that loses the race reads again and decides again. This needs no explicit lock and no savepoint,
begins with a write (which SQLite requires), and holds on every database.
"""

import functools
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ParamSpec, TypeVar

from django.db import DataError, IntegrityError, OperationalError, router, transaction
from django.utils import timezone

from django_paiementpro import log
from django_paiementpro.db import sql
from django_paiementpro.db.connections import close_lost_connections
from django_paiementpro.delivery import outbox
from django_paiementpro.enums import Kind, Outcome, Reason
from django_paiementpro.gateway.text import escape
from django_paiementpro.models import Finding, Payment, PaymentEvent, cut
from django_paiementpro.normalization import transaction_key
from django_paiementpro.phones import region_of

#: Leaves a text, or JSON of texts, as it is, or escapes the characters that the tables cannot hold.
Fit = Callable[[Any], Any]

P = ParamSpec("P")
T = TypeVar("T")

# How long to wait, in seconds, when the database has aborted our transaction; at random, to let others pass.
CONFLICT_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.4, 0.4)

# The errors by which MySQL and MariaDB refuse a character: mixed collations, an invalid text, an incorrect value, or an
# impossible conversion.
CHARACTER_ERRORS = frozenset({1267, 1300, 1366, 3988})

# The smallest step of a clock that all databases can store.
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that staff must review. The detail holds figures and ids, in ASCII, so that any table can store it."""

    reason: Reason
    detail: str = ""
    #: The gateway's id of the transaction concerned.
    gateway_id: str = ""

    @classmethod
    def of(cls, reason: Reason, detail: str, gateway_id: str = "") -> "Fact":
        """Return a fact with its detail in ASCII, on one line, without semicolons, and cut to its column."""
        line = " ".join(detail.replace(";", ",").split()).encode("ascii", "backslashreplace").decode()
        return cls(reason, line[:200], gateway_id)

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What an event means for a payment as it was read."""

    outcome: Outcome
    reason: str = ""
    message: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    signals: list[str] = field(default_factory=list)
    #: What staff must review; what is already open is not raised again.
    facts: tuple[Fact, ...] = ()
    #: Runs in the same transaction, once the event is stored.
    then: Callable[[PaymentEvent], None] | None = None
    #: False if the decision does not depend on the payment.
    is_conditional: bool = True
    #: False if the caller waits to see what the receivers return.
    may_queue: bool = True

    def fitted(self, fit: Fit) -> "Decision":
        """Return the decision with texts that the tables can hold. Transactions are still compared by their own ids."""
        if fit is unaltered:
            return self
        changes = cut({name: fit(value) for name, value in self.changes.items()})
        if "gateway_id" in changes:
            changes.setdefault("gateway_key", transaction_key(self.changes["gateway_id"]))
        return replace(self, message=fit(self.message), changes=changes)


Decide = Callable[[Payment], Decision]


def as_read(payment: Payment) -> dict[str, Any]:
    """Return the conditions that everything in the payment's row that decisions depend on is as it was read."""
    return {
        "pk": payment.pk,
        "status": payment.status,
        "attempt": payment.attempt,
        "opened_attempt": payment.opened_attempt,
        "settled_attempt": payment.settled_attempt,
        "leased_until": payment.leased_until,
        "amount": payment.amount,
        "currency": payment.currency,
        "merchant_id": payment.merchant_id,
        "gateway_id": payment.gateway_id,
        "refunded_amount": payment.refunded_amount,
        "needs_review": payment.needs_review,
        "blanked_at": payment.blanked_at,
    }


def settle(
    payment: Payment,
    decide: Decide,
    kind: Kind,
    data: Any = None,
    remote_address: str = "",
    *,
    is_current: bool = False,
    is_exclusive: bool = False,
) -> PaymentEvent:
    """
    Decide about the payment as the database has it, and store the decision.

    The copy at hand may be stale, or reflect a transaction that was rolled back: it is read again first, unless the
    caller has just done so (``is_current``). If the payment changes before the decision is stored, it is read again and
    decided again. The transition, its event and the signals owed are one commit. Raises ``Payment.DoesNotExist`` if it
    has been deleted.

    With ``is_exclusive``, any change of the row in between counts, not only to what decisions depend on.
    """
    if not is_current:
        read_again(payment)
    while True:
        decision = with_news(payment, decide(payment))
        unchanged = as_read(payment)
        if is_exclusive or decision.facts:
            # Two processes that raise the same fact at once are both right about the rest of the row.
            unchanged["updated_at"] = payment.updated_at
        event = _commit_decision(payment, unchanged, kind, decision, data, remote_address)
        if event is not None:
            return event
        read_again(payment)


def _commit_decision(
    payment: Payment,
    unchanged: sql.Where,
    kind: Kind,
    decision: Decision,
    data: Any,
    remote_address: str,
) -> PaymentEvent | None:
    """Store the decision in one commit. After a rollback the copy at hand is as it was before."""
    before = {**vars(payment)}
    is_alone = not decision.facts and decision.then is None

    def work(fit: Fit) -> PaymentEvent | None:
        vars(payment).update(before)
        return store(payment, unchanged, kind, decision.fitted(fit), fit(data), fit(remote_address))

    try:
        with existing(payment):
            return commit_texts(work, is_atomic=is_alone and is_one_statement(payment, decision.changes))
    except BaseException:
        vars(payment).update(before)
        raise


def is_one_statement(payment: Payment, changes: Mapping[str, Any]) -> bool:
    """Return whether the database takes the changes and an event in one statement, with nothing to do besides."""
    channels = [changes.get(name, getattr(payment, name)) for name in ("channel", "gateway_channel")]
    is_same_region = region_of(*channels) == payment.phone_region
    return is_same_region and payment.blanked_at is None and sql.is_one_statement(PaymentEvent, database())


@contextmanager
def existing(payment: Payment) -> Iterator[None]:
    """Raise ``Payment.DoesNotExist`` if an event could not be stored because its payment has been deleted."""
    try:
        yield
    except IntegrityError:
        if not transaction.get_connection(database()).in_atomic_block:
            read_again(payment)
        raise


def store(
    payment: Payment,
    unchanged: sql.Where,
    kind: Kind,
    decision: Decision,
    data: Any = None,
    remote_address: str = "",
) -> PaymentEvent | None:
    """Store the transition and its event, if the payment is still as it was when the decision was made."""
    # A decision that changes nothing still has to be about the payment as it is: it writes what its condition demands.
    changes = _complete(payment, decision.changes) if decision.changes else {"attempt": payment.attempt}
    event = new_event(payment, kind, decision, data, remote_address)
    if not decision.is_conditional:
        sql.insert(event)
    elif not sql.update_and_insert(Payment, unchanged, changes, event):
        return None
    if decision.changes:
        region = payment.phone_region
        payment.apply(changes)
        if payment.phone_region != region:
            payment.store_search_keys()
        report = partial(
            log.write,
            "payment_changed",
            copy(payment),
            outcome=decision.outcome,
            status=str(payment.status),
            kind=str(kind),
        )
        transaction.on_commit(report, using=database())
    expect_personal_data(payment)
    outbox.send_on_commit(event, may_queue=decision.may_queue)
    if decision.facts:
        Finding.objects.using(database()).bulk_create(
            Finding(
                payment=payment,
                reason=fact.reason,
                detail=fact.detail,
                gateway_key=transaction_key(fact.gateway_id),
                event=event,
                created_at=event.created_at,
            )
            for fact in decision.facts
        )
    if decision.then:
        decision.then(event)
    return event


def _complete(payment: Payment, changes: dict[str, Any]) -> dict[str, Any]:
    """Add what follows from the changes: the key of a transaction, and the date."""
    changes = {**changes, "updated_at": next_date(payment)}
    if "gateway_id" in changes:
        changes.setdefault("gateway_key", transaction_key(changes["gateway_id"]))
    return changes


def next_date(payment: Payment) -> datetime:
    """Return the date of a change: now, but always after the last one, whatever the clocks of the servers say."""
    return max(timezone.now(), payment.updated_at + TICK)


def insert_event(payment: Payment, kind: Kind, decision: Decision, data: Any = None) -> None:
    """Insert an event that owes no signals, inside the caller's transaction."""
    sql.insert(new_event(payment, kind, decision, data))
    expect_personal_data(payment)


def new_event(
    payment: Payment, kind: Kind, decision: Decision, data: Any = None, remote_address: str = ""
) -> PaymentEvent:
    """Return the event of a decision, which owes the signals of the decision."""
    event = PaymentEvent(
        payment=payment,
        kind=kind,
        outcome=decision.outcome,
        reason=decision.reason,
        message=decision.message,
        data=dict(data or {}),
        remote_address=remote_address[:64],
    )
    outbox.owe(event, decision.signals)
    return event


def expect_personal_data(payment: Payment) -> None:
    """Make a payment whose personal data were erased due for erasure again: an event may bring some."""
    if payment.blanked_at is not None:
        Payment.objects.primary().filter(pk=payment.pk).update(blanked_at=None)


def flagged(outcome: Outcome, *facts: Fact) -> Decision:
    """Return the decision to ask a person to look at the payment, and to change nothing else."""
    return Decision(outcome, facts[0].reason, describe(*facts), facts=facts)


def describe(*facts: Fact) -> str:
    """Return facts in one line for the audit trail: codes and figures, in no language."""
    return "; ".join(map(str, facts))


def with_news(payment: Payment, decision: Decision) -> Decision:
    """Leave out the facts that are already open: staff need not be asked twice."""
    if not decision.facts:
        return decision
    known = set()
    if payment.needs_review:
        open_findings = payment.findings.using(database()).filter(reviewed_at=None)
        known = set(open_findings.values_list("reason", "detail"))
    news = tuple(fact for fact in decision.facts if (str(fact.reason), fact.detail) not in known)
    if not news:
        return replace(decision, facts=())
    return replace(
        decision,
        facts=news,
        changes={**decision.changes, "needs_review": True},
        signals=[*(signal for signal in decision.signals if signal != "payment_flagged"), "payment_flagged"],
    )


def commit(work: Callable[[], T], *, is_atomic: bool = False) -> T:
    """
    Do the work in one transaction, and retry it if the database has aborted it in favour of another.

    Databases do so for deadlocks, and for conflicts if the host has chosen a stricter isolation level than the default.
    The work may run several times: what it compares with is bound beforehand, not what an earlier run left in memory.

    Work that is a single statement (``is_atomic``) is a transaction of its own, which saves two round trips.
    """
    alias = database()
    if not transaction.get_connection(alias).in_atomic_block:
        is_atomic = is_atomic and transaction.get_autocommit(alias)
        for longest_pause in CONFLICT_PAUSES:
            try:
                with nullcontext() if is_atomic else transaction.atomic(using=alias):
                    return work()
            except OperationalError as error:
                if _is_about_characters(error):
                    raise
                # Without atomic() a connection that was lost would be used again.
                close_lost_connections()
                log.write("transaction_given_up")
            time.sleep(random.uniform(0, longest_pause))  # noqa: S311  no secret  # nosec B311
    with transaction.atomic(using=alias):
        return work()


def commit_texts(work: Callable[[Fit], T], *, is_atomic: bool = False) -> T:
    """
    Commit work that stores text from outside. If the tables cannot hold a character, commit it with text that they can.

    Tables that are not utf8mb4, and databases of another encoding, refuse an emoji or a letter of another alphabet.
    """
    for fit in (unaltered, partial(escape, encoding="latin-1")):
        try:
            return commit(partial(work, fit), is_atomic=is_atomic)
        except (DataError, OperationalError, UnicodeEncodeError) as error:
            if not _is_about_characters(error) or transaction.get_connection(database()).in_atomic_block:
                raise
    return commit(partial(work, partial(escape, encoding="ascii")), is_atomic=is_atomic)


def unaltered(value: Any) -> Any:
    return value


def _is_about_characters(error: Exception) -> bool:
    return not isinstance(error, OperationalError) or (error.args[:1] or (None,))[0] in CHARACTER_ERRORS


def outside_transactions(function: Callable[P, T]) -> Callable[P, T]:
    """Refuse, with ``RuntimeError``, to run inside the caller's ``atomic()``; a TestCase's own is exempt."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        with transaction.atomic(using=database(), durable=True):
            pass
        return function(*args, **kwargs)

    return wrapper


def read_again(payment: Payment) -> None:
    """Read what is stored now: inside a caller's transaction under a lock, since a snapshot would never change."""
    # By its reference too: SQLite gives the key of an insert that was rolled back to the next payment.
    rows = Payment.objects.primary().filter(reference=payment.reference)
    if transaction.get_connection(database()).in_atomic_block:
        rows = rows.select_for_update()
    payment.refresh_from_db(from_queryset=rows)


def database() -> str:
    """Return the alias of the database that payments are written to."""
    return router.db_for_write(Payment)
