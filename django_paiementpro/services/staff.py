"""
What the shop and its staff decide about a payment, where the gateway has no say.

Each act of staff is an event with the user's name and a reason. It is done to the payment as the caller has read it:
where the payment has changed since, by a second click too, ``ValidationError`` (code ``changed``) is raised and nothing
is done. Hand over the payment that the person has seen.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_paiementpro import outbox
from django_paiementpro.enums import Kind, Outcome, Reason, SettledBy, Status
from django_paiementpro.exceptions import GatewayUnavailableError, InvalidNotification
from django_paiementpro.messages import TOO_MANY_FIELDS, Notification, stored_fields
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.services.evidence import Evidence, Judge, judge_of, look_up, success
from django_paiementpro.services.transitions import Verdict, as_read, database, outside_transactions, read_again, settle

#: The signal that tells where a payment stands.
SIGNAL_OF_STATUS = {
    Status.SUCCEEDED: "payment_succeeded",
    Status.FAILED: "payment_failed",
    Status.EXPIRED: "payment_expired",
    Status.REFUNDED: "payment_refunded",
}


def cancel_payment(payment: Payment, reason: str) -> PaymentEvent:
    """
    Give a payment up: it is not taken to the gateway again.

    A page that is open at the gateway may still be paid; such a success is one, and is flagged.
    Raises ``ValidationError`` unless the payment is created, pending or failed.
    """

    def judge(payment: Payment) -> Verdict:
        if not Status(payment.status).is_payable:
            raise ValidationError(_("This payment can no longer be cancelled."), code="not_cancellable")
        return Verdict(Outcome.ACCEPTED, message=reason, changes={"status": Status.CANCELLED})

    return settle(payment, judge, Kind.HOST)


@outside_transactions
def ask_gateway(payment: Payment, user: AbstractBaseUser, reason: str, patience: float | None = None) -> Status:
    """
    Have the gateway asked about every attempt, now; settle on proof, and return where the payment stands.

    After so many seconds of patience no further attempt is asked about.

    Raises ``GatewayUnavailableError`` where it gave no answer to rely on, and none proved the payment.
    """
    asked = Verdict(Outcome.ACCEPTED, changes={"checked_at": timezone.now()})
    _act(payment, user, "check", reason, lambda payment: asked)
    errors = look_up(payment, patience)
    read_again(payment)
    status = Status(payment.status)
    if errors and not status.is_paid:
        raise GatewayUnavailableError("no answer from the status look-up") from errors[-1]
    return status


def confirm_payment(
    payment: Payment, user: AbstractBaseUser, *, gateway_id: str, amount: int, reason: str
) -> PaymentEvent:
    """
    Settle a payment as succeeded by what a person has seen in the gateway's back office.

    ``gateway_id`` is the transaction's id there and ``amount`` its whole francs, ``reason`` says what was seen and
    where. Raises ``ValidationError`` where the payment is paid or has never been taken to the gateway
    (``not_confirmable``), the id is empty (``gateway_id_missing``), the amount is another (``amount_mismatch``), or the
    id has paid for another payment, or waits there for a review (``gateway_id_taken``).
    """
    gateway_id = gateway_id.strip()

    def judge(payment: Payment) -> Verdict:
        if not is_confirmable(payment):
            raise ValidationError(_("This payment cannot be confirmed by hand."), code="not_confirmable")
        if amount != payment.amount:
            raise ValidationError(
                _("The amount at the gateway is not that of the payment: the goods must not leave for it."),
                code="amount_mismatch",
            )
        if not gateway_id:
            raise ValidationError(_("Enter the number of the transaction."), code="gateway_id_missing")
        if other := _flagged_with(gateway_id, payment):
            raise ValidationError(
                _("This transaction belongs to the payment %(reference)s, which is to be reviewed."),
                code="gateway_id_taken",
                params={"reference": other.reference},
            )
        return success(payment, Evidence(SettledBy.STAFF, 0, "", gateway_id, payment.channel, None))

    return _act(payment, user, "confirm", reason, judge, {"gateway_id": gateway_id, "amount": amount})


def _flagged_with(gateway_id: str, payment: Payment) -> Payment | None:
    """Return another payment that waits for a review with this transaction: a second payment is that customer's."""
    flagged = Payment.objects.primary().filter(needs_review=True, review_reason__icontains=gateway_id)
    return next(
        (
            other
            for other in flagged.exclude(pk=payment.pk)
            if gateway_id.lower() in other.review_reason.lower().split()
        ),
        None,
    )


def is_confirmable(payment: Payment) -> bool:
    """Return whether money may have come for it that nobody has told us of."""
    status = Status(payment.status)
    return not status.is_paid and not (status == Status.CREATED and payment.attempt == 0)


