"""
A payment in plain words: its summary with advice, its timeline, and what staff must review.

Every text about a payment that staff read, beyond the names of its fields, is here. Nothing here runs a query.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from django_paiementpro.conf import conf
from django_paiementpro.delivery import outbox
from django_paiementpro.enums import Channel, Kind, Outcome, Reason, RefundKind, SettledBy, Status
from django_paiementpro.exceptions import InvalidNotification
from django_paiementpro.gateway.messages import Notification, stored_fields
from django_paiementpro.models import Finding, Payment, PaymentEvent, Refund, format_amount
from django_paiementpro.services.rules import Decision


@dataclass(frozen=True, slots=True)
class ToReview:
    """An open finding in words: its title, the figures, when it was raised, and what to do about it."""

    title: str
    detail: str
    raised: str
    advice: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the timeline; ``level`` is ``success``, ``warning``, ``error`` or empty."""

    event: PaymentEvent
    time: str
    title: str
    details: Sequence[str] = ()
    level: str = ""
    fields: Sequence[tuple[str, Any]] = ()
    signals: Sequence[str] = ()


@dataclass(slots=True)
class Summary:
    """What is known about a payment, what to do next, and what to review."""

    known: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    findings: list[ToReview] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a replay would do: a description of the outcome, and each changed field with its old and new value."""

    outcome: str
    changes: Sequence[tuple[str, str, str]]
    signals: Sequence[str]


ADVICE = {
    Reason.REFERENCE: gettext_lazy(
        "Check in the gateway’s back office what was paid under that reference. If it is this payment, confirm it "
        "manually."
    ),
    Reason.MERCHANT: gettext_lazy(
        "If the account is yours, the merchant id in the settings or of this payment is wrong: have it corrected, and "
        "manually confirm the payments that reached your account. If it is not yours, the money went to another "
        "merchant: do not deliver."
    ),
    Reason.AMOUNT: gettext_lazy(
        "Do not deliver for this amount. Check in the gateway’s back office what was paid, then refund it there or "
        "agree with the customer on how to pay the rest."
    ),
    Reason.CURRENCY: gettext_lazy(
        "The gateway treats every amount as francs. Check in its back office what was paid; if it is the right amount "
        "in francs, have the settings corrected and replay the notification."
    ),
    Reason.HASHCODE: gettext_lazy(
        "The shop’s own verification failed. Check the gateway’s back office: if the payment is there, have the "
        "verifier corrected and replay the notification. If it is not, someone has attempted fraud."
    ),
    Reason.UNKNOWN_CODE: gettext_lazy(
        "The gateway’s response code is unknown. Check its back office: if the payment is there, confirm it manually."
    ),
    Reason.FAILURE_AFTER_SUCCESS: gettext_lazy(
        "The payment still counts as paid. Check in the gateway’s back office whether you still have the money. If it "
        "was taken back, record a refund and stop the delivery."
    ),
    Reason.PAID_TWICE: gettext_lazy(
        "The customer has paid more than once. Refund the second payment in the gateway’s back office, then mark this "
        "as reviewed with the number of that refund. Do not record a refund here: the order stays paid."
    ),
    Reason.TRANSACTION_REUSED: gettext_lazy(
        "The transaction of this payment was also used to confirm another payment manually: one of the two has not "
        "been paid. Check in the gateway’s back office which payment it belongs to, and stop the other delivery."
    ),
    Reason.PAID_AFTER_CANCELLATION: gettext_lazy(
        "The customer paid after this payment was cancelled. Deliver the order, or refund the money in the gateway’s "
        "back office and record the refund here."
    ),
    Reason.HOST: gettext_lazy("The shop’s own code reported this. Follow its message, then mark it as reviewed."),
    Reason.LINK_EXPIRED: gettext_lazy(
        "The customer paid after the payment link was closed. Deliver if you still can, or refund the money in the "
        "gateway’s back office and record the refund here."
    ),
    Reason.LINK_OVER_LIMIT: gettext_lazy(
        "More customers have paid than the payment link allows. Deliver if you still can, or refund the money in the "
        "gateway’s back office and record the refund here."
    ),
}

STAFF_TITLES = {
    "check": gettext_lazy("%(user)s asked the gateway"),
    "confirm": gettext_lazy("%(user)s confirmed the payment manually"),
    "refund": gettext_lazy("%(user)s recorded a refund"),
    "review": gettext_lazy("%(user)s marked it as reviewed"),
    "redeliver": gettext_lazy("%(user)s sent the signals again"),
    "discard": gettext_lazy("%(user)s stopped waiting for missing receivers"),
    "replay": gettext_lazy("%(user)s replayed a notification"),
}

#: The same for staff who may not send signals, in words that need no developer.
PLAIN_STAFF_TITLES = {
    "redeliver": gettext_lazy("%(user)s told the shop about the payment again"),
    "discard": gettext_lazy("%(user)s closed what the shop had not processed"),
}

TITLES: dict[tuple[str, str], Any] = {
    (Kind.INITIALIZE, Outcome.ACCEPTED): gettext_lazy("The gateway opened a payment page"),
    (Kind.INITIALIZE, Outcome.REFUSED): gettext_lazy("The gateway refused to open a payment page"),
    (Kind.INITIALIZE, Outcome.FAILED): gettext_lazy("The gateway did not answer the request for a payment page"),
    (Kind.NOTIFICATION, Outcome.DUPLICATE): gettext_lazy("Repeated notification; nothing changed"),
    (Kind.NOTIFICATION, Outcome.CONFLICT): gettext_lazy(
        "The notification does not match this payment; please review it"
    ),
    (Kind.NOTIFICATION, Outcome.REFUSED): gettext_lazy("A notification was rejected"),
    (Kind.STATUS, Outcome.ACCEPTED): gettext_lazy("Status check: paid"),
    (Kind.STATUS, Outcome.DUPLICATE): gettext_lazy("Status check: still paid; nothing changed"),
    (Kind.STATUS, Outcome.CONFLICT): gettext_lazy(
        "The answer to a status check does not match this payment; please review it"
    ),
    (Kind.STATUS, Outcome.REFUSED): gettext_lazy("The answer to a status check is about another payment"),
    (Kind.HOST, Outcome.ACCEPTED): gettext_lazy("The shop cancelled the payment"),
    (Kind.HOST, Outcome.CONFLICT): gettext_lazy("Something was found that needs a review"),
    (Kind.EXPIRY, Outcome.ACCEPTED): gettext_lazy("The payment was not made in time and expired"),
}

PREVIEWS = {
    Outcome.ACCEPTED: gettext_lazy("It would be accepted"),
    Outcome.DUPLICATE: gettext_lazy("It contains nothing new"),
    Outcome.CONFLICT: gettext_lazy("It does not match this payment and would have to be reviewed"),
    Outcome.REFUSED: gettext_lazy("It would be rejected"),
}

LEVELS = {Outcome.CONFLICT: "warning", Outcome.REFUSED: "error", Outcome.FAILED: "error"}


def channel_name(payment: Payment) -> str:
    """Return the name of the payment method used, or else requested; empty until the customer has chosen one."""
    channel = payment.gateway_channel or payment.channel
    try:
        return str(Channel(channel).label)
    except ValueError:
        return channel


def summarize(
    payment: Payment,
    events: Sequence[PaymentEvent],
    findings: Sequence[Finding],
    refunds: Sequence[Refund],
    *,
    is_technical: bool = True,
) -> Summary:
    """
    Describe a payment and advise what to do.

    ``events`` are sorted by age, oldest first; ``findings`` are open. ``is_technical`` is for those who may send
    signals again; others are not shown a developer's words.
    """
    summary = _SUMMARIES[Status(payment.status)](payment, events)
    if Status(payment.status) in {Status.CREATED, Status.FAILED} and not payment.has_customer:
        # The gateway opens no page without the customer's data.
        summary.advice = [_order_again()]
    if refunds:
        summary.known.append(_refunds(payment, refunds))
    summary.findings = to_review(findings)
    if summary.findings:
        # Findings have their own advice, which comes first.
        summary.advice = []
    if any(event.deliver_at is not None for event in events):
        if is_technical:
            summary.known.append(_("The shop has not processed it yet: its signal is still waiting for a receiver."))
            summary.advice.append(_("Tell the shop’s developer, and send the signals again."))
        else:
            summary.known.append(_("The shop has not processed it yet."))
            summary.advice.append(_("Tell the person who looks after the site."))
    return summary


def _created(payment: Payment, events: Sequence[PaymentEvent]) -> Summary:
    last = _last(events, Kind.INITIALIZE)
    if last is None:
        return Summary(
            [_("The customer has not opened the payment page yet.")], [_("They can pay with the link below.")]
        )
    if last.outcome == Outcome.REFUSED:
        known = _quoting(_("The gateway refused to open a payment page"), last.message)
        advice = _(
            "Correct what it names, often the merchant id, the amount or the phone number. The customer can then try "
            "again with the link below."
        )
        return Summary([known], [advice])
    return Summary(
        [_("The gateway did not answer the request for a payment page.")],
        [_("The customer can try again with the link below.")],
    )


def _pending(payment: Payment, events: Sequence[PaymentEvent]) -> Summary:
    opened_at = payment.initialized_at or payment.created_at
    return Summary(
        [
            _("The payment page was opened on %(time)s.") % {"time": moment(opened_at)},
            _("If the customer does not pay, the payment expires on %(time)s.")
            % {"time": moment(opened_at + conf.expires_after)},
        ],
        [_("The customer can continue with the link below."), _how_to_check()],
    )


def _how_to_check() -> str:
    if conf.status_url:
        return _(
            "If the customer says that they have paid, ask the gateway now. A negative answer proves nothing: check "
            "its back office too, and confirm manually what you find there."
        )
    return _(
        "If the customer says that they have paid, check the gateway’s back office, and confirm manually what you find "
        "there."
    )


def _succeeded(payment: Payment, events: Sequence[PaymentEvent]) -> Summary:
    values = {
        "amount": payment.amount_display,
        "channel": channel_name(payment) or _("an unknown payment method"),
        "time": moment(payment.settled_at or payment.created_at),
    }
    known = [_("%(amount)s paid with %(channel)s on %(time)s.") % values, _evidence(payment, events)]
    if payment.gateway_id:
        known.append(_("Gateway transaction: %(id)s.") % {"id": payment.gateway_id})
    return Summary(known, [_("Nothing to do.")])


def _evidence(payment: Payment, events: Sequence[PaymentEvent]) -> str:
    if payment.settled_by == SettledBy.STATUS:
        return _("Confirmed by a status check.")
    if payment.settled_by != SettledBy.STAFF:
        return _("Confirmed by a notification from the gateway.")
    confirmations = [event for event in events if event.kind == Kind.STAFF and event.fields.get("action") == "confirm"]
    if not confirmations:
        return _("Confirmed manually.")
    last = confirmations[-1]
    if proof := _proof(last):
        return _("Confirmed by %(user)s from the gateway’s statement: %(row)s.") % {
            "user": _staff(last),
            "row": statement_row(proof),
        }
    return _quoting(_("Confirmed manually by %(user)s") % {"user": _staff(last)}, last.message)


def _failed(payment: Payment, events: Sequence[PaymentEvent]) -> Summary:
    channel = channel_name(payment) or _("The gateway")
    known = _quoting(_("%(channel)s refused the payment") % {"channel": channel}, payment.response_message)
    return Summary([known], [_("The customer can try again with the link below.")])


def _expired(payment: Payment, events: Sequence[PaymentEvent]) -> Summary:
    return Summary(
        [_("The payment was not made in time. Its payment page can no longer be opened.")],
        [_order_again(), _how_to_check()],
    )


def _order_again() -> str:
    return _("The customer must place a new order to pay.")


def _cancelled(payment: Payment, events: Sequence[PaymentEvent]) -> Summary:
    last = _last(events, Kind.HOST)
    known = _quoting(_("The shop cancelled this payment"), last.message if last else "")
    return Summary([known], [_("Nothing to do. If it is paid after all, it will appear among the payments to review.")])


def _refunded(payment: Payment, events: Sequence[PaymentEvent]) -> Summary:
    return Summary([], [_("Nothing to do.")])


def _refunds(payment: Payment, refunds: Sequence[Refund]) -> str:
    return _("%(refunded)s of %(amount)s refunded, most recently on %(day)s.") % {
        "refunded": payment.refunded_amount_display,
        "amount": payment.amount_display,
        "day": day(max(refund.refunded_on for refund in refunds)),
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
    """Describe the findings for people."""
    return [_to_review(finding) for finding in findings]


def _to_review(finding: Finding) -> ToReview:
    raised = moment(finding.created_at)
    if finding.reason not in Reason.values:
        return ToReview(_("To review"), str(finding), raised, "")
    reason = Reason(finding.reason)
    return ToReview(str(reason.label), _figures_in_words(finding.detail), raised, str(ADVICE.get(reason, "")))


def timeline(events: Iterable[PaymentEvent], *, is_technical: bool = True) -> list[Entry]:
    """Return the events in words; without signals and the gateway's fields unless ``is_technical``."""
    entries = [_entry(event) for event in events]
    return entries if is_technical else [*map(_plain, entries)]


