"""
What the shop and its staff decide about a payment, without the gateway.

Each staff action is an event with the user's name and a reason. It applies to the payment as that person saw it: if it
has changed since, for instance through a second click, ``ValidationError`` (code ``changed``) is raised and nothing is
done. Pass the payment that was on the page.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_paiementpro.db.connections import database
from django_paiementpro.delivery import outbox
from django_paiementpro.enums import Kind, Outcome, Reason, RefundKind, SettledBy, Status
from django_paiementpro.exceptions import GatewayUnavailableError, InvalidNotification
from django_paiementpro.gateway.messages import TOO_MANY_FIELDS, Notification, stored_fields
from django_paiementpro.gateway.text import clean
from django_paiementpro.models import Finding, Payment, PaymentEvent, Refund
from django_paiementpro.normalization import transaction_key
from django_paiementpro.services.notifications import confirmed_by_staff, verify
from django_paiementpro.services.rules import (
    Decide,
    Decision,
    Evidence,
    Fact,
    decide_on_notification,
    flagged,
    success,
)
from django_paiementpro.services.status import ask, look_up_place, receive_replies
from django_paiementpro.services.transactions import outside_transactions, read_again
from django_paiementpro.services.transitions import settle, store, with_news

#: The signal of each status.
SIGNAL_OF_STATUS = {
    Status.SUCCEEDED: "payment_succeeded",
    Status.FAILED: "payment_failed",
    Status.EXPIRED: "payment_expired",
    Status.CANCELLED: "payment_cancelled",
    Status.REFUNDED: "payment_refunded",
}


def cancel_payment(payment: Payment, reason: str) -> PaymentEvent:
    """
    Cancel a payment: it is not taken to the gateway again. Sends ``payment_cancelled``.

    A page that is open at the gateway may still be paid; such a payment is recorded as a success, and flagged. Raises
    ``ValidationError`` (``not_cancellable``) unless the payment is created, pending or failed.
    """

    def decide(payment: Payment) -> Decision:
        if not Status(payment.status).is_payable:
            raise ValidationError(_("This payment can no longer be cancelled."), code="not_cancellable")
        changes = {"status": Status.CANCELLED}
        return Decision(Outcome.ACCEPTED, message=reason, changes=changes, signals=["payment_cancelled"])

    return settle(payment, decide, Kind.HOST)


def flag_payment(payment: Payment, message: str) -> PaymentEvent:
    """
    Ask staff to look at a payment: it gets a finding (reason ``host``), and ``payment_flagged`` is sent.

    For what only your shop knows, such as goods that are gone when late money arrives. The event has the whole message,
    the finding its first 200 characters. A message whose finding is still open is not raised again.
    """
    message = clean(message)
    fact = Fact(Reason.HOST, " ".join(message.split())[:200])
    decision = Decision(Outcome.CONFLICT, fact.reason, message, facts=(fact,))
    return settle(payment, lambda payment: decision, Kind.HOST)


@outside_transactions
def ask_gateway(payment: Payment, user: AbstractBaseUser, reason: str, patience: float = math.inf) -> Status:
    """
    Ask the gateway about every attempt, settle the payment if an answer proves it, and return its status.

    After ``patience`` seconds, no further attempts are looked up. Raises ``GatewayUnavailableError`` if the gateway
    gave no usable answer about an attempt, and none of its answers proved the payment; also if enough threads of this
    process are waiting for it already, in which case nothing is stored.
    """
    with look_up_place() as is_free:
        if not is_free:
            raise GatewayUnavailableError("enough threads are waiting for the status look-up")
        asked = Decision(Outcome.ACCEPTED, changes={"checked_at": timezone.now()})
        _act(payment, user, "check", reason, lambda payment: asked)
        started_at = time.monotonic()
        replies = list(ask(payment, patience))
    # The place is free again: a receiver must not keep it.
    errors = receive_replies(payment, replies, started_at)
    read_again(payment)
    status = Status(payment.status)
    if errors and not status.is_paid:
        raise GatewayUnavailableError("no answer from the status look-up") from errors[-1]
    return status


def confirm_payment(
    payment: Payment, user: AbstractBaseUser, *, gateway_id: str, amount: int, reason: str
) -> PaymentEvent:
    """
    Settle a payment as succeeded, based on what a person has seen in the gateway's back office.

    ``gateway_id`` is the transaction's id there and ``amount`` its amount in whole francs, ``reason`` says what was
    seen and where. Raises ``ValidationError`` if the payment is paid or has never been taken to the gateway
    (``not_confirmable``), the id is empty (``gateway_id_missing``) or contains non-Latin letters
    (``gateway_id_invalid``), the amount differs (``amount_mismatch``), or the transaction has paid another payment or
    belongs to an open finding of another payment (``gateway_id_taken``).
    """
    return confirm(payment, user, gateway_id=gateway_id, amount=amount, reason=reason)


def confirm(
    payment: Payment,
    user: AbstractBaseUser,
    *,
    gateway_id: str,
    amount: int,
    reason: str,
    attempt: int = 0,
    proof: Mapping[str, Any] | None = None,
    keep_proof: Callable[[PaymentEvent], object] | None = None,
) -> PaymentEvent:
    """
    Settle a payment as ``confirm_payment`` does, and store the proof, if there is one, with the event.

    ``attempt`` is the one that the proof names, 0 if that is unknown. ``keep_proof`` is called with the event inside
    the database transaction.
    """
    gateway_id = gateway_id.strip()
    key = transaction_key(gateway_id)

    def decide(payment: Payment) -> Decision:
        if not is_confirmable(payment):
            raise ValidationError(_("This payment cannot be confirmed manually."), code="not_confirmable")
        if amount != payment.amount:
            raise ValidationError(
                _("The amount at the gateway does not match this payment: do not deliver."),
                code="amount_mismatch",
            )
        if not key:
            raise ValidationError(_("Enter the transaction id."), code="gateway_id_missing")
        if not key.isalnum():
            # Letters of other alphabets, escaped in the key, may look like those of an id that has paid already.
            raise ValidationError(_("A transaction id has Latin letters and digits only."), code="gateway_id_invalid")
        decision = success(payment, Evidence(SettledBy.STAFF, attempt, "", gateway_id, payment.channel))
        return replace(decision, then=check_and_keep)

    def check_and_keep(event: PaymentEvent) -> None:
        _require_unused(key, event)
        if keep_proof:
            keep_proof(event)

    data = {"gateway_id": gateway_id, "amount": amount, **(proof or {})}
    event = _act(payment, user, "confirm", reason, decide, data)
    flag_reused_transaction(payment)
    return event


def flag_reused_transaction(confirmed: Payment) -> None:
    """
    Flag payments settled with a transaction that staff used to confirm another payment.

    ``confirm_payment`` refuses a transaction that has paid, and a notification looks for a confirmation. Where both
    happen at the same moment, neither sees the other until it is committed: so this runs after the commit, and again at
    reconciliation.
    """
    paid = [status for status in Status if status.is_paid]
    others = Payment.objects.using(database()).filter(gateway_key=confirmed.gateway_key, status__in=paid)
    others = others.exclude(pk=confirmed.pk).exclude(findings__reason=Reason.TRANSACTION_REUSED)
    for other in others if confirmed.gateway_key else ():
        detail = f"{other.gateway_id} {confirmed.reference}"
        fact = Fact.of(Reason.TRANSACTION_REUSED, detail, other.gateway_id)
        settle(other, partial(_flag, fact), Kind.HOST)


def _flag(fact: Fact, payment: Payment) -> Decision:
    return flagged(Outcome.CONFLICT, fact)


def recently_confirmed(since: datetime) -> QuerySet[Payment]:
    """Return the payments that staff have confirmed since then."""
    return Payment.objects.using(database()).filter(settled_by=SettledBy.STAFF, settled_at__gte=since)


def _require_unused(key: str, event: PaymentEvent) -> None:
    """
    Raise ``ValidationError`` (``gateway_id_taken``) if a transaction belongs to another payment.

    It runs inside the database transaction that confirms the payment. Neither a constraint nor a row of its own
    protects a transaction id, since the gateway may report one twice. The row of Payment's content type therefore
    serves as a mutex for confirmations, which are rare: the second of two at once waits, and then sees the first.
    """
    kinds = ContentType.objects.using(database()).select_for_update()
    list(kinds.filter(app_label=Payment._meta.app_label, model=Payment._meta.model_name))
    others = Payment.objects.using(database()).exclude(pk=event.payment_id)
    paid = [status for status in Status if status.is_paid]
    if other := others.filter(gateway_key=key, status__in=paid).first():
        raise ValidationError(
            _("This transaction has already paid payment %(reference)s."),
            code="gateway_id_taken",
            params={"reference": other.reference},
        )
    # A second payment of the same order is that customer's money.
    findings = Finding.objects.using(database()).filter(gateway_key=key, reviewed_at=None)
    if finding := findings.exclude(payment=event.payment_id).select_related("payment").first():
        raise ValidationError(
            _("This transaction belongs to payment %(reference)s, which needs a review."),
            code="gateway_id_taken",
            params={"reference": finding.payment.reference},
        )


def is_confirmable(payment: Payment) -> bool:
    """Return whether money may have arrived for it without a notification."""
    status = Status(payment.status)
    return not status.is_paid and not (status == Status.CREATED and payment.attempt == 0)


def refund_payment(
    payment: Payment,
    user: AbstractBaseUser,
    *,
    amount: int,
    reason: str,
    reference: str = "",
    kind: str = RefundKind.REFUND,
    fee: int = 0,
    refunded_on: date | None = None,
) -> PaymentEvent:
    """
    Record a refund or a chargeback: of the whole payment or of a part, until nothing is left.

    A refund is made in the gateway's back office, which has no API for it; a chargeback by the customer's bank.
    ``amount`` and ``fee`` are whole francs, ``reference`` is the refund's id there, ``refunded_on`` the day the money
    was returned (today by default). Sends ``payment_refunded``; once everything has been returned, the payment is
    ``refunded``. Raises ``ValidationError`` if the payment is not paid or nothing is left (``not_refundable``), the
    amount is not between 1 and what is left (``amount_mismatch``), a refund has a fee, the fee is negative, the kind is
    unknown, or the day is before the payment or in the future (``invalid``).
    """
    day = refunded_on or timezone.localdate()
    refund = Refund(
        amount=amount, fee=fee, kind=kind, reference=reference, reason=reason, refunded_on=day, user_id=user.pk
    )

    def decide(payment: Payment) -> Decision:
        left = payment.amount - payment.refunded_amount
        if payment.status != Status.SUCCEEDED or not left:
            raise ValidationError(_("Only a paid payment can be refunded."), code="not_refundable")
        if not 1 <= amount <= left:
            raise ValidationError(
                _("A refund cannot exceed what is left of the payment: %(amount)s francs."),
                code="amount_mismatch",
                params={"amount": left},
            )
        try:
            refund.clean_fields(exclude={"payment", "event", "user"})
        except ValidationError as error:
            raise ValidationError(" ".join(error.messages), code="invalid") from error
        if fee and kind != RefundKind.CHARGEBACK:
            raise ValidationError(_("Only a chargeback has a fee."), code="invalid")
        if not timezone.localdate(payment.created_at) <= day <= timezone.localdate():
            raise ValidationError(_("The date must be between the payment and today."), code="invalid")
        changes: dict[str, Any] = {"refunded_amount": payment.refunded_amount + amount}
        if amount == left:
            changes["status"] = Status.REFUNDED
        return Decision(Outcome.ACCEPTED, changes=changes, signals=["payment_refunded"], then=store_refund)

    def store_refund(event: PaymentEvent) -> None:
        refund.pk, refund.payment, refund.event = None, event.payment, event
        refund.reason = event.message  # as its table can hold it
        refund.save(using=database(), force_insert=True)

    data = {"amount": amount, "refund_reference": reference, "kind": str(kind), "refunded_on": day.isoformat()}
    return _act(payment, user, "refund", reason, decide, data | ({"fee": fee} if fee else {}))


def review_payment(payment: Payment, user: AbstractBaseUser, note: str, finding: Finding | None = None) -> PaymentEvent:
    """
    Close a finding, or all open ones. Without open findings the payment leaves the review queue.

    ``note`` says what was found and done; it is stored with the findings and the event. If the same fact occurs again,
    it is raised again. Raises ``ValidationError`` (``not_to_review``) if there is nothing to close.
    """
    findings = Finding.objects.using(database()).filter(payment=payment.pk, reviewed_at=None)
    details: dict[str, Any] = {}

    def decide(payment: Payment) -> Decision:
        reviewed = [each for each in findings.all() if finding is None or each.pk == finding.pk]
        if not reviewed and (finding or not payment.needs_review):
            raise ValidationError(_("There is nothing to review."), code="not_to_review")
        details["findings"] = [str(each) for each in reviewed]
        pks = [each.pk for each in reviewed]
        are_left = findings.exclude(pk__in=pks).exists()
        return Decision(Outcome.ACCEPTED, changes={"needs_review": are_left}, then=partial(close, pks))

    def close(pks: list[int], event: PaymentEvent) -> None:
        findings.filter(pk__in=pks).update(reviewed_at=event.created_at, reviewed_by=user.pk, note=event.message)

    return _act(payment, user, "review", note, decide, details)


def count_payments_to_review() -> int:
    """Return how many payments have open findings."""
    findings = Finding.objects.using(database()).filter(reviewed_at=None)
    return int(findings.aggregate(count=Count("payment", distinct=True))["count"])


def undelivered_events_of(payment: Payment) -> QuerySet[PaymentEvent]:
    """Return the payment's events that still owe a signal to a receiver, oldest first."""
    return payment.events.using(database()).filter(deliver_at__isnull=False).select_related("payment")


