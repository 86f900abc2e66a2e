"""Statements are imported once, row by row, and change no payment."""

import io
import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone as site_time

from django_paiementpro import services
from django_paiementpro.models import Payment, PaymentEvent, Statement, StatementLine, StatementPart
from django_paiementpro.services.statements import imports, uploads
from django_paiementpro.services.statements.columns import Columns, Role
from django_paiementpro.services.statements.comparison import Verdict, compare, compared_lines, missing_payments
from django_paiementpro.services.statements.imports import columns_of, first_rows, prune_statements
from django_paiementpro.services.statements.uploads import discard_uploads, opened_upload, store_upload
from django_paiementpro.tables import UnreadableTableError
from django_paiementpro.testing import make_payment
from tests.conftest import columns, just_before
from tests.statements.files import HEADINGS, NOON, csv_file, damaged, paid, row_of, xlsx_file
from tests.test_admin import flag

pytestmark = pytest.mark.django_db

SHORT = ("Transaction", "Référence", "Montant", "Date")


def load(rows: Any, headings: Any = SHORT, **options: Any) -> services.ImportedStatement:
    return services.import_statement(csv_file(rows, headings), **{"all_paid": True, **options})


def verdicts(statement: Statement | None) -> dict[int, str]:
    assert statement
    return {line.number: line.verdict for line in compared_lines(statement)}


def references(statement: Statement | None) -> list[str]:
    assert statement
    return [payment.reference for payment in missing_payments(statement)]


# The import.


def test_rows_are_stored_with_their_payments() -> None:
    user = User.objects.create_user("accountant")
    payment = paid("TX1", reference="abc")
    before = columns(payment)

    done = services.import_statement(csv_file([row_of(payment)]), file_name="relevé.csv", user=user)

    assert done.statement
    assert (done.new, done.known, done.matched, done.earlier) == (1, 0, 1, None)
    statement = Statement.objects.get()
    assert (statement.merchant_id, statement.file_name, statement.user) == ("PP-F324", "relevé.csv", user)
    assert (statement.rows, statement.known, statement.ignored, statement.unreadable) == (1, 0, 0, 0)
    assert (statement.starts_at, statement.ends_at) == (NOON.replace(hour=0), NOON.replace(day=4, hour=0))
    assert statement.columns["amount"] == "montant"
    assert statement.imported_at
    line = StatementLine.objects.get()
    assert (line.number, line.gateway_id, line.gateway_key, line.reference) == (2, "TX1", "tx1", "abc")
    assert (line.amount, line.fee, line.net, line.currency, line.paid_at) == (12500, 250, 12250, "XOF", NOON)
    assert line.payment == payment
    assert str(line) == f"{statement.pk}: 2"
    assert line.amount_display == "12\u202f500\u00a0F\u00a0CFA"
    # Neither the payment nor its history has changed.
    assert columns(Payment.objects.get()) == before
    assert not PaymentEvent.objects.exists()


def test_customers_are_not_stored() -> None:
    load([row_of(paid())], HEADINGS)
    stored = " ".join(str(vars(row)) for row in [*Statement.objects.all(), *StatementLine.objects.all()])
    assert "0707123456" not in stored
    assert "Koné" not in stored


@pytest.mark.parametrize("again", ["csv", "xlsx"])
def test_same_file_twice_changes_nothing(again: str) -> None:
    rows = [row_of(paid(f"TX{number}", reference=f"r{number}")) for number in range(3)]
    rows.append(rows[0])  # a row that says the same is another row
    first = load(rows, HEADINGS)
    before = [columns_of_row(row) for row in [*Statement.objects.all(), *StatementLine.objects.order_by("pk")]]

    file = csv_file(rows, encoding="utf-16") if again == "csv" else xlsx_file(rows)
    done = services.import_statement(file)

    assert (done.statement, done.earlier, done.new, done.known) == (None, first.statement, 0, 4)
    assert [columns_of_row(row) for row in [*Statement.objects.all(), *StatementLine.objects.order_by("pk")]] == before


