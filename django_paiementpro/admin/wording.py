"""
A payment in plain words: what is known, what to do next, and its story, event by event.

Everything that staff read about a payment beyond its fields is worded here, for every state, every reason to review
and every kind of event. Nothing here asks the database.
"""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_paiementpro.conf import conf
from django_paiementpro.delivery import outbox
from django_paiementpro.enums import Channel, Kind, Outcome, Reason, RefundKind, SettledBy, Status
from django_paiementpro.exceptions import InvalidNotification
from django_paiementpro.gateway.messages import Notification, stored_fields
from django_paiementpro.models import Finding, Payment, PaymentEvent, Refund, format_amount
from django_paiementpro.services.rules import Decision


@dataclass(frozen=True, slots=True)
class ToReview:
    """An open finding in words: its name, the figures, when it was raised, and what to do about it."""

    title: str
    detail: str
    raised: str
    advice: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the story; ``level`` is a message level of the admin (``success``, ``warning``, ``error``)."""

    event: PaymentEvent
    title: str
    details: Sequence[str] = ()
    level: str = ""
    fields: Sequence[tuple[str, Any]] = ()
    signals: Sequence[str] = ()


@dataclass(slots=True)
class Summary:
    """What is known of a payment, and what to do next; with what it is to be reviewed for."""

    known: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    findings: list[ToReview] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of a notification: in words, and field by field (name, value now, value then)."""

    verdict: str
    changes: Sequence[tuple[str, str, str]]
    signals: Sequence[str]


ADVICE = {
    Reason.REFERENCE: gettext_lazy(
        "Look in the gateway’s back office for what was paid under that reference. If it is this payment, confirm it "
        "by hand."
    ),
    Reason.MERCHANT: gettext_lazy(
        "If the account is yours, the merchant id in the settings, or of this payment, is wrong: have it corrected, "
        "and confirm by hand what has reached your account. If it is not yours, somebody has paid another merchant: "
        "deliver nothing."
    ),
    Reason.AMOUNT: gettext_lazy(
        "Deliver nothing for it. Look in the gateway’s back office at what was paid, and give it back there or agree "
        "with the customer on the rest."
    ),
    Reason.CURRENCY: gettext_lazy(
        "The gateway reads any amount as francs. Look in its back office at what was paid; if it is the right amount "
        "in francs, have the settings corrected and replay the notification."
    ),
    Reason.HASHCODE: gettext_lazy(
        "The shop’s own verifier did not agree. Look in the gateway’s back office: if the payment is there, have the "
        "verifier corrected and replay the notification. If it is not, somebody has tried to cheat."
    ),
    Reason.UNKNOWN_CODE: gettext_lazy(
        "The gateway’s answer has a code that nobody knows. Look in its back office: if the payment is there, confirm "
        "it by hand."
    ),
    Reason.FAILURE_AFTER_SUCCESS: gettext_lazy(
        "The payment counts as paid. Look in the gateway’s back office whether the money is still there. If it has "
        "been taken back, record a refund and stop the delivery."
    ),
    Reason.PAID_TWICE: gettext_lazy(
        "The customer has paid more than once. Give the second payment back in the gateway’s back office, then mark "
        "this as reviewed with the refund’s number. Record no refund here: the order stays paid."
    ),
    Reason.TRANSACTION_REUSED: gettext_lazy(
        "Somebody of the staff has confirmed another payment by the transaction that has paid for this one: one of the "
        "two has not been paid. Look in the gateway’s back office whose it is, and stop the other delivery."
    ),
    Reason.PAID_AFTER_CANCELLATION: gettext_lazy(
        "The money has come although the payment was cancelled. Deliver after all, or give the money back in the "
        "gateway’s back office and record the refund here."
    ),
}

STAFF_TITLES = {
    "check": gettext_lazy("%(user)s had the gateway asked"),
    "confirm": gettext_lazy("%(user)s confirmed the payment by hand"),
    "refund": gettext_lazy("%(user)s recorded a refund"),
    "review": gettext_lazy("%(user)s marked it as reviewed"),
    "redeliver": gettext_lazy("%(user)s had the signals delivered again"),
    "discard": gettext_lazy("%(user)s stopped waiting for missing receivers"),
    "replay": gettext_lazy("%(user)s replayed a notification"),
}

