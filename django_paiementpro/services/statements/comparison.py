"""What agrees between a statement and the payments here, and what does not, as both stand now."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import (
    Case,
    CharField,
    Count,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    TextChoices,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from django_paiementpro.db.connections import database
from django_paiementpro.enums import PAID
from django_paiementpro.models import Payment, Statement, StatementLine

#: How long after the gateway's date a payment may be settled here: late notifications, and staff.
LATE = timedelta(days=62)


class Verdict(TextChoices):
    """The four lists."""

    AGREE = "agree", _("Agree")
    THEIRS = "theirs", _("Only in the statement")
    OURS = "ours", _("Only here")
    AMOUNT = "amount", _("Different amount")


@dataclass(frozen=True)
class Sums:
    """How many rows a list has, and their amounts by currency."""

    count: int
    amounts: dict[str, int]


def compared_lines(statement: Statement, verdict: str = "") -> "QuerySet[Any, Any]":
    """
    Return the lines of a statement with their ``verdict`` and whether they are an ``is_extra``; or those of one list.

    A payment has one transaction. If several lines are about the same payment, the one whose transaction settled it
    counts, else the first; the others are money that it does not explain. Refunds agree if their sum is what was
    recorded here.
    """
    of_statement = StatementLine.objects.using(database()).filter(statement=statement)
    lines = compared(of_statement.select_related("payment")).order_by("number")
    return lines.filter(verdict=verdict) if verdict else lines


def compared(lines: QuerySet[StatementLine]) -> "QuerySet[Any, Any]":
    return lines.annotate(is_extra=_is_extra(), refunds=_refunds()).annotate(verdict=_verdict())


def _is_extra() -> Any:
    others = StatementLine.objects.filter(payment=OuterRef("payment"), is_refund=False)
    earlier, settling = Q(pk__lt=OuterRef("pk")), Q(gateway_key=OuterRef("payment__gateway_key"))
    is_settling = Q(gateway_key=F("payment__gateway_key")) & ~Q(gateway_key="")
    is_repeated = is_settling & Exists(others.filter(earlier, settling))
    is_other = ~is_settling & Exists(
        others.exclude(pk=OuterRef("pk")).filter(earlier | (settling & ~Q(gateway_key="")))
    )
    return Case(When(Q(is_refund=False) & (is_repeated | is_other), then=Value(1)), default=Value(0))


def _refunds() -> Any:
    refunds = StatementLine.objects.filter(payment=OuterRef("payment"), is_refund=True).order_by()
    return Subquery(refunds.values("payment").annotate(sum=Sum("amount")).values("sum"))


def _verdict() -> Any:
    is_same = Q(amount=F("payment__amount"), currency=F("payment__currency"))
    return Case(
        When(payment=None, then=Value(Verdict.THEIRS.value)),
        When(
            is_refund=True,
            refunds=F("payment__refunded_amount"),
            currency=F("payment__currency"),
            then=Value(Verdict.AGREE.value),
        ),
        When(is_refund=True, then=Value(Verdict.AMOUNT.value)),
        When(is_extra=1, then=Value(Verdict.THEIRS.value)),
        When(~is_same, then=Value(Verdict.AMOUNT.value)),
        When(payment__status__in=PAID, then=Value(Verdict.AGREE.value)),
        default=Value(Verdict.THEIRS.value),
        output_field=CharField(),
    )


def missing_payments(statement: Statement) -> QuerySet[Payment]:
    """
    Return the merchant's payments that are paid here in the statement's period, and in no statement.

    The gateway's date counts, else the date at which it was settled here. Without dates in the file there is no period,
    and the result is empty.
    """
    payments = Payment.objects.using(database()).filter(merchant_id=statement.merchant_id, status__in=PAID)
    if not statement.starts_at or not statement.ends_at:
        return payments.none()
    lines = StatementLine.objects.filter(payment=OuterRef("pk"))
    # The first condition, which the second one implies but for very late ones, is for the index.
    near = Q(settled_at__gte=statement.starts_at - timedelta(days=1), settled_at__lt=statement.ends_at + LATE)
    dated = payments.filter(near).annotate(paid_at=Coalesce("transaction_date", "settled_at"))
    dated = dated.filter(paid_at__gte=statement.starts_at, paid_at__lt=statement.ends_at)
    return dated.filter(~Exists(lines)).order_by("settled_at", "pk")


def compare(statement: Statement) -> dict[Verdict, Sums]:
    """Return the size and the sum of each of the four lists, in two queries. Refunds are subtracted."""
    groups = compared_lines(statement).order_by().values("verdict", "currency", "is_refund")
    rows = [
        (row["verdict"], row["currency"], row["count"], -row["sum"] if row["is_refund"] else row["sum"])
        for row in groups.annotate(count=Count("pk"), sum=Sum("amount"))
    ]
    missing = missing_payments(statement).order_by().values_list("currency")
    rows += [
        (Verdict.OURS, currency, count, amount)
        for currency, count, amount in missing.annotate(count=Count("pk"), sum=Sum("amount"))
    ]
    return {verdict: _sums([row[1:] for row in rows if row[0] == verdict]) for verdict in Verdict}


def _sums(rows: list[tuple[str, int, int]]) -> Sums:
    amounts: dict[str, int] = {}
    for currency, _count, amount in rows:
        amounts[currency] = amounts.get(currency, 0) + amount
    return Sums(sum(count for _currency, count, _amount in rows), amounts)