def columns_of_row(row: Any) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_overlapping_file_adds_what_is_new() -> None:
    rows = [[f"TX{number}", "", 500, "2026-11-03"] for number in range(4)]
    load(rows[:3])

    done = load(rows[1:])

    assert done.statement
    assert (done.new, done.known) == (1, 2)
    assert [line.gateway_id for line in done.statement.lines.all()] == ["TX3"]
    assert done.statement.known == 2


def test_merchants_are_apart() -> None:
    other = paid("TX1", merchant_id="PP-OTHER", reference="abc")
    rows = [["TX1", "abc", 12500, "2026-11-03"]]

    assert load(rows).matched == 0
    done = load(rows, merchant_id="PP-OTHER")
    assert (done.new, done.matched) == (1, 1)
    assert StatementLine.objects.get(statement=done.statement).payment == other


def test_rows_that_cannot_be_read_are_listed_and_stop_nothing() -> None:
    done = load([["TX1", "", "?", "2026-11-03"], ["TX2", "", 500, "2026-11-03"], ["", "", "Total", ""]])
    assert done.statement
    assert done.statement.problems == [[2, "amount", "?"]]
    assert (done.statement.unreadable, done.statement.ignored, done.new) == (1, 1, 1)


def test_file_without_a_readable_row_is_kept_to_look_at() -> None:
    done = load([["TX1", "", "?", "2026-11-03"]])
    assert done.statement
    assert (done.new, done.statement.unreadable, done.statement.starts_at) == (0, 1, None)


def test_progress_is_counted_in_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "BATCH", 2)
    steps: list[int] = []
    rows = [[f"TX{number}", "", "?" if number == 4 else 500, "2026-11-03"] for number in range(5)]
    load(rows, progress=steps.append)
    assert sum(steps) == 5
    assert len(steps) > 2


# Columns.


def test_columns_are_remembered_by_merchant() -> None:
    file = csv_file([["TX1", "100", "500", "2026-11-03"]], ("Code", "Montant", "Versé", "Date"))
    chosen = Columns(1, ["Code", "Montant", "Versé", "Date"], {Role.GATEWAY_ID: 0, Role.AMOUNT: 2, Role.DATE: 3})
    services.import_statement(file, columns=chosen, all_paid=True)

    other = csv_file([["2026-11-04", "600", "TX2", "100"]], ("Date", "Versé", "Code", "Montant"))
    assert columns_of(first_rows(other), "PP-F324").places == {Role.GATEWAY_ID: 2, Role.AMOUNT: 1, Role.DATE: 0}
    assert columns_of(first_rows(other), "PP-OTHER").places[Role.AMOUNT] == 3
    done = services.import_statement(other, all_paid=True)
    assert done.statement
    assert done.statement.lines.get().amount == 600


@pytest.mark.parametrize("work", [services.import_statement, services.preview_statement])
def test_file_without_a_status_is_read_only_if_all_rows_are_paid(work: Any) -> None:
    file = csv_file([["TX1", "", 500, "2026-11-03"]], SHORT)
    with pytest.raises(ValidationError) as caught:
        work(file)
    assert caught.value.code == "status"
    assert not Statement.objects.exists()
    assert work(file, all_paid=True).new == 1


STATUS = (*SHORT, "Statut")


@pytest.mark.parametrize("work", [services.import_statement, services.preview_statement])
def test_new_status_column_is_not_ignored(work: Any) -> None:
    load([["TX1", "", 500, "2026-11-03"]])
    file = csv_file([["TX2", "", 500, "2026-11-04", "Échec"]], STATUS)
    proposed = columns_of(first_rows(file), "PP-F324")
    assert (proposed.places[Role.STATUS], proposed.has_new_status) == (4, True)

    with pytest.raises(ValidationError, match="The column “Statut” looks like a status") as caught:
        work(file, all_paid=True)

    assert caught.value.code == "new_status"
    assert Statement.objects.count() == 1
    done = work(file, columns=Columns(1, STATUS, proposed.places))
    assert (done.new, done.reading.ignored) == (0, 1)


