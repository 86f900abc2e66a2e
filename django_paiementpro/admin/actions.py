"""
What staff may do to a payment: each with its own permission, a page that asks for a reason, and never twice.

The page carries the date of the payment as it was shown; a payment that has changed since, by a second click too, is
left as it is. Each act is an event with the user's name (``services``).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminIntegerFieldWidget, AdminTextareaWidget, AdminTextInputWidget
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db.models import BigIntegerField
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_paiementpro import services
from django_paiementpro.admin import wording
from django_paiementpro.admin.columns import open_findings_of
from django_paiementpro.conf import conf
from django_paiementpro.enums import RefundKind, Status
from django_paiementpro.exceptions import GatewayUnavailableError
from django_paiementpro.models import Payment, PaymentEvent, format_amount
from django_paiementpro.services.staff import (
    SIGNAL_OF_STATUS,
    is_confirmable,
    missing_receivers_of,
    undelivered_events_of,
)

MAX_REASON = 1000

#: How many seconds staff wait for the gateway's answers about one payment, or about a list of them.
PATIENCE = 20.0

#: A level of ``django.contrib.messages`` and what to say.
Report = tuple[str, str]


class ReasonForm(forms.Form):
    """Asks why; the hidden field tells which state of the payment the person has seen."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=MAX_REASON, widget=AdminTextareaWidget(attrs={"rows": 3})
    )
    seen = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, data: QueryDict | None, payment: Payment) -> None:
        super().__init__(data, initial={"seen": payment.updated_at.isoformat(), "amount": self.amount_of(payment)})

    def amount_of(self, payment: Payment) -> int | None:
        """Return the amount to begin with: none where a person is to look it up."""
        return None

    def clean_seen(self) -> datetime:
        try:
            seen = datetime.fromisoformat(self.cleaned_data["seen"])
        except ValueError:
            seen = None
        if seen is None or not 2000 <= seen.year < 2100 or timezone.is_naive(seen):
            raise ValidationError(_("Open this page again."), code="invalid")
        return seen


class NoteForm(ReasonForm):
    field_order = ["finding", "reason"]

    reason = forms.CharField(
        label=gettext_lazy("Note"),
        help_text=gettext_lazy("What you have found, and what was done about it."),
        max_length=MAX_REASON,
        widget=AdminTextareaWidget(attrs={"rows": 3}),
    )

    def __init__(self, data: QueryDict | None, payment: Payment) -> None:
        super().__init__(data, payment)
        findings = open_findings_of(payment)
        if len(findings) > 1:
            choices = [(str(finding.pk), wording.findings_in_words(str(finding))) for finding in findings]
            self.fields["finding"] = forms.ChoiceField(
                label=_("Finding"), required=False, choices=[("", _("All of them")), *choices]
            )
            self.order_fields(self.field_order)


class DiscardForm(ReasonForm):
    """Names the receivers that will get nothing."""

    def __init__(self, data: QueryDict | None, payment: Payment) -> None:
        super().__init__(data, payment)
        self.fields["reason"].help_text = _("These receivers would get nothing: %(receivers)s") % {
            "receivers": ", ".join(missing_receivers_of(payment))
        }


class ConfirmForm(ReasonForm):
    field_order = ["gateway_id", "amount", "reason"]

    gateway_id = forms.CharField(
        label=gettext_lazy("Transaction at the gateway"),
        help_text=gettext_lazy("The number that the gateway’s back office gives the transaction, as it stands there."),
        max_length=128,
        widget=AdminTextInputWidget,
    )
    amount = forms.IntegerField(
        label=gettext_lazy("Amount at the gateway"),
        help_text=gettext_lazy("In whole francs, as the gateway’s back office shows it."),
        min_value=1,
        widget=AdminIntegerFieldWidget,
    )
    reason = forms.CharField(
        label=gettext_lazy("Proof"),
        help_text=gettext_lazy("What you have seen, where and when: others must be able to find it again."),
        max_length=MAX_REASON,
        widget=AdminTextareaWidget(attrs={"rows": 3}),
    )