def redeliver_signals(payment: Payment, user: AbstractBaseUser, reason: str) -> bool:
    """
    Deliver the signals that are still undelivered. If there are none, send that of the current status to all again.

    Returns False if signals are still undelivered: a receiver has failed again, or another process is delivering them.
    Raises ``ValidationError`` (``nothing_to_deliver``) if the status has no signal, or the signal has no receivers.
    """
    owed = list(undelivered_events_of(payment))
    signal = SIGNAL_OF_STATUS.get(Status(payment.status), "")
    if not owed and not (signal and outbox.is_heard(signal)):
        raise ValidationError(
            _("There is no signal to send, or no receiver is connected to it."), code="nothing_to_deliver"
        )
    # Each refund has an event of its own, which its receivers expect.
    refunds = payment.events.using(database()).filter(refunds__isnull=False).select_related("payment")
    again = list(refunds) if signal == "payment_refunded" and not owed else []
    decision = Decision(Outcome.ACCEPTED, signals=[] if owed or again else [signal], may_queue=False)
    event = _act(payment, user, "redeliver", reason, lambda payment: decision)
    for refund in again:
        outbox.owe_again(refund, [signal])
    if not owed and not again:
        return event.deliver_at is None
    are_delivered = [outbox.deliver(event) for event in [*owed, *again]]
    return all(are_delivered)


