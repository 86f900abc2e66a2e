"""The rows of the four lists, as the page and the files show them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.utils.text import capfirst
from django.utils.translation import gettext as _

from django_paiementpro.conf import conf
from django_paiementpro.db.keyset import in_pages
from django_paiementpro.enums import Status
from django_paiementpro.models import Payment, Statement, format_amount
from django_paiementpro.services.statements.comparison import Sums, Verdict, compared_lines, missing_payments
from django_paiementpro.services.statements.rows import Problem

#: How many rows are read with one query.
PAGE_ROWS = 1_000

#: What each list is, for people.
EXPLANATIONS = {
    Verdict.AGREE: lambda: _("The same amount is paid here and in the statement."),
    Verdict.THEIRS: lambda: _("The gateway has money that is not paid here."),
    Verdict.OURS: lambda: _("Paid here in the period of the statement, but in no statement."),
    Verdict.AMOUNT: lambda: _("The statement and the payment here have different amounts."),
}


def amounts_text(sums: Sums) -> str:
    """Return the sums by currency; a list without rows has the sum zero."""
    amounts = sums.amounts or {conf.currency: 0}
    return " + ".join(format_amount(amount, currency) for currency, amount in sorted(amounts.items()))


def remark(line: Any) -> str:
    """Return what staff should know about a compared line that does not agree."""
    payment = line.payment
    if line.verdict == Verdict.AGREE:
        return ""
    if payment is None:
        return _("No payment of this merchant has this transaction or reference.")
    if line.is_refund:
        return _("Refunds in the statements: %(theirs)s; recorded here: %(ours)s.") % {
            "theirs": format_amount(line.refunds, line.currency),
            "ours": payment.refunded_amount_display,
        }
    if line.is_extra:
        return _("Another row is about the same payment: the customer may have paid twice.")
    if line.verdict == Verdict.AMOUNT:
        return _("The amount here is %(amount)s.") % {"amount": payment.amount_display}
    return _("The payment here is not paid: “%(status)s”.") % {"status": Status(payment.status).label}


@dataclass(frozen=True)
class ProblemRow:
    """A row that could not be read."""

    number: int
    reason: str
    text: str


def problem_rows(statement: Statement) -> list[ProblemRow]:
    reasons = {problem.value: str(problem.label) for problem in Problem}
    return [ProblemRow(number, reasons.get(reason, reason), text) for number, reason, text in statement.problems]


def difference_rows(statement: Statement, verdicts: Iterable[Verdict]) -> Iterator[Sequence[object]]:
    """Yield the lists as rows of a file, with headings."""
    yield (
        _("List"),
        _("Row"),
        _("Date"),
        _("Gateway transaction"),
        _("Reference in the statement"),
        _("Kind"),
        _("Amount in the statement"),
        _("Amount here"),
        _("Currency"),
        _("Fee"),
        _("Net amount"),
        _("Reference here"),
        capfirst(_("status")),
        _("Remark"),
    )
    for verdict in verdicts:
        if verdict == Verdict.OURS:
            # The order of the keyset: a date that staff or a late notification made has no index of its own.
            pages = in_pages(missing_payments(statement), "pk", size=PAGE_ROWS)
            yield from (_payment_row(payment) for payment in chain.from_iterable(pages))
        else:
            lines = in_pages(compared_lines(statement, verdict), "pk", size=PAGE_ROWS)
            yield from (_line_row(line) for line in chain.from_iterable(lines))


def _line_row(line: Any) -> Sequence[object]:
    payment: Payment | None = line.payment
    ours = None
    if payment:
        ours = payment.refunded_amount if line.is_refund else payment.amount
    return (
        str(Verdict(line.verdict).label),
        line.number,
        line.paid_at,
        line.gateway_id,
        line.reference,
        _("Refund") if line.is_refund else _("Payment"),
        line.amount,
        ours,
        line.currency,
        line.fee,
        line.net,
        payment.reference if payment else "",
        str(Status(payment.status).label) if payment else "",
        remark(line),
    )


def _payment_row(payment: Any) -> Sequence[object]:
    return (
        str(Verdict.OURS.label),
        None,
        payment.paid_at,
        payment.gateway_id,
        "",
        _("Payment"),
        None,
        payment.amount,
        payment.currency,
        None,
        None,
        payment.reference,
        str(Status(payment.status).label),
        _("In no statement."),
    )