def test_status_that_an_earlier_file_had_is_remembered() -> None:
    load([["TX1", "", 500, "2026-11-03", "OK"]], STATUS)
    load([["TX2", "", 500, "2026-11-03"]])

    assert load([["TX3", "", 500, "2026-11-04", "Échec"]], STATUS, all_paid=False).reading.ignored == 1


def test_column_with_another_meaning_is_no_new_status() -> None:
    file = csv_file([["TX1", "500", "Paiement"]], ("Transaction", "Montant", "Statut"))
    chosen = Columns(1, ["Transaction", "Montant", "Statut"], {Role.GATEWAY_ID: 0, Role.AMOUNT: 1, Role.KIND: 2})
    services.import_statement(file, columns=chosen, all_paid=True)

    assert columns_of(first_rows(file), "PP-F324") == chosen


def test_unknown_columns_are_an_error() -> None:
    with pytest.raises(ValidationError) as caught:
        load([["TX1", 500]], ("a", "b"))
    assert caught.value.code == "columns"
    assert not Statement.objects.exists()


# Interrupted, concurrent and undone imports.


def test_file_that_breaks_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "BATCH", 10)
    rows = [[f"TX{number}", "", 500, "2026-11-03"] for number in range(3_000)]
    steps: list[int] = []
    with pytest.raises(UnreadableTableError):
        services.import_statement(damaged(xlsx_file(rows, SHORT)), progress=steps.append, all_paid=True)
    assert sum(steps) > 100
    assert not Statement.objects.exists()
    assert not StatementLine.objects.exists()
    assert load(rows[:5]).new == 5


def uploaded(rows: Any = (), **values: Any) -> Statement:
    file = csv_file(rows or [["TX1", "", 500, "2026-11-03"]], SHORT)
    statement = store_upload(file, merchant_id="PP-F324", file_name="f.csv", user=None)
    Statement.objects.filter(pk=statement.pk).update(**values)
    statement.refresh_from_db()
    return statement


def load_upload(statement: Statement) -> services.ImportedStatement:
    with opened_upload(statement) as file:
        return services.import_statement(file, statement=statement, all_paid=True)


def test_upload_is_imported_once_and_its_file_deleted() -> None:
    statement = uploaded()
    again = Statement.objects.get(pk=statement.pk)

    done = load_upload(statement)

    assert done.statement
    assert done.statement.pk == statement.pk
    assert not StatementPart.objects.exists()
    with pytest.raises(ValidationError) as caught:
        load([["TX9", "", 1, "2026-11-03"]], statement=again)
    assert caught.value.code == "changed"
    assert StatementLine.objects.count() == 1


def test_large_upload_is_stored_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PART", 10)
    content = csv_file([[f"TX{number}", "é", 500, "2026-11-03"] for number in range(10)], SHORT)
    statement = store_upload(
        content, merchant_id="PP-F324", file_name="f" * 300 + ".csv", user=User.objects.create_user("a")
    )
    assert StatementPart.objects.count() > 5
    assert str(StatementPart.objects.all()[0]) == f"{statement.pk}: 0"
    assert len(statement.file_name) == 255
    with opened_upload(statement) as file:
        assert file.read() == content.getvalue()


def test_imports_of_a_merchant_wait_for_each_other() -> None:
    now = site_time.now()
    at_work = Statement.objects.create(seen_at=now)
    with pytest.raises(ValidationError) as caught:
        load([["TX1", "", 500, "2026-11-03"]])
    assert caught.value.code == "busy"
    assert load([["TX1", "", 500, "2026-11-03"]], merchant_id="PP-OTHER").new == 1
    assert Statement.objects.filter(pk=at_work.pk).exists()


def test_killed_import_is_taken_over() -> None:
    rows = [["TX1", "", 500, "2026-11-03"], ["TX2", "", 500, "2026-11-03"]]
    dead = load(rows).statement
    assert dead
    Statement.objects.filter(pk=dead.pk).update(imported_at=None, seen_at=site_time.now() - timedelta(minutes=6))

    done = load(rows)

    assert (done.new, done.known) == (2, 0)
    assert [statement.pk for statement in Statement.objects.all()] == [done.statement.pk if done.statement else None]


