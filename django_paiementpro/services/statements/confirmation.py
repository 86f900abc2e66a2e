"""
Confirm a payment from a row of a statement.

The row is the proof: the event of the confirmation has a copy of it, and the statement can no longer be deleted.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from django_paiementpro.db.connections import database
from django_paiementpro.models import Payment, PaymentEvent, Statement, StatementLine, StatementProof
from django_paiementpro.services import staff
from django_paiementpro.services.statements.comparison import Verdict, compared


def compared_line(pk: int) -> Any:
    """Return a row of an imported statement as ``compared_lines`` does, or None."""
    lines = StatementLine.objects.using(database()).filter(pk=pk, statement__imported_at__isnull=False)
    return compared(lines.select_related("statement__user", "payment")).first()


def is_proof_of(line: Any, payment: Payment) -> bool:
    """
    Return whether a compared row proves that a payment that is unpaid here was made.

    It has the payment's merchant, reference, amount and currency, and a transaction. Without a reference, it must have
    the transaction that the gateway has reported for this payment.
    """
    if line.verdict != Verdict.THEIRS or line.is_extra or line.payment_id != payment.pk or not line.gateway_key:
        return False
    if line.reference:
        is_named = payment.attempt_of(line.reference) is not None
    else:
        is_named = line.gateway_key == payment.gateway_key
    return is_named and line.statement.merchant_id == payment.merchant_id


def proof_of(line: StatementLine) -> Mapping[str, Any]:
    """Return what the event of a confirmation keeps of the row that proves it."""
    statement = line.statement
    user = statement.user
    return {
        "id": statement.pk,
        "merchant": statement.merchant_id,
        "file": statement.file_name,
        "row": line.number,
        "digest": line.digest,
        "gateway_id": line.gateway_id,
        "reference": line.reference,
        "amount": line.amount,
        "currency": line.currency,
        "paid_at": line.paid_at.isoformat() if line.paid_at else "",
        "imported_by": user.get_username() if user else "",
        "imported_by_id": str(user.pk) if user else "",
        "imported_at": statement.imported_at.isoformat() if statement.imported_at else "",
    }


def confirm_from_line(payment: Payment, user: AbstractBaseUser, line: Any, *, note: str = "") -> PaymentEvent:
    """
    Settle a payment as succeeded, with a compared row of a statement as the proof.

    Raises ``ValidationError`` as ``confirm_payment`` does, and if the row does not prove this payment (``not_proof``)
    or its statement has just been deleted (``changed``).
    """
    if not is_proof_of(line, payment):
        raise ValidationError(_("This row of the statement does not prove the payment."), code="not_proof")
    return staff.confirm(
        payment,
        user,
        gateway_id=line.gateway_id,
        amount=line.amount,
        reason=note,
        attempt=payment.attempt_of(line.reference) or 0,
        proof={"statement": proof_of(line)},
        keep_proof=partial(_keep, line.statement_id),
    )


def _keep(statement: int, event: PaymentEvent) -> None:
    # delete_statement() locks it too.
    if not list(Statement.objects.using(database()).select_for_update().filter(pk=statement)):
        raise ValidationError(_("This statement has been deleted in the meantime. Nothing was done."), code="changed")
    StatementProof.objects.using(database()).create(statement_id=statement, event=event)


def is_kept(statement: Statement) -> bool:
    """Return whether a payment was confirmed from a statement, which can therefore not be deleted."""
    return StatementProof.objects.using(database()).filter(statement=statement.pk).exists()


def require_no_proof(statement: Statement) -> None:
    """Raise ``ValidationError`` (``proof``) if a payment was confirmed from a statement."""
    if is_kept(statement):
        raise ValidationError(
            _("A payment was confirmed from this statement. It is the proof, and cannot be deleted."), code="proof"
        )