def _plain(entry: Entry) -> Entry:
    title = PLAIN_STAFF_TITLES.get(str(entry.event.fields.get("action"))) if entry.event.kind == Kind.STAFF else None
    return replace(
        entry, title=str(title) % {"user": _staff(entry.event)} if title else entry.title, fields=(), signals=()
    )


def _entry(event: PaymentEvent) -> Entry:
    details = [event.message]
    level = LEVELS.get(Outcome(event.outcome), "")
    if event.kind == Kind.STAFF:
        title = str(STAFF_TITLES.get(str(event.fields.get("action")), event)) % {"user": _staff(event)}
        proof = _proof(event)
        if proof:
            title = _("%(user)s confirmed the payment from the statement") % {"user": _staff(event)}
        details = [
            capfirst(statement_row(proof)) if proof else _figures(event),
            event.message,
            str(event.fields.get("finding", "")),
        ]
        level = "success" if event.fields.get("action") == "confirm" else level
    elif event.kind == Kind.NOTIFICATION and event.outcome == Outcome.ACCEPTED:
        is_success = _is_success(event)
        title = _("Notification: paid") if is_success else _("Notification: not paid")
        level = "success" if is_success else "warning"
    else:
        title = str(TITLES.get((event.kind, event.outcome), event))
        level = "success" if event.kind == Kind.STATUS and event.outcome == Outcome.ACCEPTED else level
    if event.reason == Reason.MALFORMED:
        details.insert(0, str(Reason.MALFORMED.label))
    return Entry(
        event=event,
        time=moment(event.created_at, with_seconds=True),
        title=title,
        details=[findings_in_words(text) for text in details if text],
        level=level,
        # Pairs, since ``fields.items`` in a template would look up a field of that name.
        fields=list(event.fields.items()),
        signals=_delivery(event),
    )