def missing_receivers_of(payment: Payment) -> list[str]:
    """Return ``signal receiver`` for each receiver that is still owed and that this process does not know, once."""
    return list(dict.fromkeys(str(owed) for _event, missing in _missing_of(payment) for owed in missing))


def discard_signals(payment: Payment, user: AbstractBaseUser, reason: str) -> PaymentEvent:
    """
    Give up delivery to receivers that this process does not know, such as those that were renamed or removed.

    Signals owed to receivers that are connected here are kept. The event names the receivers given up
    (``data["receivers"]``). Raises ``ValidationError`` (``nothing_to_discard``) if there are none, or if another
    process is delivering.
    """
    found = _missing_of(payment)
    if not found:
        raise ValidationError(_("No signal is waiting for a missing receiver."), code="nothing_to_discard")

    def discard(_event: PaymentEvent) -> None:
        if not all(outbox.discard_missing(event) for event, _missing in found):
            raise _changed()

    receivers = [str(owed) for _event, missing in found for owed in missing]
    decision = Decision(Outcome.ACCEPTED, then=discard)
    return _act(payment, user, "discard", reason, lambda payment: decision, {"receivers": receivers})


def _missing_of(payment: Payment) -> list[tuple[PaymentEvent, list[outbox.Owed]]]:
    """Return the payment's events that no process is delivering, with what they owe to receivers unknown here."""
    found = [(event, outbox.missing(event)) for event in undelivered_events_of(payment) if outbox.is_due(event)]
    return [(event, missing) for event, missing in found if missing]


