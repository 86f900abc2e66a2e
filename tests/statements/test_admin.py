"""Statements in the admin."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.admin.statements import forms, lists, pages
from django_paiementpro.models import Payment, Statement, StatementLine
from django_paiementpro.services.statements.confirmation import compared_line, confirm_from_line
from django_paiementpro.services.statements.uploads import store_upload
from django_paiementpro.testing import make_payment
from tests.conftest import Statements, just_before
from tests.statements.files import HEADINGS, csv_file, damaged, paid, row_of, xlsx_file
from tests.test_export import read

pytestmark = pytest.mark.django_db

LIST = "/admin/paiementpro/statement/"
SHORT = ("Transaction", "Référence", "Montant", "Date", "Frais")
CHOSEN = {"row": 1, "gateway_id": 0, "reference": 1, "amount": 2, "date": 3, "fee": 4, "all_paid": "on"}
ALL = ("add_statement", "view_statement", "delete_statement", "view_payment", "confirm_payment")


def client_of(*codenames: str) -> Client:
    user = User.objects.create_user("-".join(codenames) or "stranger", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def accountant() -> Client:
    return client_of(*ALL)


def load(rows: Any, headings: Any = SHORT, **options: Any) -> Statement:
    values = {"file_name": "relevé.csv", "all_paid": True, **options}
    statement = services.import_statement(csv_file(rows, headings), **values).statement
    assert statement
    return statement


def text_of(response: HttpResponse) -> str:
    assert response.status_code == 200
    return response.content.decode()


def page_of(client: Client, statement: Statement, **query: Any) -> str:
    return text_of(client.get(f"{LIST}{statement.pk}/change/", query))


def upload(client: Client, content: bytes, name: str = "relevé.csv", **values: Any) -> Any:
    file = SimpleUploadedFile(name, content)
    return client.post(f"{LIST}add/", {"merchant_id": "PP-F324", "file": file, **values})


def waiting(rows: Any = (), headings: Any = SHORT) -> Statement:
    file = csv_file(rows or [["TX1", "abc", 500, "2026-11-03 12:00", 25]], headings)
    return store_upload(file, merchant_id="PP-F324", file_name="relevé.csv", user=None)


def choices_of(content: str) -> dict[str, str]:
    """Return the column that is chosen for each role."""
    fields = re.findall(r'<select name="(\w+)".*?</select>', content, re.DOTALL)
    bodies = re.findall(r"<select name.*?</select>", content, re.DOTALL)
    chosen = (re.search(r'<option value="(\d*)" selected>', body) for body in bodies)
    return {name: match[1] for name, match in zip(fields, chosen, strict=True) if match and match[1]}


# Upload.


def test_file_is_uploaded_looked_at_and_imported(accountant: Client) -> None:
    payment = make_payment(status="pending", attempt=1, reference="abc")
    assert 'value="PP-F324"' in text_of(accountant.get(f"{LIST}add/"))

    response = upload(accountant, csv_file([row_of(payment, gateway_id="TX1")], encoding="cp1252").getvalue())

    statement = Statement.objects.get()
    assert response["Location"] == f"{LIST}{statement.pk}/columns/"
    content = text_of(accountant.get(response["Location"]))
    assert "relevé.csv" in content
    assert choices_of(content) == {
        "date": "0", "gateway_id": "1", "reference": "2", "amount": "5", "fee": "6", "net": "7", "status": "8",
    }  # fmt: skip
    assert "F: Montant (12500)" in content
    assert ">12\u202f250\u00a0F\u00a0CFA</td>" in content  # as it is read
    assert not StatementLine.objects.exists()

    response = accountant.post(response["Location"], {"row": 1, **choices_of(content)})

    assert response["Location"] == f"{LIST}{statement.pk}/change/"
    content = text_of(accountant.get(response["Location"]))
    assert "1 row was imported." in content
    assert "The payment here is not paid: “Waiting for the customer”." in content
    assert StatementLine.objects.get().payment == payment
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.is_addition()) == (str(statement.pk), True)
    assert Statement.objects.get().user == User.objects.get()


def test_columns_can_be_corrected(accountant: Client) -> None:
    statement = waiting([["TX1", "abc", 500, "2026-11-03", 25]], ("a", "b", "c", "d", "e"))
    url = f"{LIST}{statement.pk}/columns/"
    assert "The first rows" not in text_of(accountant.get(url))  # nothing was recognized

    chosen = {"row": 1, "gateway_id": "0", "amount": "4"}
    content = text_of(accountant.post(url, {**chosen, "preview": "1"}))
    assert ">25\u00a0F\u00a0CFA</td>" in content
    assert choices_of(content) == {"gateway_id": "0", "amount": "4"}
    assert not StatementLine.objects.exists()

    accountant.post(url, {**chosen, "amount": "2", "all_paid": "on"})
    assert StatementLine.objects.get().amount == 500
    # The next file of this merchant is read in the same way.
    content = text_of(
        accountant.get(f"{LIST}{waiting([['TX2', '', 9, '', '']], ('a', 'b', 'c', 'd', 'e')).pk}/columns/")
    )
    assert choices_of(content) == {"gateway_id": "0", "amount": "2"}


def test_row_of_the_headings_can_be_corrected(accountant: Client) -> None:
    rows = [["Code", "", "Versé"], ["TX1", "", 500]]
    url = f"{LIST}{waiting(rows, ('Transaction', '', 'Montant')).pk}/columns/"
    content = text_of(accountant.post(url, {"row": 2, "gateway_id": "0", "amount": "2", "preview": "1"}))
    assert "A: Code (TX1)" in content
    accountant.post(url, {"row": 2, "gateway_id": "0", "amount": "2", "all_paid": "on"})
    assert StatementLine.objects.get().number == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"row": 1, "gateway_id": "0"}, "Choose the column with the amount."),
        ({"row": 1, "gateway_id": "0", "amount": "0"}, "A column can have only one meaning."),
        ({"row": 30, "gateway_id": "0", "amount": "2"}, "The file has no such row."),
        ({"row": "x", "gateway_id": "0", "amount": "2"}, "Enter a whole number."),
        ({"row": "", "gateway_id": "0", "amount": "2"}, "This field is required."),
        ({"row": 1, "gateway_id": "0", "amount": "99"}, "Select a valid choice"),
    ],
)
def test_wrong_columns_are_explained(accountant: Client, values: dict[str, Any], message: str) -> None:
    content = text_of(accountant.post(f"{LIST}{waiting().pk}/columns/", values))
    assert message in content
    assert not StatementLine.objects.exists()


NO_STATUS = "No column is chosen as the status, so every row will count as paid."
NEW_STATUS = "A column looks like a status, and the columns that were remembered have none."


def test_file_without_a_status_is_imported_once_someone_says_that_all_is_paid(accountant: Client) -> None:
    url = f"{LIST}{waiting().pk}/columns/"
    assert NO_STATUS in text_of(accountant.get(url))
    values = {**CHOSEN, "all_paid": ""}

    content = text_of(accountant.post(url, values))

    assert "No column is the status, so every row would count as paid." in content
    assert NO_STATUS in content
    assert "The first rows, as they are read" in content
    assert not StatementLine.objects.exists()
    # No box has to be ticked to look again.
    assert "would count as paid" not in text_of(accountant.post(url, {**values, "preview": "1"}))
    accountant.post(url, CHOSEN)
    assert StatementLine.objects.get().gateway_id == "TX1"


def test_file_with_a_status_needs_no_tick(accountant: Client) -> None:
    rows = [["TX1", "abc", 500, "2026-11-03", 25, "OK"], ["TX2", "def", 500, "2026-11-03", 25, "Échec"]]
    url = f"{LIST}{waiting(rows, (*SHORT, 'Statut')).pk}/columns/"
    content = text_of(accountant.get(url))
    assert NO_STATUS not in content
    assert NEW_STATUS not in content
    # A tick does not make a transaction paid that failed.
    accountant.post(url, {**CHOSEN, "status": 5})
    assert StatementLine.objects.get().gateway_id == "TX1"


def test_new_status_column_is_proposed(accountant: Client) -> None:
    load([["TX0", "", 500, "2026-11-03", ""]])
    rows = [["TX1", "abc", 500, "2026-11-03", 25, "OK"], ["TX2", "def", 500, "2026-11-03", 25, "Échec"]]
    url = f"{LIST}{waiting(rows, (*SHORT, 'Statut')).pk}/columns/"

    content = text_of(accountant.get(url))

    assert NEW_STATUS in content
    assert choices_of(content)["status"] == "5"
    assert "Not a payment, or not paid" in content
    accountant.post(url, {"row": 1, **choices_of(content)})
    assert [line.gateway_id for line in StatementLine.objects.order_by("pk")] == ["TX0", "TX1"]


def test_preview_shows_what_cannot_be_read(accountant: Client) -> None:
    rows = [["TX1", "abc", "?", "2026-11-03", "", "OK"], ["TX1", "abc", "-500", "2026-11-03", "", "OK"], [], [""] * 5]
    rows += [["TX1", "abc", "500", "2026-11-03", "", "Échec"], *[["TX1", "", 5, "2026-11-03", 1, "OK"]] * 20]
    content = text_of(accountant.get(f"{LIST}{waiting(rows, (*SHORT, 'Statut')).pk}/columns/"))
    assert "The amount cannot be read: ?" in content
    assert ">Refund</td>" in content
    assert "Not a payment, or not paid" in content
    assert content.count("<tr><td") == pages.PREVIEW_ROWS


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"%PDF-1.7", "This is a PDF."), (b"", "The submitted file is empty."), (b"PK\x03\x04", "damaged")],
)
def test_file_that_is_no_table_is_refused(accountant: Client, content: bytes, message: str) -> None:
    assert message in text_of(upload(accountant, content))
    assert not Statement.objects.exists()


@pytest.mark.parametrize(("name", "start"), [("MAX_UPLOAD", b"a;b\n"), ("MAX_WORKBOOK", b"PK\x03\x04")])
def test_large_file_is_refused(accountant: Client, monkeypatch: pytest.MonkeyPatch, name: str, start: bytes) -> None:
    monkeypatch.setattr(forms, name, 1000)
    content = text_of(upload(accountant, start * 1000))
    assert "paiementpro_import_statement" in content
    assert "3.9\xa0KB" in content


def test_file_that_breaks_in_the_middle_can_be_replaced(accountant: Client) -> None:
    rows = [[f"TX{number}", "", 500, "2026-11-03", ""] for number in range(3_000)]
    response = upload(accountant, damaged(xlsx_file(rows, SHORT)).getvalue(), "f.xlsx")
    content = text_of(accountant.get(response["Location"]))
    assert "damaged" in text_of(
        accountant.post(response["Location"], {"row": 1, **choices_of(content), "all_paid": "on"})
    )
    assert not StatementLine.objects.exists()


def test_same_file_again_leads_to_its_statement(accountant: Client) -> None:
    rows = [["TX1", "abc", 500, "2026-11-03", 25]]
    first = load(rows)
    again = waiting(rows)
    response = accountant.post(f"{LIST}{again.pk}/columns/", CHOSEN)
    assert response["Location"] == f"{LIST}{first.pk}/change/"
    assert "Nothing has changed" in text_of(accountant.get(response["Location"]))
    assert not LogEntry.objects.exists()


def test_statement_that_vanishes_leads_to_the_list(accountant: Client) -> None:
    rows = [["TX1", "abc", 500, "2026-11-03", 25]]
    first, again = load(rows), waiting(rows)
    with just_before(first.delete, "SELECT", "INNER JOIN", "digest"):
        response = accountant.post(f"{LIST}{again.pk}/columns/", CHOSEN)
    assert response["Location"] == LIST
    assert not Statement.objects.exists()


def test_pages_of_imported_and_waiting_files_lead_to_each_other(accountant: Client) -> None:
    imported, uploaded = load([["TX1", "abc", 500, "2026-11-03", 25]]), waiting()
    assert accountant.get(f"{LIST}{uploaded.pk}/change/")["Location"] == f"{LIST}{uploaded.pk}/columns/"
    assert accountant.get(f"{LIST}{imported.pk}/columns/")["Location"] == f"{LIST}add/"
    content = text_of(accountant.get(LIST))
    assert f"{LIST}{imported.pk}/change/" in content
    assert f"{LIST}{uploaded.pk}/change/" not in content
    assert "03/11/2026" in content
    assert "PP-F324" in content


# The lists.


def test_lists_are_tabs_with_their_sums(accountant: Client) -> None:
    paid("TX1", reference="abc")
    paid("TX9", reference="missing", amount=900)
    paid("TX2", reference="def")
    rows = [
        ["TX1", "abc", 12500, "2026-11-03", 250],
        ["TX2", "def", 100, "2026-11-03", ""],
        ["TX3", "", 7, "2026-11-04", ""],
    ]
    statement = load([*rows, ["TX4", "", "?", "2026-11-03", ""]])

    content = page_of(accountant, statement)

    tabs = re.findall(r'<a href="\?list=(\w+)"( aria-current="page")?><span>([^<]+)</span> <strong>(\d+)', content)
    assert tabs == [
        ("theirs", ' aria-current="page"', "Only in the statement", "1"),
        ("amount", "", "Different amount", "1"),
        ("ours", "", "Only here", "1"),
        ("agree", "", "Agree", "1"),
        ("unreadable", "", "Unreadable", "1"),
    ]
    assert "No payment of this merchant has this transaction or reference." in content
    assert "03/11/2026 – 04/11/2026" in content
    assert "The amount here is 12\u202f500\u00a0F\u00a0CFA." in page_of(accountant, statement, list="amount")
    ours = page_of(accountant, statement, list="ours")
    assert ">missing</a>" in ours
    assert ">TX9</td>" in ours
    agree = page_of(accountant, statement, list="agree")
    assert ">abc</a>" in agree
    assert ">250\u00a0F\u00a0CFA</td>" in agree
    unreadable = page_of(accountant, statement, list="unreadable")
    assert ">The amount cannot be read</td>" in unreadable
    assert "No payment of this merchant" in page_of(accountant, statement, list="foo")


def test_list_without_differences_shows_what_agrees(accountant: Client) -> None:
    paid("TX1", reference="abc")
    content = page_of(accountant, load([["TX1", "abc", 12500, "2026-11-03", 250]]))
    assert ">abc</a>" in content
    assert "This list is empty." in page_of(accountant, Statement.objects.get(), list="theirs")
    assert "list=unreadable" not in content


def test_extra_rows_and_refunds_are_explained(accountant: Client) -> None:
    paid("TX1", reference="abc", refunded_amount=500)
    rows = [
        ["TX1", "abc", 12500, "2026-11-03", ""],
        ["TX2", "abc", 12500, "2026-11-03", ""],
        ["R1", "abc", -300, "2026-11-03", ""],
    ]
    statement = load(rows)
    content = page_of(accountant, statement, list="theirs")
    assert "the customer may have paid twice" in content
    assert "Confirm from" not in content
    content = page_of(accountant, statement, list="amount")
    assert "Refunds in the statements: 300\u00a0F\u00a0CFA; recorded here: 500\u00a0F\u00a0CFA." in content
    assert '<span class="pp-badge pp-refunded">Refund</span>' in content


def test_counts_of_the_file_are_shown(accountant: Client) -> None:
    load([["TX1", "", 500, "2026-11-03", ""]])
    statement = load(
        [["TX1", "", 500, "2026-11-03", ""], ["TX2", "", 500, "2026-11-03", ""], ["", "Total", "1000", "", ""]]
    )
    content = page_of(accountant, statement)
    assert (
        "3 rows below the headings. 1 had been imported before and is in an earlier statement. 1 is not a payment"
        in content
    )


def test_file_without_dates_says_what_is_missing(accountant: Client) -> None:
    content = page_of(accountant, load([["TX1", 500]], ("Transaction", "Montant")))
    assert "The file has no dates" in content


def test_list_of_unreadable_rows_says_that_it_is_cut(accountant: Client) -> None:
    statement = load([["TX1", "", "?", "", ""]])
    Statement.objects.update(unreadable=5000)
    assert "Only the first of 5000 unreadable rows are listed." in page_of(accountant, statement, list="unreadable")


def test_long_lists_have_pages(accountant: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_ROWS", 2)
    statement = load([[f"TX{number}", "", 500, "2026-11-03", ""] for number in range(5)])
    content = page_of(accountant, statement, page=2)
    assert ">TX2</td>" in content
    assert ">TX1</td>" not in content
    assert "Page 2 of 3" in content
    assert "?list=theirs&amp;page=3" in content


@pytest.mark.parametrize("count", [1, 20])
def test_number_of_queries_does_not_grow(accountant: Client, statements: Statements, count: int) -> None:
    payments = [make_payment(status="pending", attempt=1) for _number in range(count)]
    rows = [[f"TX{payment.pk}", payment.reference, 12500, "2026-11-03", ""] for payment in payments]
    statement = load(rows)
    page_of(accountant, statement)
    with statements:
        page_of(accountant, statement)
    assert len(statements) <= 11


def test_texts_of_the_file_are_escaped(accountant: Client) -> None:
    statement = load([["TX1", "", "<script>alert(1)</script>", "", ""]])
    Statement.objects.update(file_name="<script>alert(2)</script>")
    for query in ({}, {"list": "unreadable"}):
        content = page_of(accountant, statement, **query)
        assert "<script>alert" not in content
        assert "&lt;script&gt;alert(2)" in content
    content = text_of(accountant.get(f"{LIST}{waiting([['<b>x', '', '<i>', '', '']]).pk}/columns/"))
    assert "<b>x" not in content
    assert "<i>" not in content


def test_pages_are_in_french(accountant: Client) -> None:
    statement = load([["TX1", "", 500, "2026-11-03", ""]])
    response = accountant.get(f"{LIST}{statement.pk}/change/", headers={"accept-language": "fr"})
    assert "03/11/2026" in text_of(response)


# Confirmation.


def confirmation(payment: Payment, line: StatementLine) -> str:
    return f"/admin/paiementpro/payment/{payment.pk}/statement-lines/{line.pk}/confirm/"


@pytest.mark.parametrize("status", ["pending", "failed", "expired", "cancelled"])
def test_payment_is_confirmed_from_its_row(accountant: Client, status: str) -> None:
    payment = make_payment(status=status, attempt=1, reference="abc")
    statement = load([["TX1", "abc", 12500, "2026-11-03 12:00", ""]])
    url = confirmation(payment, statement.lines.get())
    assert url in page_of(accountant, statement)
    content = text_of(accountant.get(url))
    row = "tatement “relevé.csv”, row 2, transaction TX1, reference abc, 12\u202f500\u00a0F\u00a0CFA, 03/11/2026 12:00"
    assert f"S{row}, imported on " in content
    [seen] = re.findall(r'name="seen" value="([^"]+)"', content)

    response = accountant.post(url, {"seen": seen.replace("&#x2B;", "+"), "reason": "Awa called"})

    assert response["Location"] == f"{LIST}{statement.pk}/change/?list=theirs"
    payment.refresh_from_db()
    assert (payment.status, payment.gateway_id, payment.settled_by) == ("succeeded", "TX1", "staff")
    event = payment.events.get(kind="staff")
    assert event.message == "Awa called"
    assert event.data["action"] == "confirm"
    assert event.data["statement"]["file"] == "relevé.csv"
    content = text_of(accountant.get(f"/admin/paiementpro/payment/{payment.pk}/change/"))
    name = User.objects.get().username
    assert f"Confirmed by {name} from the gateway’s statement: s{row}, imported on " in content
    assert f"{name} confirmed the payment from the statement" in content
    assert f"<p>S{row}, imported on " in content
    assert "<p>Awa called</p>" in content
    # A second click finds it paid.
    response = accountant.post(url, {"seen": seen, "reason": "Awa called"}, follow=True)
    assert "This is not possible in the current state of the payment." in text_of(response)
    assert payment.events.filter(kind="staff").count() == 1


def test_row_of_a_deleted_statement_file_is_named(accountant: Client) -> None:
    payment = make_payment(status="failed", attempt=1, reference="abc", gateway_id="TX1")
    statement = load([["TX1", "", 12500]], ("Transaction", "Référence", "Montant"))
    Statement.objects.update(file_name="")
    content = text_of(accountant.get(confirmation(payment, statement.lines.get())))
    assert f"Statement “PP-F324 {statement.pk}”, row 2, transaction TX1, 12\u202f500" in content


@pytest.mark.parametrize(
    "row",
    [
        ["TX1", "abc", 12000, "2026-11-03", ""],
        ["TX1", "abc", -12500, "2026-11-03", ""],
        ["", "abc", 12500, "2026-11-03", ""],
    ],
)
def test_row_that_proves_nothing_confirms_nothing(accountant: Client, row: list[Any]) -> None:
    payment = make_payment(status="pending", attempt=1, reference="abc")
    statement = load([row])
    url = confirmation(payment, statement.lines.get())
    assert url not in page_of(accountant, statement, list="theirs")
    response = accountant.post(url, {"seen": payment.updated_at.isoformat(), "reason": "x"})
    assert response.status_code == 302
    payment.refresh_from_db()
    assert payment.status == "pending"


def test_transaction_that_has_paid_another_payment_is_refused(accountant: Client) -> None:
    paid("TX1", reference="def")
    payment = make_payment(status="pending", attempt=1, reference="abc")
    statement = load([["TX1", "abc", 12500, "2026-11-03", ""]])
    url = confirmation(payment, statement.lines.get())
    content = text_of(accountant.post(url, {"seen": payment.updated_at.isoformat(), "reason": "x"}))
    assert "This transaction has already paid payment def." in content


def test_second_row_of_a_payment_in_the_url_is_refused(accountant: Client) -> None:
    payment = make_payment(status="pending", attempt=1, reference="abc")
    statement = load([["TX1", "abc", 12500, "2026-11-03", ""], ["TX2", "abc", 12500, "2026-11-03", ""]])
    first, second = statement.lines.order_by("pk")
    content = page_of(accountant, statement, list="theirs")
    assert confirmation(payment, first) in content
    assert confirmation(payment, second) not in content
    values = {"seen": payment.updated_at.isoformat(), "reason": ""}

    response = accountant.post(confirmation(payment, second), values, follow=True)

    assert "This is not possible" in text_of(response)
    payment.refresh_from_db()
    assert payment.status == "pending"
    accountant.post(confirmation(payment, first), values)
    payment.refresh_from_db()
    assert (payment.status, payment.gateway_id) == ("succeeded", "TX1")


def test_row_of_another_payment_is_not_found(accountant: Client) -> None:
    payment, other = make_payment(status="pending", attempt=1, reference="abc"), make_payment()
    line = load([["TX1", "abc", 12500, "2026-11-03", ""]]).lines.get()
    assert accountant.get(confirmation(other, line)).status_code == 404
    assert accountant.get(confirmation(payment, StatementLine(pk=line.pk + 1))).status_code == 404


# Export and deletion.


def test_differences_are_exported(accountant: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "PAGE_ROWS", 1)
    paid("TX1", reference="abc", refunded_amount=500)
    paid("TX9", reference="missing")
    rows = [
        ["TX1", "abc", 12500, "2026-11-03 12:00", 250],
        ["R1", "abc", -300, "2026-11-03", ""],
        ["TX3", "", 7, "2026-11-03", ""],
        ["TX4", "", 8, "2026-11-03", ""],
    ]
    statement = load(rows)

    response = accountant.get(f"{LIST}{statement.pk}/export/")
    assert f"statement-{statement.pk}.csv" in response["Content-Disposition"]
    headings, *found = read(response)
    assert headings[:3] == ["List", "Row", "Date"]
    assert [row[:12] for row in found] == [
        ["Only in the statement", "4", "2026-11-03 00:00:00", "TX3", "", "Payment", "7", "", "XOF", "", "", ""],
        ["Only in the statement", "5", "2026-11-03 00:00:00", "TX4", "", "Payment", "8", "", "XOF", "", "", ""],
        ["Different amount", "3", "2026-11-03 00:00:00", "R1", "abc", "Refund", "300", "500", "XOF", "", "", "abc"],
        ["Only here", "", "2026-11-03 12:00:00", "TX9", "", "Payment", "", "12500", "XOF", "", "", "missing"],
        ["Agree", "2", "2026-11-03 12:00:00", "TX1", "abc", "Payment", "12500", "12500", "XOF", "250", "12250", "abc"],
    ]

    response = accountant.get(f"{LIST}{statement.pk}/export/", {"list": "ours", "format": "csv"})
    assert f"statement-{statement.pk}-ours.csv" in response["Content-Disposition"]
    assert [row[0] for row in read(response)] == ["List", "Only here"]
    response = accountant.get(f"{LIST}{statement.pk}/export/", {"format": "xlsx"})
    assert response.getvalue().startswith(b"PK")
    assert f"statement-{statement.pk}.xlsx" in response["Content-Disposition"]


def test_statement_is_deleted_after_a_question(accountant: Client) -> None:
    statement = load([["TX1", "", 500, "2026-11-03", ""]])
    url = f"{LIST}{statement.pk}/delete/"
    assert url in page_of(accountant, statement)
    assert "can be imported again" in text_of(accountant.get(url))
    assert Statement.objects.exists()

    response = accountant.post(url, follow=True)

    assert "The statement and its 1 row were deleted." in text_of(response)
    assert not Statement.objects.exists()
    entry = LogEntry.objects.get()
    assert entry.is_deletion()
    assert entry.object_repr == "relevé.csv"


def test_statement_that_proves_a_payment_cannot_be_deleted(accountant: Client) -> None:
    payment = make_payment(status="pending", attempt=1, reference="abc")
    statement = load([["TX1", "abc", 12500, "2026-11-03", ""]])
    url = f"{LIST}{statement.pk}/delete/"
    values = {"seen": payment.updated_at.isoformat(), "reason": ""}
    accountant.post(confirmation(payment, statement.lines.get()), values)

    content = page_of(accountant, statement)
    assert url not in content
    assert "Payments were confirmed from this statement. It is their proof, and cannot be deleted." in content
    for response in (accountant.get(url, follow=True), accountant.post(url, follow=True)):
        assert response.redirect_chain == [(f"{LIST}{statement.pk}/change/", 302)]
        assert "A payment was confirmed from this statement." in text_of(response)
    assert statement.lines.count() == 1
    assert not any(entry.is_deletion() for entry in LogEntry.objects.all())


def test_statement_that_becomes_a_proof_while_it_is_deleted_stays(accountant: Client) -> None:
    payment = make_payment(status="pending", attempt=1, reference="abc")
    statement = load([["TX1", "abc", 12500, "2026-11-03", ""]])

    def confirm() -> None:
        confirm_from_line(payment, User.objects.get(), compared_line(statement.lines.get().pk))

    # After the view has looked, and read the statement for its log.
    with just_before(confirm, "SELECT", "paiementpro_statement", "ORDER BY"):
        response = accountant.post(f"{LIST}{statement.pk}/delete/", follow=True)

    assert "A payment was confirmed from this statement." in text_of(response)
    assert Statement.objects.exists()


# Permissions and other URLs.


def urls(statement: Statement, upload: Statement, payment: Payment) -> dict[str, str]:
    pk = statement.pk
    return {
        LIST: "view_statement",
        f"{LIST}add/": "add_statement",
        f"{LIST}{pk}/change/": "view_statement",
        f"{LIST}{pk}/history/": "view_statement",
        f"{LIST}{pk}/export/": "view_statement",
        f"{LIST}{pk}/delete/": "delete_statement",
        f"{LIST}{upload.pk}/columns/": "add_statement",
        confirmation(payment, statement.lines.get()): "confirm_payment",
    }


def test_every_page_requires_its_permission() -> None:
    payment = make_payment(status="pending", attempt=1, reference="abc")
    statement = load([["TX1", "abc", 12500, "2026-11-03", ""]])
    pages_of = urls(statement, waiting(), payment)
    superuser = Client()
    superuser.force_login(User.objects.create_superuser("owner"))
    stranger = client_of()
    for url, permission in pages_of.items():
        assert superuser.get(url).status_code == 200, url
        assert stranger.get(url).status_code == 403, url
        assert Client().get(url).status_code == 302, url
        others = client_of(*(codename for codename in ALL if codename != permission))
        assert others.get(url).status_code == 403, url
        User.objects.filter(username=User.objects.latest("pk").username).delete()
    client = client_of("confirm_payment", "view_payment")
    assert (
        client.get(confirmation(payment, statement.lines.get())).status_code == 403
    )  # no permission to see statements


def test_viewer_sees_no_way_to_change_anything() -> None:
    payment = make_payment(status="pending", attempt=1, reference="abc")
    statement = load([["TX1", "abc", 12500, "2026-11-03", ""]])
    content = page_of(client_of("view_statement"), statement)
    assert "/delete/" not in content
    assert "/confirm/" not in content
    assert f"/payment/{payment.pk}/" not in content
    assert ">abc " in content
    content = page_of(client_of("view_statement", "view_payment"), statement)
    assert f"/payment/{payment.pk}/change/" in content
    assert "/confirm/" not in content


@pytest.mark.parametrize("page", ["change/", "columns/", "export/", "delete/"])
@pytest.mark.parametrize("pk", ["999", "x", "1_0", "99999999999999999999"])
def test_unknown_statement_is_not_found(accountant: Client, pk: str, page: str) -> None:
    assert accountant.get(f"{LIST}{pk}/{page}").status_code == 404


def test_expired_upload_leads_to_a_new_one(accountant: Client) -> None:
    upload = waiting()
    Statement.objects.filter(pk=upload.pk).update(created_at=timezone.now() - timedelta(days=2))
    waiting()
    assert accountant.get(f"{LIST}{upload.pk}/columns/").status_code == 404
    empty = Statement.objects.create()
    assert accountant.get(f"{LIST}{empty.pk}/columns/")["Location"] == f"{LIST}add/"


def test_columns_beyond_z_have_two_letters() -> None:
    assert [forms.letters_of(place) for place in (0, 25, 26, 51, 52, 701, 702)] == [
        "A",
        "Z",
        "AA",
        "AZ",
        "BA",
        "ZZ",
        "AAA",
    ]
    assert HEADINGS[0] == "Date"