def preview(payment: Payment, decision: Decision) -> Preview:
    """Describe what a decision would change in a payment."""
    after = copy(payment)
    after.apply(decision.changes)
    changes = [
        (capfirst(str(column.verbose_name)), _shown(payment, column.name), _shown(after, column.name))
        for column in Payment._meta.concrete_fields
        if column.name in decision.changes and getattr(payment, column.name) != getattr(after, column.name)
    ]
    text = str(PREVIEWS[decision.outcome])
    return Preview(_quoting(text, findings_in_words(decision.message)), changes, decision.signals)


def _shown(payment: Payment, name: str) -> str:
    """Return the value of a field as people read it."""
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
    """Return the name of the user, or their id once the name has been erased."""
    return event.fields.get("user") or _("User %(id)s") % {"id": event.fields.get("user_id", "–")}


def _figures(event: PaymentEvent) -> str:
    """Return what the user entered besides the reason."""
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
    """Return the titles of the findings, each once."""
    return "; ".join(dict.fromkeys(finding.title for finding in to_review(findings)))


def findings_in_words(text: str) -> str:
    """Replace the codes of findings, and their figures, by words. Other text is returned unchanged."""
    return "; ".join(map(_finding_in_words, text.replace("; ", "\n").splitlines()))


def _finding_in_words(line: str) -> str:
    code, colon, detail = line.partition(": ")
    if not colon or code not in Reason.values:
        return line
    label = Reason(code).label
    return labelled(label, _figures_in_words(detail)) if detail else str(label)