def preview_replay(event: PaymentEvent) -> Decision:
    """Return what a received notification would change if it arrived now. Nothing is written."""
    return _decide_again(event.payment, _notification_of(event))


def replay_notification(event: PaymentEvent, user: AbstractBaseUser, reason: str) -> PaymentEvent:
    """
    Process a received notification again with the current code and settings, and settle the payment if it proves it.

    It came through the payment's own signed URL, and must match the payment like any other. Sends the signals as usual.
    Raises ``ValidationError`` (``nothing_changes``) if it would change nothing.
    """
    notification = _notification_of(event)

    def decide(payment: Payment) -> Decision:
        decision = _decide_again(payment, notification)
        if not decision.changes:
            raise ValidationError(_("Replaying this notification would change nothing."), code="nothing_changes")
        return decision

    data = {"replayed": event.pk, "fields": event.data}
    return _act(event.payment, user, "replay", reason, decide, data)


def _notification_of(event: PaymentEvent) -> Notification | InvalidNotification:
    if event.kind != Kind.NOTIFICATION:
        raise ValidationError(_("Only a notification can be replayed."), code="not_replayable")
    if event.message == TOO_MANY_FIELDS:
        # Not all of it was stored: what is missing may contradict the rest.
        return InvalidNotification(Reason.MALFORMED, TOO_MANY_FIELDS)
    try:
        return Notification.from_fields(stored_fields(event.fields))
    except InvalidNotification as error:
        return error