class RefundForm(ReasonForm):
    field_order = ["kind", "amount", "fee", "refunded_on", "reference", "reason"]

    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=RefundKind.choices, initial=RefundKind.REFUND)
    amount = forms.IntegerField(
        label=gettext_lazy("Amount refunded"),
        help_text=gettext_lazy("In whole francs: the remaining amount, or a part of it."),
        min_value=1,
        widget=AdminIntegerFieldWidget,
    )
    fee = forms.IntegerField(
        label=gettext_lazy("Fee"),
        help_text=gettext_lazy("The fee charged on top of the amount, in whole francs."),
        min_value=0,
        max_value=BigIntegerField.MAX_BIGINT,
        required=False,
        widget=AdminIntegerFieldWidget,
    )
    refunded_on = forms.DateField(
        label=gettext_lazy("Refunded on"),
        initial=timezone.localdate,
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )
    reference = forms.CharField(
        label=gettext_lazy("Refund number"),
        help_text=gettext_lazy("As shown in the gateway’s back office."),
        max_length=128,
        widget=AdminTextInputWidget,
    )

    def __init__(self, data: QueryDict | None, payment: Payment) -> None:
        super().__init__(data, payment)
        self.first_day = timezone.localdate(payment.created_at)

    def amount_of(self, payment: Payment) -> int:
        return payment.amount - payment.refunded_amount

    def clean_fee(self) -> int:
        fee = self.cleaned_data["fee"] or 0
        if fee and self.cleaned_data.get("kind") == RefundKind.REFUND:
            raise ValidationError(_("Only a chargeback has a fee."), code="invalid")
        return int(fee)

    def clean_refunded_on(self) -> date:
        day: date = self.cleaned_data["refunded_on"]
        if day > timezone.localdate():
            raise ValidationError(_("This date is in the future."), code="invalid")
        if day < self.first_day:
            raise ValidationError(_("This date is before the payment."), code="invalid")
        return day


class StaffAction(ABC):
    """One thing that staff may do: when, with which permission, what the page says, and what it does."""

    #: The permission is ``<permission>_payment``.
    permission: str
    label: Any
    explanation: Any
    form_class: type[ReasonForm] = ReasonForm
    #: Whether the page shows the open findings.
    shows_findings = False

    @abstractmethod
    def is_possible(self, payment: Payment) -> bool:
        """Return whether the state of the payment allows it."""

    def preview(self, payment: Payment) -> wording.Preview | None:
        """Say what would change, where that can be known before."""
        return None

    @abstractmethod
    def perform(self, payment: Payment, user: AbstractBaseUser, values: Mapping[str, Any]) -> Report:
        """Do it and say what has come of it. Raises ``ValidationError``."""


class CheckAction(StaffAction):
    permission = "check"
    label = gettext_lazy("Ask the gateway now")
    explanation = gettext_lazy(
        "The gateway’s status service is asked about the attempts, the newest first, for 20 seconds at most. Where it "
        "knows of a payment that fits, this one becomes paid; its silence proves nothing."
    )

    def is_possible(self, payment: Payment) -> bool:
        return bool(conf.status_url) and is_confirmable(payment)

    def perform(self, payment: Payment, user: AbstractBaseUser, values: Mapping[str, Any]) -> Report:
        try:
            status = services.ask_gateway(payment, user, values["reason"], PATIENCE)
        except GatewayUnavailableError:
            return "warning", _("The gateway is not answering right now; try again in a moment.")
        if status.is_paid:
            return "success", _("The gateway knows of the payment: it is paid.")
        return "info", _("The gateway tells of no payment. That proves nothing: look in its back office too.")


class ConfirmAction(StaffAction):
    permission = "confirm"
    label = gettext_lazy("Confirm by hand")
    explanation = gettext_lazy(
        "Only where you see the payment in the gateway’s own back office: what a customer shows proves nothing. The "
        "payment becomes paid, and the shop delivers."
    )
    form_class = ConfirmForm

    def is_possible(self, payment: Payment) -> bool:
        return is_confirmable(payment)

    def perform(self, payment: Payment, user: AbstractBaseUser, values: Mapping[str, Any]) -> Report:
        services.confirm_payment(
            payment, user, gateway_id=values["gateway_id"], amount=values["amount"], reason=values["reason"]
        )
        return "success", _("The payment is confirmed, and the shop has been told.")