TITLES: dict[tuple[str, str], Any] = {
    (Kind.INITIALIZE, Outcome.ACCEPTED): gettext_lazy("The gateway opened a payment page"),
    (Kind.INITIALIZE, Outcome.REFUSED): gettext_lazy("The gateway refused to open a payment page"),
    (Kind.INITIALIZE, Outcome.FAILED): gettext_lazy("The gateway gave no answer when a payment page was asked for"),
    (Kind.NOTIFICATION, Outcome.DUPLICATE): gettext_lazy("The gateway notified once more; nothing changed"),
    (Kind.NOTIFICATION, Outcome.CONFLICT): gettext_lazy("The gateway notified what does not fit; somebody must look"),
    (Kind.NOTIFICATION, Outcome.REFUSED): gettext_lazy("A notification was refused"),
    (Kind.STATUS, Outcome.ACCEPTED): gettext_lazy("The gateway, when asked, said: paid"),
    (Kind.STATUS, Outcome.DUPLICATE): gettext_lazy("The gateway, when asked, said once more: paid"),
    (Kind.STATUS, Outcome.CONFLICT): gettext_lazy(
        "The gateway, when asked, said what does not fit; somebody must look"
    ),
    (Kind.STATUS, Outcome.REFUSED): gettext_lazy("The gateway, when asked, told of a payment that is not this one"),
    (Kind.HOST, Outcome.ACCEPTED): gettext_lazy("The shop cancelled the payment"),
    (Kind.HOST, Outcome.CONFLICT): gettext_lazy("The app found something to review"),
    (Kind.EXPIRY, Outcome.ACCEPTED): gettext_lazy("Nobody paid in time; the payment expired"),
}

VERDICTS = {
    Outcome.ACCEPTED: gettext_lazy("It would be accepted"),
    Outcome.DUPLICATE: gettext_lazy("It says nothing new"),
    Outcome.CONFLICT: gettext_lazy("It does not fit: somebody would have to look"),
    Outcome.REFUSED: gettext_lazy("It would be refused"),
}

OPERATORS = frozenset(Channel.values)

LEVELS = {Outcome.CONFLICT: "warning", Outcome.REFUSED: "error", Outcome.FAILED: "error"}


def operator_of(payment: Payment) -> str:
    """Name the means that was used, or else that was asked for; empty where the payer has not chosen yet."""
    channel = payment.gateway_channel or payment.channel
    return str(Channel(channel).label) if channel in OPERATORS else channel


def summarize(
    payment: Payment, events: Sequence[PaymentEvent], findings: Sequence[Finding], refunds: Sequence[Refund]
) -> Summary:
    """Say what is known and what to do next. ``events`` are the payment's, oldest first, ``findings`` the open ones."""
    summary = _SUMMARIES[Status(payment.status)](payment, events)
    if Status(payment.status) in {Status.CREATED, Status.FAILED} and not payment.has_payer:
        # Without the payer's data the gateway opens no page.
        summary.advice = [_order_again()]
    if refunds:
        summary.known.append(_refunds(payment, refunds))
    summary.findings = to_review(findings)
    if summary.findings:
        # What is to be reviewed comes first; the rest is for later.
        summary.advice = []
    if any(event.deliver_at is not None for event in events):
        summary.known.append(_("The shop has not taken note of it yet: its signal is still owed to a receiver."))
        summary.advice.append(_("Tell the shop’s developer, and deliver the signals again."))
    return summary


def _created(payment: Payment, events: Sequence[PaymentEvent]) -> Summary:
    last = _last(events, Kind.INITIALIZE)
    if last is None:
        return Summary([_("The customer has not been to the gateway yet.")], [_("They go there by the link below.")])
    if last.outcome == Outcome.REFUSED:
        known = _quoting(_("The gateway refused to open a payment page"), last.message)
        advice = _(
            "Correct what it names: often the merchant id, the amount or the telephone number. Then the customer can "
            "try again by the link below."
        )
        return Summary([known], [advice])
    return Summary(
        [_("The gateway gave no answer when a payment page was asked for.")],
        [_("The customer can try again by the link below.")],
    )


def _pending(payment: Payment, events: Sequence[PaymentEvent]) -> Summary:
    opened_at = payment.initialized_at or payment.created_at
    return Summary(
        [
            _("The customer has been on the gateway’s page since %(time)s.") % {"time": moment(opened_at)},
            _("If nobody pays, the payment expires on %(time)s.") % {"time": moment(opened_at + conf.expires_after)},
        ],
        [_("They can go on by the link below."), _looking()],
    )


def _looking() -> str:
    if conf.status_url:
        return _(
            "If they say that they have paid, ask the gateway now. Its silence proves nothing: look in its back office "
            "too. What you see there can be confirmed by hand."
        )
    return _(
        "If they say that they have paid, look in the gateway’s back office. What you see there can be confirmed by "
        "hand."
    )