def _figures_in_words(detail: str) -> str:
    """Return the stored ``6250 != 12500`` in words."""
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
    """Return the signals of an event, with the receivers that got them and those that are still to get them."""
    texts = []
    for signal in event.signals:
        receivers = [entry.partition(" ")[2] for entry in event.delivered if entry.partition(" ")[0] == signal]
        texts.append(f"{signal} → {', '.join(receivers)}" if receivers else signal)
    if event.deliver_at is not None:
        texts += map(_still_owed, outbox.owed_to(event))
    return texts


def _still_owed(owed: outbox.Owed) -> str:
    if not owed.receiver:
        return _("still waiting for a receiver")
    if owed.is_known:
        text = _("still waiting for %(receiver)s")
    else:
        text = _("still waiting for %(receiver)s, which this server does not know")
    return text % {"receiver": owed.receiver}


def _last(events: Sequence[PaymentEvent], kind: Kind) -> PaymentEvent | None:
    return next((event for event in reversed(events) if event.kind == kind), None)


def _quoting(text: str, quotation: str) -> str:
    """End a sentence with a quotation, if there is one."""
    return _("%(text)s: “%(quotation)s”.") % {"text": text, "quotation": quotation} if quotation else f"{text}."


def _proof(event: PaymentEvent) -> Mapping[str, Any]:
    proof = event.fields.get("statement")
    return proof if isinstance(proof, dict) and "digest" in proof else {}