def test_killed_import_of_an_upload_can_be_repeated() -> None:
    statement = uploaded(seen_at=site_time.now() - timedelta(minutes=6))
    StatementLine.objects.create(statement=statement, number=2, digest="x", amount=1, currency="XOF")

    assert load_upload(statement).new == 1
    assert [line.gateway_id for line in StatementLine.objects.all()] == ["TX1"]


def test_upload_stays_if_its_import_fails() -> None:
    file = damaged(xlsx_file([[f"TX{number}", "", 500, "2026-11-03"] for number in range(3_000)], SHORT))
    statement = store_upload(file, merchant_id="PP-F324", file_name="f.xlsx", user=None)
    with pytest.raises(UnreadableTableError):
        load_upload(statement)
    statement.refresh_from_db()
    assert (statement.seen_at, statement.imported_at) == (None, None)
    assert statement.parts.exists()
    assert not StatementLine.objects.exists()


@pytest.mark.parametrize("words", [("INSERT", "paiementpro_statementline"), ("SET", "unreadable")])
def test_statement_deleted_during_its_import_is_an_error(words: tuple[str, str]) -> None:
    def delete() -> None:
        StatementLine.objects.all().delete()
        Statement.objects.all().delete()

    if words[0] == "INSERT":
        words = ("UPDATE", "seen_at")
    with just_before(delete, *words), pytest.raises(ValidationError) as caught:
        load([["TX1", "", 500, "2026-11-03"]])
    assert caught.value.code == "changed"
    assert not StatementLine.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_same_file_at_once_is_imported_once(alone: None) -> None:
    rows = [[f"TX{number}", "", 500, "2026-11-03"] for number in range(300)]
    results: list[Any] = []
    barrier = threading.Barrier(6)

    def work() -> None:
        barrier.wait()
        try:
            results.append(load(rows).new)
        except ValidationError as error:
            results.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results.count(300) == 1
    assert {*results} <= {300, 0, "busy"}
    assert Statement.objects.count() == 1
    assert StatementLine.objects.count() == 300


def test_statement_is_deleted_with_its_lines() -> None:
    rows = [["TX1", "", 500, "2026-11-03"], ["TX2", "", 500, "2026-11-03"]]
    done = load(rows)
    assert done.statement

    assert services.delete_statement(done.statement) == 2
    assert not Statement.objects.exists()
    assert load(rows).new == 2


def test_preview_writes_nothing() -> None:
    payment = paid()
    load([["TX1", "", 12500, "2026-11-03"]])
    rows = [["TX1", "", 12500, "2026-11-03"], ["TX2", payment.reference, 500, "2026-11-03"], ["TX3", "", "?", ""]]
    before = [columns_of_row(row) for row in [*Statement.objects.all(), *StatementLine.objects.all()]]

    done = services.preview_statement(csv_file(rows, SHORT), all_paid=True)

    assert (done.statement, done.new, done.known, done.matched, done.reading.unreadable) == (None, 1, 1, 1, 1)
    assert [columns_of_row(row) for row in [*Statement.objects.all(), *StatementLine.objects.all()]] == before


# Whose payment a row is about.


def test_row_names_one_of_the_attempts() -> None:
    payment = paid("TX1", reference="abc", attempt=3)
    rows = [
        [f"Z{n}", reference, 12500, "2026-11-03"]
        for n, reference in enumerate(["abc", "abc-2", "abc-3", "abc-4", "ab", "ABC"])
    ]
    load(rows)
    matched = list(StatementLine.objects.order_by("number").values_list("payment", flat=True))
    assert matched == [payment.pk] * 3 + [None] * 3