def refund_payment(
    payment: Payment, user: AbstractBaseUser, *, amount: int, refund_reference: str, reason: str
) -> PaymentEvent:
    """
    Record a refund that was made in the gateway's back office: it has no refund API.

    ``amount`` is what was given back, in whole francs, at most what was paid. Sends ``payment_refunded``.
    Raises ``ValidationError`` unless the payment is succeeded (``not_refundable``) and the amount fits it
    (``amount_mismatch``).
    """

    def judge(payment: Payment) -> Verdict:
        if payment.status != Status.SUCCEEDED:
            raise ValidationError(_("Only a paid payment can be refunded, and only once."), code="not_refundable")
        if not 1 <= amount <= payment.amount:
            raise ValidationError(_("A refund is at most what was paid."), code="amount_mismatch")
        changes = {"status": Status.REFUNDED, "refunded_amount": amount, "refunded_at": timezone.now()}
        return Verdict(Outcome.ACCEPTED, changes=changes, signals=["payment_refunded"])

    return _act(payment, user, "refund", reason, judge, {"amount": amount, "refund_reference": refund_reference})


def review_payment(payment: Payment, user: AbstractBaseUser, reason: str) -> PaymentEvent:
    """
    Take a payment out of the review queue; the event keeps what it was there for.

    Raises ``ValidationError`` (``not_to_review``) where there is nothing to review.
    """

    def judge(payment: Payment) -> Verdict:
        if not payment.needs_review:
            raise ValidationError(_("There is nothing to review."), code="not_to_review")
        return Verdict(Outcome.ACCEPTED, changes={"needs_review": False, "review_reason": ""})

    return _act(payment, user, "review", reason, judge, {"findings": payment.review_reason.splitlines()})


def undelivered_events_of(payment: Payment) -> QuerySet[PaymentEvent]:
    """Return the payment's events that owe a signal to somebody, the oldest first."""
    return payment.events.using(database()).filter(deliver_at__isnull=False).select_related("payment")


def redeliver_signals(payment: Payment, user: AbstractBaseUser, reason: str) -> bool:
    """
    Deliver what is owed now; where nothing is, send the signal of where the payment stands to all receivers again.

    Returns False where something is owed still: a receiver has failed again, or another process is at it.
    Raises ``ValidationError`` (``nothing_to_deliver``) where there is no such signal, or nobody listens to it.
    """
    owed = list(undelivered_events_of(payment))
    signal = SIGNAL_OF_STATUS.get(Status(payment.status), "")
    if not owed and not (signal and outbox.is_heard(signal)):
        raise ValidationError(
            _("There is no signal to deliver, or no receiver is connected to it."), code="nothing_to_deliver"
        )
    verdict = Verdict(Outcome.ACCEPTED, signals=[] if owed else [signal], may_queue=False)
    event = _act(payment, user, "redeliver", reason, lambda payment: verdict)
    if not owed:
        return event.deliver_at is None
    are_delivered = [outbox.deliver(event) for event in owed]
    return all(are_delivered)


def preview_replay(event: PaymentEvent) -> Verdict:
    """Return what a received notification would change if it came today. Nothing is written."""
    return _replay_judge(event)(event.payment)


def replay_notification(event: PaymentEvent, user: AbstractBaseUser, reason: str) -> PaymentEvent:
    """
    Run a received notification through today's code and settings, and settle by it where it proves something now.

    It came through the payment's own signed URL, and has to fit the payment as any other. Sends the signals as ever.
    Raises ``ValidationError`` (``nothing_changes``) where it would change nothing.
    """
    judge_again = _replay_judge(event)

    def judge(payment: Payment) -> Verdict:
        verdict = judge_again(payment)
        if not verdict.changes:
            raise ValidationError(_("Replaying this notification would change nothing."), code="nothing_changes")
        return verdict

    data = {"replayed": event.pk, "fields": event.data}
    return _act(event.payment, user, "replay", reason, judge, data)


def _replay_judge(event: PaymentEvent) -> Judge:
    if event.kind != Kind.NOTIFICATION:
        raise ValidationError(_("Only a notification can be replayed."), code="not_replayable")
    if event.message == TOO_MANY_FIELDS:
        # Not all of it was stored: what is missing may contradict the rest.
        return judge_of(InvalidNotification(Reason.MALFORMED, TOO_MANY_FIELDS))
    try:
        return judge_of(Notification.from_fields(stored_fields(event.data)))
    except InvalidNotification as error:
        return judge_of(error)


def _act(
    payment: Payment,
    user: AbstractBaseUser,
    action: str,
    reason: str,
    judge: Callable[[Payment], Verdict],
    data: Mapping[str, Any] | None = None,
) -> PaymentEvent:
    """Store what a person has decided about the payment that they have seen, and that nobody has changed since."""
    seen = payment.updated_at

    def unchanged(payment: Payment) -> dict[str, Any]:
        return {**as_read(payment), "updated_at": seen}

    def judge_what_was_seen(payment: Payment) -> Verdict:
        if payment.updated_at != seen:
            raise ValidationError(
                _("This payment has changed since you opened the page: look at it again. Nothing was done this time."),
                code="changed",
            )
        verdict = judge(payment)
        if verdict.message:
            details["finding"] = verdict.message
        # What an act leaves as it is gets a new date all the same, which stops the second click.
        return replace(verdict, message=reason, changes={"updated_at": seen, **verdict.changes})

    details = {"action": action, "user": user.get_username(), "user_id": str(user.pk), **(data or {})}
    return settle(payment, judge_what_was_seen, Kind.STAFF, details, guard=unchanged)
