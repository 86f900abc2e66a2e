"""Which payment a row of a statement is about."""

from collections.abc import Iterable, Iterator, Sequence

from django_paiementpro.db.connections import database
from django_paiementpro.models import Finding, Payment
from django_paiementpro.services.statements.rows import Row


def match(rows: Sequence[Row], merchant_id: str) -> dict[int, int]:
    """
    Return the keys of the merchant's payments by the numbers of the rows, for the rows that have one.

    A reference names one payment, so it comes first. A transaction id leads to the payment that was settled with it, or
    that has a finding about it: the second transaction of a customer who has paid twice.
    """
    payments = Payment.objects.using(database()).filter(merchant_id=merchant_id).order_by("pk")
    references = {name for row in rows for name in _references(row)}
    found = payments.filter(reference__in=references).only("pk", "reference", "attempt") if references else ()
    # By exact text: MariaDB compares without case.
    by_reference = {payment.reference: payment for payment in found}
    matches: dict[int, int] = {}
    for row in rows:
        named = (by_reference.get(name) for name in _references(row))
        if payment := next((each for each in named if each and each.attempt_of(row.reference)), None):
            matches[row.number] = payment.pk
    left = [row for row in rows if row.number not in matches and row.key]
    by_key = _first_of(payments.filter(gateway_key__in={row.key for row in left}).values_list("gateway_key", "pk"))
    findings = Finding.objects.using(database()).filter(payment__merchant_id=merchant_id).order_by("pk")
    missing = {row.key for row in left} - by_key.keys()
    if missing:
        by_key |= _first_of(findings.filter(gateway_key__in=missing).values_list("gateway_key", "payment"))
    return matches | {row.number: by_key[row.key] for row in left if row.key in by_key}


def _references(row: Row) -> Iterator[str]:
    """Return the references that a payment of this row may have: the row may name one of its attempts."""
    if row.reference:
        yield row.reference
        stem, hyphen, number = row.reference.rpartition("-")
        if hyphen and number.isdecimal():
            yield stem


def _first_of(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, payment in pairs:
        found.setdefault(key, payment)
    return found