def _succeeded(payment: Payment, events: Sequence[PaymentEvent]) -> Summary:
    values = {
        "amount": payment.amount_display,
        "operator": operator_of(payment) or _("a means that the gateway did not name"),
        "time": moment(payment.settled_at) if payment.settled_at else "",
    }
    known = [_("%(amount)s paid by %(operator)s, %(time)s.") % values, _evidence(payment, events)]
    if payment.gateway_id:
        known.append(_("Transaction at the gateway: %(id)s.") % {"id": payment.gateway_id})
    return Summary(known, [_("There is nothing to do.")])


def _evidence(payment: Payment, events: Sequence[PaymentEvent]) -> str:
    if payment.settled_by == SettledBy.STATUS:
        return _("The gateway said so when it was asked.")
    if payment.settled_by != SettledBy.STAFF:
        return _("The gateway notified it.")
    acts = [event for event in events if event.kind == Kind.STAFF and event.fields.get("action") == "confirm"]
    act = acts[-1] if acts else None
    if act is None:
        return _("It was confirmed by hand.")
    return _quoting(_("%(user)s confirmed it by hand") % {"user": _staff(act)}, act.message)


def _failed(payment: Payment, events: Sequence[PaymentEvent]) -> Summary:
    operator = operator_of(payment) or _("The gateway")
    known = _quoting(_("%(operator)s refused the payment") % {"operator": operator}, payment.response_message)
    return Summary([known], [_("The customer can try again by the link below.")])


def _expired(payment: Payment, events: Sequence[PaymentEvent]) -> Summary:
    return Summary(
        [_("Nobody paid in time. This payment is not taken to the gateway again.")],
        [_order_again(), _looking()],
    )


def _order_again() -> str:
    return _("Whoever wants to pay still orders again.")


def _cancelled(payment: Payment, events: Sequence[PaymentEvent]) -> Summary:
    last = _last(events, Kind.HOST)
    known = _quoting(_("The shop cancelled this payment"), last.message if last else "")
    return Summary([known], [_("There is nothing to do. Money that comes all the same is recorded, and flagged here.")])


def _refunded(payment: Payment, events: Sequence[PaymentEvent]) -> Summary:
    return Summary([], [_("There is nothing to do.")])


def _refunds(payment: Payment, refunds: Sequence[Refund]) -> str:
    return _("%(refunded)s of %(amount)s refunded, most recently on %(day)s.") % {
        "refunded": payment.refunded_amount_display,
        "amount": payment.amount_display,
        "day": date_format(max(refund.refunded_on for refund in refunds), "SHORT_DATE_FORMAT"),
    }


_SUMMARIES = {
    Status.CREATED: _created,
    Status.PENDING: _pending,
    Status.SUCCEEDED: _succeeded,
    Status.FAILED: _failed,
    Status.EXPIRED: _expired,
    Status.CANCELLED: _cancelled,
    Status.REFUNDED: _refunded,
}


def to_review(findings: Iterable[Finding]) -> list[ToReview]:
    """Describe open findings in words."""
    return [_to_review(finding) for finding in findings]


def _to_review(finding: Finding) -> ToReview:
    raised = moment(finding.created_at)
    if finding.reason not in Reason.values:
        return ToReview(_("To review"), str(finding), raised, "")
    reason = Reason(finding.reason)
    return ToReview(str(reason.label), _figures_in_words(finding.detail), raised, str(ADVICE.get(reason, "")))


def tell(events: Iterable[PaymentEvent]) -> list[Entry]:
    """Tell the story of a payment, an entry an event."""
    return [_entry(event) for event in events]


def _entry(event: PaymentEvent) -> Entry:
    details = [event.message]
    level = LEVELS.get(Outcome(event.outcome), "")
    if event.kind == Kind.STAFF:
        title = str(STAFF_TITLES.get(str(event.fields.get("action")), event)) % {"user": _staff(event)}
        details = [_figures(event), event.message, str(event.fields.get("finding", ""))]
        level = "success" if event.fields.get("action") == "confirm" else level
    elif event.kind == Kind.NOTIFICATION and event.outcome == Outcome.ACCEPTED:
        is_success = _is_success(event)
        title = _("The gateway notified: paid") if is_success else _("The gateway notified: not paid")
        level = "success" if is_success else "warning"
    else:
        title = str(TITLES.get((event.kind, event.outcome), event))
        level = "success" if event.kind == Kind.STATUS and event.outcome == Outcome.ACCEPTED else level
    if event.reason == Reason.MALFORMED:
        details.insert(0, str(Reason.MALFORMED.label))
    return Entry(
        event=event,
        title=title,
        details=[findings_in_words(text) for text in details if text],
        level=level,
        # Pairs: a template that reads data.items would get a field of that name.
        fields=list(event.fields.items()),
        signals=_delivery(event),
    )


