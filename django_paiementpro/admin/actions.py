"""
Staff actions. Each has its own permission and a page that asks for a reason, and is performed only once.

The page contains the payment's ``updated_at``. A payment that has changed since, even by a double click, is left
unchanged. The services record each action as an event with the user's name.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminIntegerFieldWidget, AdminTextareaWidget, AdminTextInputWidget
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db.models import BigIntegerField
from django.http import QueryDict
from django.utils import timezone
from django.utils.text import capfirst
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
from django_paiementpro.services.statements.confirmation import confirm_from_line, is_proof_of, proof_of

MAX_REASON = 1000

#: How many seconds staff wait for the gateway's answers, about one payment or several.
PATIENCE = 20.0

#: The level and the text of a message to the user.
Report = tuple[str, str]


class ReasonForm(forms.Form):
    """Asks for a reason. The hidden field says which state of the payment the user has seen."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=MAX_REASON, widget=AdminTextareaWidget(attrs={"rows": 3})
    )
    seen = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, data: QueryDict | None, payment: Payment) -> None:
        super().__init__(data, initial={"seen": payment.updated_at.isoformat(), "amount": self.amount_of(payment)})

    def amount_of(self, payment: Payment) -> int | None:
        """Return the initial amount, or None if the user has to look it up."""
        return None

    def clean_seen(self) -> datetime:
        try:
            seen = datetime.fromisoformat(self.cleaned_data["seen"])
        except ValueError:
            seen = None
        if seen is None or not 2000 <= seen.year < 2100 or timezone.is_naive(seen):
            raise ValidationError(_("Please reload this page."), code="invalid")
        return seen


class NoteForm(ReasonForm):
    field_order = ["finding", "reason"]

    reason = forms.CharField(
        label=gettext_lazy("Note"),
        help_text=gettext_lazy("What you found, and what was done about it."),
        max_length=MAX_REASON,
        widget=AdminTextareaWidget(attrs={"rows": 3}),
    )

    def __init__(self, data: QueryDict | None, payment: Payment) -> None:
        super().__init__(data, payment)
        findings = open_findings_of(payment)
        if len(findings) > 1:
            choices = [(str(finding.pk), wording.findings_in_words(str(finding))) for finding in findings]
            self.fields["finding"] = forms.ChoiceField(
                label=_("Finding"), required=False, choices=[("", _("All findings")), *choices]
            )
            self.order_fields(self.field_order)


class DiscardForm(ReasonForm):
    """Names the receivers that will not get the signal."""

    def __init__(self, data: QueryDict | None, payment: Payment) -> None:
        super().__init__(data, payment)
        self.fields["reason"].help_text = _("These receivers will not get the signal: %(receivers)s") % {
            "receivers": ", ".join(missing_receivers_of(payment))
        }


class ConfirmForm(ReasonForm):
    field_order = ["gateway_id", "amount", "reason"]

    gateway_id = forms.CharField(
        label=gettext_lazy("Gateway transaction"),
        help_text=gettext_lazy("The transaction number, exactly as shown in the gateway’s back office."),
        max_length=128,
        widget=AdminTextInputWidget,
    )
    amount = forms.IntegerField(
        label=gettext_lazy("Amount at the gateway"),
        help_text=gettext_lazy("In whole francs, as shown in the gateway’s back office."),
        min_value=1,
        widget=AdminIntegerFieldWidget,
    )
    reason = forms.CharField(
        label=gettext_lazy("Proof"),
        help_text=gettext_lazy("What you saw, where and when, so that others can find it again."),
        max_length=MAX_REASON,
        widget=AdminTextareaWidget(attrs={"rows": 3}),
    )


class StatementForm(ReasonForm):
    """Needs no reason: the row of the statement is the proof."""

    reason = forms.CharField(
        label=gettext_lazy("Note"),
        help_text=gettext_lazy("What others should know. The row of the statement is stored as the proof."),
        max_length=MAX_REASON,
        required=False,
        widget=AdminTextareaWidget(attrs={"rows": 3}),
    )


