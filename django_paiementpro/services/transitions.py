"""
How a payment changes: a decision is stored once, with the event that says why.

The rule of this package: a transition is one short transaction. Its first statement is a conditional UPDATE of the
payment, which applies only if everything the decision depends on is still as it was read; the INSERT of the event
follows. A process that loses the race reads again and decides again. This needs no explicit lock and no savepoint,
begins with a write (which SQLite requires), and holds on every database.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

from django_paiementpro import log
from django_paiementpro.db import sql
from django_paiementpro.db.connections import database
from django_paiementpro.delivery import outbox
from django_paiementpro.enums import Kind, Status
from django_paiementpro.models import CUSTOMER_FIELDS, Finding, Payment, PaymentEvent, cut
from django_paiementpro.normalization import transaction_key
from django_paiementpro.phones import region_of
from django_paiementpro.services.pages import details_of_other, is_page_up_to_date
from django_paiementpro.services.rules import Decide, Decision, Fact
from django_paiementpro.services.transactions import (
    FITS,
    Fit,
    after_commit,
    as_read,
    commit,
    existing,
    next_date,
    read_again,
    unaltered,
)


def settle(payment: Payment, decide: Decide, kind: Kind, data: Any = None) -> PaymentEvent:
    """
    Decide about the payment as the database has it, and store the decision.

    If the payment changes before the decision is stored, it is read again and decided again. Raises
    ``Payment.DoesNotExist`` if it has been deleted.
    """
    while True:
        read_again(payment)
        if event := store(payment, decide(payment), kind, data):
            return event


def store(
    payment: Payment,
    decision: Decision,
    kind: Kind,
    data: Any = None,
    remote_address: str = "",
    *,
    is_exclusive: bool = False,
) -> PaymentEvent | None:
    """
    Store a decision with its event and the signals that it owes, in one commit. Signals are sent after it.

    Return None, and store nothing, if the payment is no longer as it was read. With ``is_exclusive``, any change of the
    row counts, not only to what decisions depend on. Raises ``Payment.DoesNotExist`` if it has been deleted.
    """
    decision = with_payer(payment, with_news(payment, decision))
    unchanged = as_read(payment)
    if is_exclusive or decision.facts or decision.changes.get("status") == Status.SUCCEEDED:
        # Two processes that raise the same fact at once are both right about the rest of the row; and who has paid
        # depends on the customer's details.
        unchanged["updated_at"] = payment.updated_at
    is_alone = not decision.facts and decision.then is None and is_one_statement(payment, decision.changes)
    write = partial(_write, payment, unchanged, decision, kind, data, remote_address)
    with existing(payment):
        event, changes = commit(write, is_one_statement=is_alone)
    if event is None:
        return None
    payment.apply(changes)
    if decision.changes:
        line = partial(log.write, "payment_changed", copy(payment), outcome=decision.outcome)
        after_commit(partial(line, status=str(payment.status), kind=str(kind)))
    if event.deliver_at:
        after_commit(partial(outbox.send, event, event.deliver_at, may_queue=decision.may_queue))
    return event


def _write(
    payment: Payment,
    unchanged: sql.Where,
    decision: Decision,
    kind: Kind,
    data: Any,
    remote_address: str,
    fit: Fit,
) -> tuple[PaymentEvent | None, dict[str, Any]]:
    """Write the transition and its event, if the payment is still so. The copy at hand stays as it was read."""
    decision = fitted(decision, fit)
    # A decision that changes nothing still has to be about the payment as it is: it writes what its condition demands.
    changes = _complete(payment, decision.changes) if decision.changes else {"attempt": payment.attempt}
    event = new_event(payment, kind, decision, fit(data), fit(remote_address))
    if not decision.is_conditional:
        sql.insert(event)
    elif not sql.update_and_insert(Payment, unchanged, changes, event):
        return None, changes
    if has_new_keys(payment, changes):
        payment.store_search_keys()
    expect_personal_data(payment)
    if decision.facts:
        Finding.objects.using(database()).bulk_create(
            Finding(
                payment=payment,
                reason=fact.reason,
                detail=_detail(fact, fit),
                gateway_key=transaction_key(fact.gateway_id),
                event=event,
                created_at=event.created_at,
            )
            for fact in decision.facts
        )
    if decision.then:
        decision.then(event)
    return event, changes


def fitted(decision: Decision, fit: Fit) -> Decision:
    """Return the decision with texts that the tables can hold. Transactions are still compared by their own ids."""
    if fit is unaltered:
        return decision
    changes = cut({name: fit(value) for name, value in decision.changes.items()})
    if "gateway_id" in changes:
        changes.setdefault("gateway_key", transaction_key(decision.changes["gateway_id"]))
    return replace(decision, message=fit(decision.message), changes=changes)


def _complete(payment: Payment, changes: dict[str, Any]) -> dict[str, Any]:
    """Add what follows from the changes: the key of a transaction, and the date."""
    changes = {**changes, "updated_at": next_date(payment)}
    if "gateway_id" in changes:
        changes.setdefault("gateway_key", transaction_key(changes["gateway_id"]))
    return changes


def is_one_statement(payment: Payment, changes: Mapping[str, Any]) -> bool:
    """Return whether one SQL statement can store the changes and an event, and nothing else is to be stored."""
    is_all = payment.blanked_at is None and not has_new_keys(payment, changes)
    return is_all and sql.is_one_statement(PaymentEvent, database())


def has_new_keys(payment: Payment, changes: Mapping[str, Any]) -> bool:
    """Return whether the changes give the payment other search keys: other details, or a phone number's country."""
    if not CUSTOMER_FIELDS.isdisjoint(changes):
        return True
    channels = [changes.get(name, getattr(payment, name)) for name in ("channel", "gateway_channel")]
    return region_of(*channels) != payment.phone_region


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
        Payment.objects.using(database()).filter(pk=payment.pk).update(blanked_at=None)


def with_news(payment: Payment, decision: Decision) -> Decision:
    """Leave out the facts that are already open: staff need not be asked twice."""
    if not decision.facts:
        return decision
    known = set()
    if payment.needs_review:
        open_findings = payment.findings.using(database()).filter(reviewed_at=None)
        known = set(open_findings.values_list("reason", "detail"))
    news = tuple(fact for fact in decision.facts if not known.intersection(_forms_of(fact)))
    if not news:
        return replace(decision, facts=())
    return replace(
        decision,
        facts=news,
        changes={**decision.changes, "needs_review": True},
        signals=[*(signal for signal in decision.signals if signal != "payment_flagged"), "payment_flagged"],
    )


def with_payer(payment: Payment, decision: Decision) -> Decision:
    """
    Give a payment that is now paid the details of the customer whose page was paid.

    Someone else may have filled in the form since, or have opened a page of their own. A payment of a signed-in user
    keeps its details: it was not shared by a link.
    """
    attempt = decision.changes.get("settled_attempt")
    if decision.changes.get("status") != Status.SUCCEEDED or attempt is None or payment.user_id is not None:
        return decision
    if attempt == payment.attempt and is_page_up_to_date(payment):
        return decision
    details = details_of_other(payment, attempt)
    return replace(decision, changes={**decision.changes, **details}) if details else decision


def _forms_of(fact: Fact) -> set[tuple[str, str]]:
    """Return the forms in which a fact may be stored: a host's message may have characters that the table lacks."""
    return {(str(fact.reason), _detail(fact, fit)) for fit in (unaltered, *FITS)}


def _detail(fact: Fact, fit: Fit) -> str:
    detail: str = fit(fact.detail)
    return detail[: Finding._meta.get_field("detail").max_length]