def statement_row(proof: Mapping[str, Any]) -> str:
    """Return the row of a statement that proves a payment, as its confirmation keeps it. Names may be erased."""
    name = proof.get("file") or f"{proof['merchant']} {proof['id']}"
    parts = [_("statement “%(file)s”, row %(number)d") % {"file": name, "number": proof["row"]}]
    parts.append(_("transaction %(id)s") % {"id": proof["gateway_id"]})
    if proof["reference"]:
        parts.append(_("reference %(reference)s") % {"reference": proof["reference"]})
    parts.append(format_amount(proof["amount"], proof["currency"]))
    if proof["paid_at"]:
        parts.append(moment(datetime.fromisoformat(proof["paid_at"])))
    time = moment(datetime.fromisoformat(proof["imported_at"]))
    if proof["imported_by_id"]:
        user = proof.get("imported_by") or _("User %(id)s") % {"id": proof["imported_by_id"]}
        parts.append(_("imported by %(user)s on %(time)s") % {"user": user, "time": time})
    else:
        parts.append(_("imported on %(time)s") % {"time": time})
    return ", ".join(parts)


def day_format() -> str:
    """Return the format of dates as West Africa reads them: the day first, in English too."""
    return pgettext("date format", "d/m/Y")


def day(value: date) -> str:
    return date_format(value, day_format())


def moment(value: datetime, *, with_seconds: bool = False) -> str:
    """Return a moment in the current time zone as people read it."""
    value = timezone.localtime(value)
    return f"{day(value)} {value:%H:%M:%S}" if with_seconds else f"{day(value)} {value:%H:%M}"
