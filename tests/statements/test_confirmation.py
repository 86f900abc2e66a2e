"""Payments confirmed from a row of a statement: what proves them, and how the proof is kept."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from django_paiementpro import services
from django_paiementpro.enums import Reason
from django_paiementpro.models import Finding, Payment, Statement, StatementLine, StatementProof
from django_paiementpro.services.statements.confirmation import compared_line, confirm_from_line, is_proof_of
from django_paiementpro.testing import make_payment
from tests.conftest import just_before
from tests.server.threads import at_once
from tests.statements.files import NOON, csv_file

pytestmark = pytest.mark.django_db

SHORT = ("Transaction", "Référence", "Montant", "Date", "Devise")
ROW = ("TX1", "abc", 12500, "2026-11-03 12:00", "XOF")


@pytest.fixture
def awa() -> User:
    return User.objects.create_user("awa")


def waiting(**values: Any) -> Payment:
    return make_payment(**{"status": "pending", "attempt": 1, "reference": "abc", **values})


def load(*rows: Any, **options: Any) -> Statement:
    values = {"file_name": "relevé.csv", "all_paid": True, **options}
    statement = services.import_statement(csv_file(rows or [ROW], SHORT), **values).statement
    assert statement
    return statement


def line_of(statement: Statement, number: int = 2) -> Any:
    return compared_line(statement.lines.get(number=number).pk)


def refuse(payment: Payment, user: User, line: Any) -> str:
    """Return why the payment is not confirmed."""
    with pytest.raises(ValidationError) as caught:
        confirm_from_line(payment, user, line)
    payment.refresh_from_db()
    assert payment.status != "succeeded"
    assert not payment.events.filter(kind="staff").exists()
    assert not StatementProof.objects.exists()
    return str(caught.value.code)


# What proves a payment.


def test_event_keeps_the_row_that_proves_the_payment(awa: User) -> None:
    binta = User.objects.create_user("binta")
    payment = waiting()
    statement = load(user=binta)

    event = confirm_from_line(payment, awa, line_of(statement), note="She called")

    payment.refresh_from_db()
    assert (payment.status, payment.settled_by, payment.gateway_id) == ("succeeded", "staff", "TX1")
    assert event.message == "She called"
    statement.refresh_from_db()
    assert statement.imported_at
    assert event.data == {
        "action": "confirm",
        "user": "awa",
        "user_id": str(awa.pk),
        "gateway_id": "TX1",
        "amount": 12500,
        "statement": {
            "id": statement.pk,
            "merchant": "PP-F324",
            "file": "relevé.csv",
            "row": 2,
            "digest": statement.lines.get().digest,
            "gateway_id": "TX1",
            "reference": "abc",
            "amount": 12500,
            "currency": "XOF",
            "paid_at": NOON.isoformat(),
            "imported_by": "binta",
            "imported_by_id": str(binta.pk),
            "imported_at": statement.imported_at.isoformat(),
        },
    }
    proof = StatementProof.objects.get()
    assert (proof.event, proof.statement) == (event, statement)
    assert str(proof) == f"{statement.pk}: {event.pk}"


def test_row_without_a_date_or_a_person_is_a_proof(awa: User) -> None:
    payment = waiting()
    file = csv_file([["TX1", "abc", 12500]], SHORT[:3])
    statement = services.import_statement(file, all_paid=True).statement
    assert statement

    event = confirm_from_line(payment, awa, line_of(statement))

    assert event.data["statement"].items() >= {"paid_at": "", "imported_by": "", "imported_by_id": ""}.items()


@pytest.mark.parametrize(("reference", "attempt"), [("abc", 1), ("abc-2", 2)])
def test_row_names_one_of_the_attempts(awa: User, reference: str, attempt: int) -> None:
    payment = waiting(attempt=2)
    confirm_from_line(payment, awa, line_of(load(("TX1", reference, 12500, "2026-11-03", ""))))
    assert (payment.status, payment.settled_attempt) == ("succeeded", attempt)


@pytest.mark.parametrize(
    "row",
    [
        ("TX1", "abc", 12000, "2026-11-03", ""),
        ("TX1", "abc", 12500, "2026-11-03", "EUR"),
        ("TX1", "abc", -12500, "2026-11-03", ""),
        ("", "abc", 12500, "2026-11-03", ""),
    ],
)
def test_row_with_another_amount_or_without_a_transaction_proves_nothing(awa: User, row: Any) -> None:
    assert refuse(waiting(), awa, line_of(load(row))) == "not_proof"


def test_second_row_of_a_payment_proves_nothing(awa: User) -> None:
    payment = waiting()
    statement = load(ROW, ("TX2", *ROW[1:]))
    assert refuse(payment, awa, line_of(statement, 3)) == "not_proof"


def test_row_of_another_payment_proves_nothing(awa: User) -> None:
    waiting()
    assert refuse(waiting(reference="def"), awa, line_of(load())) == "not_proof"
    # The gateway has reported this transaction twice: the first payment has it.
    waiting(reference="ghi", status="failed", gateway_id="TX2")
    other = waiting(reference="jkl", status="failed", gateway_id="TX2")
    assert refuse(other, awa, line_of(load(("TX2", "", 12500, "2026-11-03", "")))) == "not_proof"


def test_row_of_another_merchant_proves_nothing(awa: User) -> None:
    payment = waiting()
    statement = load()
    Statement.objects.update(merchant_id="PP-OTHER")
    assert refuse(payment, awa, line_of(statement)) == "not_proof"


def test_row_with_another_reference_proves_nothing(awa: User) -> None:
    payment = waiting(status="failed", gateway_id="TX1")
    line = line_of(load(("TX1", "zzz", 12500, "2026-11-03", "")))
    assert line.payment == payment
    assert refuse(payment, awa, line) == "not_proof"


def test_row_without_a_reference_has_the_transaction_of_the_payment(awa: User) -> None:
    payment = waiting(status="failed", gateway_id="TX-1")
    confirm_from_line(payment, awa, line_of(load(("TX1", "", 12500, "2026-11-03", ""))))
    assert payment.status == "succeeded"


def test_row_that_only_a_finding_leads_to_proves_nothing(awa: User) -> None:
    payment = waiting()
    Finding.objects.create(payment=payment, reason=Reason.REFERENCE, detail="zzz", gateway_key="tx1")
    line = line_of(load(("TX1", "", 12500, "2026-11-03", "")))
    assert line.payment == payment
    assert refuse(payment, awa, line) == "not_proof"


def test_paid_payment_needs_no_proof(awa: User) -> None:
    payment = waiting(status="succeeded", gateway_id="TX1", settled_at=NOON)
    assert not is_proof_of(line_of(load()), payment)


def test_statement_that_is_still_imported_proves_nothing() -> None:
    waiting()
    statement = load()
    Statement.objects.update(imported_at=None)
    assert compared_line(statement.lines.get().pk) is None


def test_transaction_that_has_paid_is_refused(awa: User) -> None:
    make_payment(status="succeeded", attempt=1, reference="def", gateway_id="TX1")
    payment = waiting()
    assert refuse(payment, awa, line_of(load())) == "gateway_id_taken"


# How the proof is kept.


def test_statement_that_proves_a_payment_cannot_be_deleted(awa: User) -> None:
    payment = waiting()
    statement = load()
    confirm_from_line(payment, awa, line_of(statement))

    with pytest.raises(ValidationError) as caught:
        services.delete_statement(statement)

    assert caught.value.code == "proof"
    with pytest.raises(ProtectedError):
        statement.delete()
    with pytest.raises(ProtectedError):
        Statement.objects.all().delete()
    assert statement.lines.count() == 1


def test_database_keeps_the_statement_too(awa: User) -> None:
    payment = waiting()
    statement = load()
    confirm_from_line(payment, awa, line_of(statement))
    StatementLine.objects.all().delete()

    def delete() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM paiementpro_statement WHERE id = %s", [statement.pk])
            connection.check_constraints()

    with pytest.raises(IntegrityError):
        delete()


def test_statement_can_be_deleted_once_its_payment_is(awa: User) -> None:
    payment = waiting()
    statement = load()
    confirm_from_line(payment, awa, line_of(statement))
    payment.delete()
    assert services.delete_statement(statement) == 1


def test_statement_deleted_at_the_last_moment_proves_nothing(awa: User) -> None:
    payment = waiting()
    statement = load()
    line = line_of(statement)

    def delete() -> None:
        services.delete_statement(statement)

    with just_before(delete, "UPDATE", "paiementpro_payment"):
        assert refuse(payment, awa, line) == "changed"


@pytest.mark.django_db(transaction=True)
def test_statement_is_a_proof_or_deleted(alone: None, awa: User) -> None:
    for number in range(5):
        payment = waiting(reference=f"abc{number}")
        statement = load((f"TX{number}", payment.reference, 12500, "2026-11-03", ""))
        line = line_of(statement)

        def confirm(payment: Payment = payment, line: Any = line) -> str:
            try:
                confirm_from_line(payment, awa, line)
            except ValidationError as error:
                return str(error.code)
            return "confirmed"

        def delete(statement: Statement = statement) -> str:
            try:
                services.delete_statement(statement)
            except ValidationError as error:
                return str(error.code)
            return "deleted"

        assert at_once(confirm, delete) in (["confirmed", "proof"], ["changed", "deleted"])
        payment.refresh_from_db()
        is_paid = payment.status == "succeeded"
        assert Statement.objects.filter(pk=statement.pk).exists() == is_paid
        assert StatementLine.objects.filter(pk=line.pk).exists() == is_paid