def foretell(payment: Payment, decision: Decision) -> Preview:
    """Describe what a decision would change in the payment as it is."""
    after = copy(payment)
    after.apply(decision.changes)
    changes = [
        (capfirst(str(column.verbose_name)), _shown(payment, column.name), _shown(after, column.name))
        for column in Payment._meta.concrete_fields
        if column.name in decision.changes and getattr(payment, column.name) != getattr(after, column.name)
    ]
    text = str(VERDICTS[decision.outcome])
    return Preview(_quoting(text, findings_in_words(decision.message)), changes, decision.signals)


def _shown(payment: Payment, name: str) -> str:
    """Write a field's value as people read it."""
    value = getattr(payment, name)
    if isinstance(value, datetime):
        return moment(value)
    display = getattr(payment, f"get_{name}_display", None)
    if display is not None:
        return str(display())
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    return "" if value is None else str(value)


def _is_success(event: PaymentEvent) -> bool:
    try:
        return Notification.from_fields(stored_fields(event.fields)).is_success
    except InvalidNotification:
        return False


def _staff(event: PaymentEvent) -> str:
    """Name who it was; by their number once the name has been erased."""
    return event.fields.get("user") or _("User %(id)s") % {"id": event.fields.get("user_id", "–")}


def _figures(event: PaymentEvent) -> str:
    """Name what the member of staff entered beside the reason."""
    currency = event.payment.currency
    texts = []
    if isinstance(amount := event.fields.get("amount"), int):
        texts.append(format_amount(amount, currency))
    if event.fields.get("kind") == RefundKind.CHARGEBACK:
        texts.append(str(RefundKind.CHARGEBACK.label))
    if isinstance(fee := event.fields.get("fee"), int):
        texts.append(labelled(_("fee"), format_amount(fee, currency)))
    texts += [str(event.fields[name]) for name in ("gateway_id", "refund_reference") if event.fields.get(name)]
    return ", ".join(texts)


def reasons_of(findings: Iterable[Finding]) -> str:
    """Name in short what a payment is to be reviewed for, each reason once."""
    return "; ".join(dict.fromkeys(finding.title for finding in to_review(findings)))


def findings_in_words(text: str) -> str:
    """Put the codes of findings into words; what was found comes behind the colon. Other text stays as it is."""
    return "; ".join(map(_finding_in_words, text.replace("; ", "\n").splitlines()))


def _finding_in_words(line: str) -> str:
    code, colon, detail = line.partition(": ")
    if not colon or code not in Reason.values:
        return line
    label = Reason(code).label
    return labelled(label, _figures_in_words(detail)) if detail else str(label)


def _figures_in_words(detail: str) -> str:
    """Put the stored ``6250 != 12500`` into words."""
    found, is_comparison, expected = detail.partition(" != ")
    if not is_comparison:
        return detail
    return _("%(found)s instead of %(expected)s") % {
        "found": "–" if found in {"", "None"} else found,
        "expected": expected,
    }


def labelled(label: object, text: object) -> str:
    return _("%(label)s: %(text)s") % {"label": label, "text": text}


def _delivery(event: PaymentEvent) -> list[str]:
    """Name the signals of an event, the receivers that have had them, and those that are still owed."""
    texts = []
    for signal in event.signals:
        receivers = [entry.partition(" ")[2] for entry in event.delivered if entry.partition(" ")[0] == signal]
        texts.append(f"{signal} → {', '.join(receivers)}" if receivers else signal)
    if event.deliver_at is not None:
        texts += map(_still_owed, outbox.owed_to(event))
    return texts


def _still_owed(owed: outbox.Owed) -> str:
    if not owed.receiver:
        return _("still owed to a receiver")
    text = _("still owed to %(receiver)s") if owed.is_known else _("still owed to %(receiver)s, which is missing here")
    return text % {"receiver": owed.receiver}


def _last(events: Sequence[PaymentEvent], kind: Kind) -> PaymentEvent | None:
    return next((event for event in reversed(events) if event.kind == kind), None)


def _quoting(text: str, quotation: str) -> str:
    """End a sentence, with what somebody said behind it."""
    return _("%(text)s: “%(quotation)s”.") % {"text": text, "quotation": quotation} if quotation else f"{text}."


def moment(value: datetime) -> str:
    """Write a moment on the site's clock, in the reader's manner."""
    value = timezone.localtime(value)
    return f"{date_format(value, 'SHORT_DATE_FORMAT')} {value:%H:%M}"