def _decide_again(payment: Payment, notification: Notification | InvalidNotification) -> Decision:
    key = transaction_key(notification.gateway_id) if isinstance(notification, Notification) else ""
    other = confirmed_by_staff(payment, key)
    decision = decide_on_notification(payment, notification, is_authentic=verify(notification), confirmed_other=other)
    return with_news(payment, decision)


def _act(
    payment: Payment,
    user: AbstractBaseUser,
    action: str,
    reason: str,
    decide: Decide,
    data: Mapping[str, Any] | None = None,
) -> PaymentEvent:
    """Store what a person has decided about the payment that they have seen, unless it has changed since."""
    seen = payment.updated_at
    details = {"action": action, "user": user.get_username(), "user_id": str(user.pk), **(data or {})}
    while True:
        read_again(payment)
        # It may be older than what was seen, if that was rolled back.
        if payment.updated_at > seen:
            raise _changed()
        decision = decide(payment)
        if decision.message:
            details["finding"] = decision.message
        details.update(data or {})
        # Even an action that changes nothing else gives the payment a new date, which stops the second click.
        decision = replace(decision, message=reason, changes={"updated_at": seen, **decision.changes})
        if event := store(payment, decision, Kind.STAFF, details, is_exclusive=True):
            return event


def _changed() -> ValidationError:
    return ValidationError(
        _("This payment has changed since you opened the page. Nothing was done; please check it again."),
        code="changed",
    )