class RefundAction(StaffAction):
    permission = "refund"
    label = gettext_lazy("Record a refund")
    explanation = gettext_lazy(
        "The money goes back through the gateway’s back office, not from here. Record it afterwards, so that the books "
        "and the shop know: all of it, or a part, as often as needed. The gateway starts a refund 5 to 10 working days "
        "after it is approved. For a chargeback it takes the disputed amount and its fee from your account."
    )
    form_class = RefundForm

    def is_possible(self, payment: Payment) -> bool:
        return payment.status == Status.SUCCEEDED

    def perform(self, payment: Payment, user: AbstractBaseUser, values: Mapping[str, Any]) -> Report:
        amount = values["amount"]
        services.refund_payment(
            payment,
            user,
            amount=amount,
            reason=values["reason"],
            reference=values["reference"],
            kind=values["kind"],
            fee=values["fee"],
            refunded_on=values["refunded_on"],
        )
        return "success", _("A refund of %(amount)s is recorded.") % {"amount": format_amount(amount, payment.currency)}


class RedeliverAction(StaffAction):
    permission = "redeliver"
    label = gettext_lazy("Deliver the signals again")
    explanation = gettext_lazy(
        "The shop is told once more where the payment stands, as if it had just come to that: its receivers fulfil the "
        "order, write e-mails and the like. Where some have failed, only those are called."
    )

    def is_possible(self, payment: Payment) -> bool:
        is_told = Status(payment.status) in SIGNAL_OF_STATUS
        return is_told or undelivered_events_of(payment).exists()

    def perform(self, payment: Payment, user: AbstractBaseUser, values: Mapping[str, Any]) -> Report:
        if services.redeliver_signals(payment, user, values["reason"]):
            return "success", _("Every receiver of the shop has gone through.")
        return "warning", _(
            "A receiver of the shop has failed, or is at work elsewhere. It is called again by paiementpro_reconcile; "
            "tell the shop’s developer."
        )


class DiscardAction(StaffAction):
    permission = "redeliver"
    label = gettext_lazy("Stop waiting for missing receivers")
    explanation = gettext_lazy(
        "A signal of this payment is owed to a receiver that this server does not know. Ask the shop’s developer "
        "first: do this only if the receiver was renamed or removed, or if what it does has been done by hand."
    )
    form_class = DiscardForm

    def is_possible(self, payment: Payment) -> bool:
        return bool(missing_receivers_of(payment))

    def perform(self, payment: Payment, user: AbstractBaseUser, values: Mapping[str, Any]) -> Report:
        services.discard_signals(payment, user, values["reason"])
        return "success", _("The missing receivers are no longer waited for.")


class ReviewAction(StaffAction):
    permission = "review"
    label = gettext_lazy("Mark as reviewed")
    explanation = gettext_lazy(
        "Once nothing is left to review, the payment leaves the review queue. Its history keeps the findings and your "
        "note."
    )
    form_class = NoteForm
    shows_findings = True

    def is_possible(self, payment: Payment) -> bool:
        return payment.needs_review

    def perform(self, payment: Payment, user: AbstractBaseUser, values: Mapping[str, Any]) -> Report:
        finding = payment.findings.get(pk=values["finding"]) if values.get("finding") else None
        services.review_payment(payment, user, values["reason"], finding)
        if payment.needs_review:
            return "success", _("The finding is marked as reviewed.")
        return "success", _("The payment is marked as reviewed.")


class ReplayAction(StaffAction):
    """Runs one received notification again; the page shows first what would change."""

    permission = "confirm"
    label = gettext_lazy("Replay the notification")
    explanation = gettext_lazy(
        "The notification is read again by today’s program and settings, as if it came now. Nothing has been written "
        "yet."
    )

    def __init__(self, event: PaymentEvent) -> None:
        self.event = event

    def is_possible(self, payment: Payment) -> bool:
        return True

    def preview(self, payment: Payment) -> wording.Preview:
        self.event.payment = payment
        return wording.foretell(payment, services.preview_replay(self.event))

    def perform(self, payment: Payment, user: AbstractBaseUser, values: Mapping[str, Any]) -> Report:
        self.event.payment = payment
        services.replay_notification(self.event, user, values["reason"])
        return "success", _("The notification was replayed: the payment is now “%(status)s”.") % {
            "status": Status(payment.status).label
        }


#: By the last part of their URLs, in the order in which they are offered.
ACTIONS: dict[str, StaffAction] = {
    "review": ReviewAction(),
    "check": CheckAction(),
    "confirm": ConfirmAction(),
    "refund": RefundAction(),
    "redeliver": RedeliverAction(),
    "discard": DiscardAction(),
}
