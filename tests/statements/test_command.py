"""``paiementpro_import_statement``."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_paiementpro.models import Statement, StatementLine
from django_paiementpro.testing import make_payment
from tests.statements.files import csv_file, paid, row_of, xlsx_file

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rows = [
        row_of(paid("TX1", reference="abc")),
        row_of(make_payment(status="pending", attempt=1, reference="def"), gateway_id="TX2"),
        row_of(paid("TX3", reference="ghi"), amount="beaucoup"),
        ["", "", "", "", "Total", "25000"],
    ]
    file = tmp_path / "relevé.csv"
    file.write_bytes(csv_file(rows, encoding="cp1252").getvalue())
    return file


def run(*arguments: Any) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("paiementpro_import_statement", *map(str, arguments), stdout=out, stderr=err, no_color=True)
    return out.getvalue(), err.getvalue()


def test_file_is_imported_and_compared(path: Path) -> None:
    out, err = run(path)
    assert out.splitlines() == [
        "2 new rows, 0 known, 1 not payments, 1 unreadable.",
        "Agree: 1 (12500 XOF)",
        "Only in the statement: 1 (12500 XOF)",
        "Only here: 1 (12500 XOF)",
        "Different amount: 0",
    ]
    assert err.splitlines() == ["Row 4: The amount cannot be read", "  beaucoup"]
    assert Statement.objects.get().file_name == "relevé.csv"
    assert run(path)[0].splitlines()[1] == "All rows had been imported before. Nothing has changed."


def test_result_is_json(path: Path) -> None:
    figures = json.loads(run(path, "--json")[0])
    assert figures == {
        "rows": 4,
        "new": 2,
        "known": 0,
        "ignored": 1,
        "unreadable": 1,
        "matched": 2,
        "problems": [{"row": 4, "reason": "amount"}],
        "statement": Statement.objects.get().pk,
        "lists": {
            "agree": {"count": 1, "amounts": {"XOF": 12500}},
            "theirs": {"count": 1, "amounts": {"XOF": 12500}},
            "ours": {"count": 1, "amounts": {"XOF": 12500}},
            "amount": {"count": 0, "amounts": {}},
        },
    }
    assert "statement" not in json.loads(run(path, "--json")[0])


def test_dry_run_writes_nothing(path: Path) -> None:
    out, _err = run(path, "--dry-run")
    assert out.splitlines()[1] == "2 have a payment here. Nothing was done."
    assert json.loads(run(path, "--dry-run", "--json")[0])["dry_run"] is True
    assert not StatementLine.objects.exists()
    assert not Statement.objects.exists()


def test_merchant_is_given(path: Path) -> None:
    run(path, "--merchant", "PP-OTHER")
    assert Statement.objects.get().merchant_id == "PP-OTHER"


def test_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "f.xlsx"
    path.write_bytes(xlsx_file([["TX1", 500]], ("Code", "Somme versée")).getvalue())
    with pytest.raises(CommandError, match="Name the columns with --column"):
        run(path)
    run(path, "--column", "gateway_id=code", "--column", "amount=Somme versée", "--all-paid")
    assert StatementLine.objects.get().amount == 500


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("amount", "--column: write gateway_id"),
        ("foo=Montant", "--column: write gateway_id"),
        ("amount=Prix", "No row of the file has all of these headings: Prix"),
        ("amount=Montant", "Choose the column with the gateway’s transaction number"),
    ],
)
def test_wrong_columns_are_explained(path: Path, option: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run(path, "--column", option)


def test_file_that_is_no_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "f.pdf").write_bytes(b"%PDF-1.7")
    with pytest.raises(CommandError, match="PDF"):
        run(tmp_path / "f.pdf")
    with pytest.raises(CommandError, match="No such file"):
        run(tmp_path / "missing.csv")


def test_import_at_work_is_an_error(path: Path) -> None:
    Statement.objects.create(seen_at="2100-01-01T00:00Z")
    with pytest.raises(CommandError, match=r"Try again in a few minutes\.$"):
        run(path)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_terminal_shows_the_progress(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal := Terminal())
        run(path)
    assert "Rows: " in terminal.getvalue()


def test_many_unreadable_rows_are_not_all_written(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(csv_file([["TX1", ""]] * 30, ("Transaction", "Montant")).getvalue())
    assert len(run(path, "--all-paid")[1].splitlines()) == 20


@pytest.mark.parametrize("option", [(), ("--dry-run",)])
def test_file_without_a_status_needs_an_option(tmp_path: Path, option: tuple[str, ...]) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(csv_file([["TX1", 500]], ("Transaction", "Montant")).getvalue())
    with pytest.raises(CommandError, match=r"every row would count as paid\. Name all columns .* --all-paid"):
        run(path, *option)
    assert run(path, "--all-paid", *option)[0].startswith("1 new rows")


def test_new_status_column_has_to_be_named(tmp_path: Path) -> None:
    path, other = tmp_path / "f.csv", tmp_path / "g.csv"
    path.write_bytes(csv_file([["TX1", 500]], ("Transaction", "Montant")).getvalue())
    run(path, "--all-paid")
    other.write_bytes(csv_file([["TX2", 500, "Échec"]], ("Transaction", "Montant", "Statut")).getvalue())
    with pytest.raises(CommandError, match=r"“Statut” looks like a status, .* Name the columns with --column"):
        run(other, "--all-paid")
    named = ("--column", "gateway_id=Transaction", "--column", "amount=Montant")
    assert run(other, *named, "--column", "status=Statut")[0].startswith("0 new rows, 0 known, 1 not payments")
    # A person may say that it is none.
    assert run(other, *named, "--all-paid")[0].startswith("1 new rows")