class RefundForm(ReasonForm):
    field_order = ["kind", "amount", "fee", "refunded_on", "reference", "reason"]

    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=RefundKind.choices, initial=RefundKind.REFUND)
    amount = forms.IntegerField(
        label=gettext_lazy("Amount refunded"),
        help_text=gettext_lazy("In whole francs: the remaining amount or a part of it."),
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
    """An action on one payment: its permission, when it is possible, what its page says, and what it does."""

    #: The permission is ``<permission>_payment``.
    permission: str
    label: Any
    explanation: Any
    form_class: Callable[[QueryDict | None, Payment], ReasonForm] = ReasonForm
    #: Whether the page shows the open findings.
    shows_findings = False

    @abstractmethod
    def is_possible(self, payment: Payment) -> bool:
        """Return whether the state of the payment allows the action."""

    def proof(self) -> str:
        """Return the proof, if it is known in advance."""
        return ""

    def preview(self, payment: Payment) -> wording.Preview | None:
        """Return what would change, if that is known in advance."""
        return None

    @abstractmethod
    def perform(self, payment: Payment, user: AbstractBaseUser, values: Mapping[str, Any]) -> Report:
        """Perform the action and return a message. Raises ``ValidationError``."""


class CheckAction(StaffAction):
    permission = "check"
    label = gettext_lazy("Ask the gateway now")
    explanation = gettext_lazy(
        "Asks the gateway’s status service about each attempt, the newest first, for up to 20 seconds. If it confirms "
        "this payment, the payment becomes paid. A negative answer proves nothing."
    )

    def is_possible(self, payment: Payment) -> bool:
        return bool(conf.status_url) and is_confirmable(payment)

    def perform(self, payment: Payment, user: AbstractBaseUser, values: Mapping[str, Any]) -> Report:
        try:
            status = services.ask_gateway(payment, user, values["reason"], PATIENCE)
        except GatewayUnavailableError:
            return "warning", _("The gateway is not answering right now; try again in a moment.")
        if status.is_paid:
            return "success", _("The gateway confirms the payment. It is now paid.")
        return "info", _("The gateway does not confirm the payment. This proves nothing: check its back office too.")


class ConfirmAction(StaffAction):
    permission = "confirm"
    label = gettext_lazy("Confirm manually")
    explanation = gettext_lazy(
        "Confirm a payment only if you see it in the gateway’s own back office. What a customer shows you proves "
        "nothing. The payment becomes paid, and the shop delivers."
    )
    form_class = ConfirmForm

    def is_possible(self, payment: Payment) -> bool:
        return is_confirmable(payment)

    def perform(self, payment: Payment, user: AbstractBaseUser, values: Mapping[str, Any]) -> Report:
        services.confirm_payment(
            payment, user, gateway_id=values["gateway_id"], amount=values["amount"], reason=values["reason"]
        )
        return "success", _("The payment is confirmed, and the shop has been notified.")


class RefundAction(StaffAction):
    permission = "refund"
    label = gettext_lazy("Record a refund")
    explanation = gettext_lazy(
        "Refund the money in the gateway’s back office first, then record the refund here, so that the accounts and "
        "the shop are up to date. You can record several partial refunds. The gateway starts a refund 5 to 10 working "
        "days after it is approved. For a chargeback, it deducts the disputed amount and a fee from your account."
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
        return "success", _("A refund of %(amount)s has been recorded.") % {
            "amount": format_amount(amount, payment.currency)
        }


class RedeliverAction(StaffAction):
    permission = "redeliver"
    label = gettext_lazy("Send the signals again")
    explanation = gettext_lazy(
        "The shop’s receivers, which fulfil the order or send e-mails for example, are called again as if the payment "
        "had just reached its current status. If some of them have failed, only those are called."
    )

    def is_possible(self, payment: Payment) -> bool:
        has_signal = Status(payment.status) in SIGNAL_OF_STATUS
        return has_signal or undelivered_events_of(payment).exists()

    def perform(self, payment: Payment, user: AbstractBaseUser, values: Mapping[str, Any]) -> Report:
        if services.redeliver_signals(payment, user, values["reason"]):
            return "success", _("All receivers of the shop have succeeded.")
        return "warning", _(
            "A receiver of the shop has failed or is still running. paiementpro_reconcile will call it again; tell the "
            "shop’s developer."
        )


class DiscardAction(StaffAction):
    permission = "redeliver"
    label = gettext_lazy("Stop waiting for missing receivers")
    explanation = gettext_lazy(
        "A signal of this payment is waiting for a receiver that this server does not know. Ask the shop’s developer "
        "first. Do this only if the receiver was renamed or removed, or if its work has been done manually."
    )
    form_class = DiscardForm

    def is_possible(self, payment: Payment) -> bool:
        return bool(missing_receivers_of(payment))

    def perform(self, payment: Payment, user: AbstractBaseUser, values: Mapping[str, Any]) -> Report:
        services.discard_signals(payment, user, values["reason"])
        return "success", _("The signals no longer wait for the missing receivers.")


class ReviewAction(StaffAction):
    permission = "review"
    label = gettext_lazy("Mark as reviewed")
    explanation = gettext_lazy(
        "Once all its findings are reviewed, the payment leaves the review queue. The findings and your note are kept."
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
    """Process a received notification again; the page first shows what would change."""

    permission = "confirm"
    label = gettext_lazy("Replay the notification")
    explanation = gettext_lazy(
        "Processes the notification again with the current code and settings, as if it had just arrived. Nothing has "
        "been changed yet."
    )

    def __init__(self, event: PaymentEvent) -> None:
        self.event = event

    def is_possible(self, payment: Payment) -> bool:
        return True

    def preview(self, payment: Payment) -> wording.Preview:
        self.event.payment = payment
        return wording.preview(payment, services.preview_replay(self.event))

    def perform(self, payment: Payment, user: AbstractBaseUser, values: Mapping[str, Any]) -> Report:
        self.event.payment = payment
        services.replay_notification(self.event, user, values["reason"])
        return "success", _("The notification was replayed. The payment’s status is now “%(status)s”.") % {
            "status": Status(payment.status).label
        }


class StatementAction(StaffAction):
    """Confirm a payment with a row of the gateway's statement as the proof."""

    permission = "confirm"
    label = gettext_lazy("Confirm from the statement")
    explanation = gettext_lazy(
        "The gateway’s statement says that this payment was made. It becomes paid, and the shop delivers. The row of "
        "the statement is the proof: do this only if the file came from the gateway’s own back office."
    )

    form_class = StatementForm

    def __init__(self, line: Any) -> None:
        """Take a row as ``compared_lines`` returns it."""
        self.line = line

    def proof(self) -> str:
        return capfirst(wording.statement_row(proof_of(self.line)))

    def is_possible(self, payment: Payment) -> bool:
        return is_proof_of(self.line, payment) and is_confirmable(payment)

    def perform(self, payment: Payment, user: AbstractBaseUser, values: Mapping[str, Any]) -> Report:
        confirm_from_line(payment, user, self.line, note=values["reason"])
        return "success", _("The payment is confirmed, and the shop has been notified.")


#: The actions by the last part of their URLs, in the order of their buttons.
ACTIONS: dict[str, StaffAction] = {
    "review": ReviewAction(),
    "check": CheckAction(),
    "confirm": ConfirmAction(),
    "refund": RefundAction(),
    "redeliver": RedeliverAction(),
    "discard": DiscardAction(),
}