def test_reference_comes_before_the_transaction() -> None:
    first, second = paid("TX1", reference="abc"), paid("TX2", reference="def")
    load([["TX1", "def", 12500, "2026-11-03"], ["tx-2", "", 12500, "2026-11-03"], ["TX1", "zzz", 12500, "2026-11-03"]])
    assert [line.payment for line in StatementLine.objects.order_by("number")] == [second, second, first]


def test_transaction_of_two_payments_is_the_first_one() -> None:
    first = paid("TX1", reference="abc")
    paid("TX1", reference="def")
    load([["TX1", "", 12500, "2026-11-03"]])
    assert StatementLine.objects.get().payment == first


def test_second_transaction_of_a_payment_is_known_by_its_finding() -> None:
    payment = paid("TX1")
    flag(payment, "paid_twice", "TX1 TX2", gateway_key="tx2")
    load([["TX2", "", 12500, "2026-11-03"]])
    assert StatementLine.objects.get().payment == payment


# The four lists.


def test_paid_payment_agrees() -> None:
    payment = paid("TX1", reference="abc")
    done = load([["TX1", "abc", 12500, "2026-11-03"]])
    assert verdicts(done.statement) == {2: "agree"}
    assert references(done.statement) == []
    # Another transaction number under the reference is still the payment's only row.
    StatementLine.objects.update(gateway_id="OTHER", gateway_key="other")
    assert verdicts(done.statement) == {2: "agree"}
    Payment.objects.filter(pk=payment.pk).update(status="refunded")
    assert verdicts(done.statement) == {2: "agree"}


@pytest.mark.parametrize("status", ["created", "pending", "failed", "expired", "cancelled"])
def test_payment_that_is_not_paid_here_is_only_theirs(status: str) -> None:
    payment = make_payment(status=status, attempt=1, reference="abc")
    done = load([["TX1", "abc", 12500, "2026-11-03"]])
    assert verdicts(done.statement) == {2: "theirs"}
    # It agrees as soon as it is paid.
    services.confirm_payment(payment, User.objects.create_user("a"), gateway_id="TX1", amount=12500, reason="row 2")
    assert verdicts(done.statement) == {2: "agree"}


def test_money_of_no_payment_is_only_theirs() -> None:
    assert verdicts(load([["TX1", "abc", 12500, "2026-11-03"], ["TX2", "", -1, "2026-11-03"]]).statement) == {
        2: "theirs",
        3: "theirs",
    }


@pytest.mark.parametrize("status", ["succeeded", "pending"])
def test_amount_or_currency_differs(status: str) -> None:
    paid("TX1", reference="abc", status=status)
    paid("TX2", reference="def", status=status)
    headings = (*SHORT, "Devise")
    rows = [["TX1", "abc", 12000, "2026-11-03", "XOF"], ["TX2", "def", 12500, "2026-11-03", "EUR"]]
    done = load(rows, headings)
    assert verdicts(done.statement) == {2: "amount", 3: "amount"}


@pytest.mark.parametrize("order", [["TX1", "TX2"], ["TX2", "TX1"]])
def test_second_transaction_of_a_payment_is_only_theirs(order: list[str]) -> None:
    paid("TX1", reference="abc")
    first = load([[order[0], "abc", 12500, "2026-11-03"]]).statement
    second = load([[order[1], "abc", 12500, "2026-11-04"]]).statement
    found = {number: verdict for statement in (first, second) for number, verdict in verdicts(statement).items()}
    assert found == {2: verdicts(second)[2]}
    by_id = {
        line.gateway_id: line.verdict
        for statement in (first, second)
        if statement
        for line in compared_lines(statement)
    }
    assert by_id == {"TX1": "agree", "TX2": "theirs"}


def test_transaction_that_is_listed_twice_counts_once() -> None:
    paid("TX1", reference="abc")
    done = load([["TX1", "abc", 12500, "2026-11-03"], ["TX1", "abc", 12500, "2026-11-03"]])
    assert verdicts(done.statement) == {2: "agree", 3: "theirs"}


def test_rows_without_transactions_count_once_too() -> None:
    make_payment(status="succeeded", attempt=1, reference="abc")
    done = load([["", "abc", 12500, "2026-11-03"], ["", "abc", 12500, "2026-11-04"]])
    assert verdicts(done.statement) == {2: "agree", 3: "theirs"}


def test_refunds_agree_by_their_sum() -> None:
    payment = paid("TX1", reference="abc", refunded_amount=3000)
    done = load([["TX1", "abc", 12500, "2026-11-03"], ["R1", "abc", -2000, "2026-11-04"]])
    assert verdicts(done.statement) == {2: "agree", 3: "amount"}
    # The rest of the refund is in the next statement.
    later = load([["R2", "abc", -1000, "2026-11-05"]])
    assert verdicts(done.statement) == {2: "agree", 3: "agree"}
    assert verdicts(later.statement) == {2: "agree"}
    Payment.objects.filter(pk=payment.pk).update(refunded_amount=0)
    assert verdicts(later.statement) == {2: "amount"}


def test_payments_that_no_statement_has_are_only_ours() -> None:
    missing = paid("TX2", reference="missing")
    other_day = NOON + timedelta(days=1)
    for reference, values in {
        "listed": {},
        "elsewhere": {"merchant_id": "PP-OTHER"},
        "waiting": {"status": "pending"},
        "before": {"transaction_date": NOON - timedelta(days=1)},
        "after": {"transaction_date": other_day},
        "earlier": {"settled_at": NOON - timedelta(days=1), "transaction_date": None},
    }.items():
        paid(f"X{reference}", reference=reference, **values)
    late = paid("TX3", reference="late", settled_at=NOON + timedelta(days=5))
    refunded = paid("TX4", reference="refunded", status="refunded", transaction_date=None)

    done = load([["Xlisted", "listed", 12500, "2026-11-03 12:00"]])

    assert set(references(done.statement)) == {missing.reference, late.reference, refunded.reference}
    # A later statement has it.
    load([["TX2", "missing", 12500, "2026-11-06"]])
    assert set(references(done.statement)) == {late.reference, refunded.reference}


def test_file_without_dates_has_no_period() -> None:
    paid("TX2")
    done = load([["TX1", 500]], ("Transaction", "Montant"))
    assert references(done.statement) == []


def test_lists_are_counted_and_summed() -> None:
    paid("TX1", reference="abc")
    paid("TX2", reference="def", amount=700)
    done = load([["TX1", "abc", 12500, "2026-11-03"], ["TX3", "", 500, "2026-11-03"], ["TX4", "", -200, "2026-11-03"]])
    assert done.statement
    lists = compare(done.statement)
    assert {verdict: (sums.count, sums.amounts) for verdict, sums in lists.items()} == {
        Verdict.AGREE: (1, {"XOF": 12500}),
        Verdict.THEIRS: (2, {"XOF": 300}),
        Verdict.OURS: (1, {"XOF": 700}),
        Verdict.AMOUNT: (0, {}),
    }


def test_thousand_rows_with_every_kind_of_difference() -> None:
    """A month of a shop: each kind of row in its list, none lost, whatever the file looks like."""
    payments = {number: paid(f"TX{number:04}", reference=f"order{number:04}", attempt=2) for number in range(900)}
    rows = []
    for number, payment in payments.items():
        if number % 50 == 1:
            continue  # 18 are only ours
        values: dict[str, Any] = {"reference": f"{payment.reference}-2" if number % 2 else payment.reference}
        if number % 50 == 2:
            values |= {"amount": "12 000,00", "net": "11 750"}  # 18 with another amount
        if number % 50 == 3:
            values |= {"reference": "", "gateway_id": f" tx-{number:04} "}
        rows.append(row_of(payment, **values))
    waiting = [
        make_payment(status=status, attempt=1, reference=f"w{n}{status}")
        for n in range(4)
        for status in ("pending", "failed", "expired", "cancelled")
    ]
    rows += [row_of(payment, gateway_id=f"W{payment.pk}") for payment in waiting]  # 16 wait here
    rows += [row_of(payments[0], gateway_id=f"U{number}", reference="") for number in range(20)]  # 20 unknown
    rows += [row_of(payments[number * 50], gateway_id=f"D{number}") for number in range(5)]  # 5 paid twice
    rows += [
        row_of(payments[number * 50], gateway_id=f"R{number}", amount="-500", fee="", net="") for number in range(4)
    ]
    Payment.objects.filter(pk=payments[0].pk).update(refunded_amount=500)
    rows += [row_of(payments[0], gateway_id=f"F{number}", status="Échec") for number in range(40)]
    rows += [row_of(payments[0], amount="?", gateway_id=f"Q{number}") for number in range(13)]
    rows += [row_of(payments[0], date="31/11/2026", gateway_id=f"B{number}") for number in range(7)]
    rows += [[], ["", "", "", "", "Total", "12 500 000"]]
    headings = [["Relevé du marchand"], ["PP-F324"], [], list(HEADINGS)]
    file = io.BytesIO("\n".join(";".join(map(str, row)) for row in [*headings, *rows]).encode("cp1252"))

    done = services.import_statement(file)

    assert done.statement
    lists = {verdict.value: sums.count for verdict, sums in compare(done.statement).items()}
    assert lists == {"agree": 882 - 18 + 1, "theirs": 16 + 20 + 5, "ours": 18, "amount": 18 + 3}
    assert (done.statement.unreadable, done.statement.ignored, done.statement.rows) == (20, 41, len(rows) - 1)
    assert sum(lists.values()) - lists["ours"] == done.new
    assert done.statement.rows == done.new + 20 + 41


# Personal data.


def test_what_may_be_personal_is_pruned() -> None:
    payment = paid("TX1", reference="abc")
    old = load(
        [["TX1", "abc", 12500, "2026-11-03"], ["TX2", "0707123456", 500, "2026-11-03"], ["TX3", "x", "Awa Koné", ""]],
        file_name="Awa Koné.csv",
    )
    waiting = uploaded(created_at=site_time.now() - timedelta(days=2))
    assert old.statement
    Statement.objects.filter(pk=old.statement.pk).update(created_at=NOON - timedelta(days=400))
    recent = load([["TX5", "ref5", 500, "2026-11-03"]], file_name="recent.csv")
    assert recent.statement

    services.prune_personal_data(NOON - timedelta(days=100))
    services.prune_personal_data(NOON - timedelta(days=100))

    statement = Statement.objects.get(pk=old.statement.pk)
    assert (statement.file_name, statement.problems) == ("", [[4, "amount", ""]])
    assert str(statement) == f"PP-F324 {statement.pk}"
    assert dict(statement.lines.values_list("reference", "payment")) == {"abc": payment.pk, "": None}
    assert Statement.objects.get(pk=recent.statement.pk).file_name == "recent.csv"
    assert recent.statement.lines.get().reference == "ref5"
    assert not Statement.objects.filter(pk=waiting.pk).exists()
    # The file is still known.
    assert load([["TX1", "abc", 12500, "2026-11-03"]]).known == 1


def test_uploads_are_deleted_after_a_day() -> None:
    now = site_time.now()
    old = uploaded(created_at=now - timedelta(days=2))
    at_work = uploaded(created_at=now - timedelta(days=2), seen_at=now)
    assert not Statement.objects.filter(pk=old.pk).exists()  # by the next upload
    assert discard_uploads(now - timedelta(days=1)) == 0
    assert Statement.objects.filter(pk=at_work.pk).exists()
    with opened_upload(old) as file:
        assert file.read() == b""


def test_pruning_leaves_uploads_to_their_day() -> None:
    statement = uploaded()
    prune_statements(datetime(2100, 1, 1, tzinfo=timezone.utc))
    assert Statement.objects.get(pk=statement.pk).file_name == "f.csv"


def test_deleted_payment_leaves_its_line() -> None:
    payment = paid("TX1")
    done = load([["TX1", "", 12500, "2026-11-03"]])
    payment.delete()
    assert verdicts(done.statement) == {2: "theirs"}
