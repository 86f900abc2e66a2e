"""XLSX files, as a spreadsheet reads them."""

import io
import re
import tempfile
import tracemalloc
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from django.http import FileResponse
from django.test import Client
from django.utils import timezone as site_time
from django.utils import translation
from django.utils.functional import lazystr
from openpyxl.utils.escape import unescape

from django_paiementpro.admin import export, workbooks
from django_paiementpro.admin.export import export_payments, table_response
from django_paiementpro.admin.workbooks import write_workbook, xlsx_response
from django_paiementpro.enums import Channel
from django_paiementpro.models import Payment
from django_paiementpro.testing import make_payment
from tests.test_admin import LIST, client_of, flag, text_of
from tests.test_daybook import WEEK, paid, url

NOON = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)


def content_of(response: Any) -> io.BytesIO:
    assert isinstance(response, FileResponse)
    content = io.BytesIO(response.getvalue())
    if response.file_to_stream:  # the test client has closed its own
        response.file_to_stream.close()
    return content


def opened(rows: Iterable[Sequence[object]]) -> Any:
    file = io.BytesIO()
    write_workbook(file, rows)
    return openpyxl.load_workbook(file)


def values(response: Any) -> list[list[Any]]:
    return [list(row) for row in openpyxl.load_workbook(content_of(response)).active.iter_rows(values_only=True)]


def written(value: object) -> Any:
    """Return a cell as a spreadsheet reads it."""
    return opened([("heading",), (value,)]).active["A2"]


def test_file_is_saved_and_never_kept() -> None:
    response = xlsx_response([("a", 1)], "paiements été.xlsx")
    assert response["Content-Type"] == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert "attachment" in response["Content-Disposition"]
    assert response["Cache-Control"] == "no-store"
    response.file_to_stream.close()


@pytest.mark.parametrize(
    ("value", "cell", "kind"),
    [
        (12500, 12500, "n"),
        (-5, -5, "n"),
        (Decimal("50.0"), 50, "n"),
        (0.25, 0.25, "n"),
        (10**15, "1000000000000000", "s"),
        (True, "yes", "s"),
        (NOON, datetime(2026, 11, 25, 12), "d"),  # noqa: DTZ001  as Excel has it
        (date(2026, 11, 25), datetime(2026, 11, 25), "d"),  # noqa: DTZ001  as Excel has it
        (lazystr("lazy"), "lazy", "s"),
        (Channel.ORANGE_CI, "OMCIV2", "s"),
        *[(text, text, "s") for text in ("0707123456", "+225 07 07 12 34 56", "Commande 42; -5 %", "-5 %", "12 500")],
        *[(text, text, "s") for text in ("=1+1", "+A1", "@SUM(A1)", "-x", "{=1}", "http://example.com", "mailto:a@b")],
        *[
            (text, text, "s")
            for text in ("TRUE", "1e5", "2026-11-25", "Koné", "👍🏽", "<b>&amp;", "_x0041_", "_x005F_")
        ],
        *[(text, text, "s") for text in (" a ", "a\nb", "'a", "#N/A")],
    ],
)
def test_cells_have_types(value: object, cell: object, kind: str) -> None:
    found = written(value)
    assert (unescape(found.value) if isinstance(found.value, str) else found.value) == cell
    assert found.data_type in {kind, "inlineStr"} or kind == "s"
    assert found.data_type != "f"


@pytest.mark.parametrize("value", [None, ""])
def test_nothing_is_an_empty_cell(value: object) -> None:
    assert written(value).value is None


def test_unencodable_text_is_replaced() -> None:
    assert written("\ud83d alone").value == "\ufffd alone"
    assert unescape(written("a\x01b").value) == "a\x01b"


def test_text_is_cut_to_what_a_cell_holds() -> None:
    assert written("x" * 40_000).value == "x" * 32_767


def test_dates_are_shown_as_dates() -> None:
    assert written(NOON).number_format == "yyyy-mm-dd hh:mm:ss"
    assert written(date(2026, 11, 25)).number_format == "yyyy-mm-dd"
    assert written(12500).number_format == "#,##0"


def test_moments_are_in_the_time_zone_of_the_site() -> None:
    with site_time.override(ZoneInfo("Africa/Douala")):
        assert written(NOON.replace(microsecond=9)).value.hour == 13


def test_words_are_in_the_language_of_the_request() -> None:
    with translation.override("fr"):
        assert written(False).value == "non"


def test_headings_stay_in_sight() -> None:
    sheet = opened([("Amount", NOON.date(), lazystr("x")), (1, 2, 3)]).active
    assert sheet.freeze_panes == "A2"
    assert sheet["A1"].font.bold
    assert sheet["A1"].value == "Amount"
    assert sheet["C1"].value == "x"
    assert not sheet["A2"].font.bold


def test_table_goes_on_in_further_sheets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MAX_ROWS", 4)
    book = opened([("Number",), *[(number,) for number in range(1, 6)]])
    found = [[row[0] for row in sheet.iter_rows(values_only=True)] for sheet in book.worksheets]
    assert found == [
        ["Number", 1, 2, "Continued on sheet 2: Excel has no more rows."],
        ["Number", 3, 4, "Continued on sheet 3: Excel has no more rows."],
        ["Number", 5],
    ]


def test_sheet_of_excel_has_this_many_rows() -> None:
    assert workbooks.MAX_ROWS == 2**20


def test_error_closes_the_file() -> None:
    def rows() -> Any:
        yield ("a",)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        xlsx_response(rows(), "f.xlsx")


def test_memory_does_not_grow_with_the_rows() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        with tempfile.TemporaryFile() as file:
            write_workbook(file, (("a" * 50, number, NOON) for number in range(count)))
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    peak(10)
    assert peak(6_000) < peak(300) + 500_000


def test_csv_is_written_where_xlsx_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    assert table_response([("a",)], "f", "xlsx")["Content-Type"] == "text/csv; charset=utf-8"
    assert table_response([("a",)], "f", "foo")["Content-Disposition"] == 'attachment; filename="f.csv"'


# The payments.


@pytest.mark.django_db
def test_payment_is_a_row() -> None:
    payment = make_payment(
        status="succeeded",
        customer_phone="+225 07 07 12 34 56",
        description="Commande 42; -5 %",
        settled_at=NOON,
        gateway_id="=1+1",
    )
    flag(payment)
    headings, row = values(export_payments(Payment.objects.all(), "xlsx"))
    found = dict(zip(headings, row, strict=True))
    assert found["Reference"] == payment.reference
    assert found["Amount"] == 12500
    assert found["Phone"] == "+225 07 07 12 34 56"
    assert found["Description"] == "Commande 42; -5 %"
    assert found["Gateway id"] == "=1+1"
    assert found["Settled"] == datetime(2026, 11, 25, 12)  # noqa: DTZ001  as Excel has it
    assert found["To review"] == "yes"


@pytest.mark.django_db
def test_list_is_exported_as_filtered() -> None:
    done, other = make_payment(status="succeeded"), make_payment()
    client = client_of("export_payment")
    assert f"{LIST}export/xlsx/?status=succeeded" in text_of(client.get(LIST, {"status": "succeeded"}))
    filtered = values(client.get(f"{LIST}export/xlsx/", {"status": "succeeded"}))
    assert [row[0] for row in filtered] == ["Reference", done.reference]
    chosen = values(client.post(LIST, {"action": "export_xlsx", "_selected_action": [other.pk]}))
    assert [row[0] for row in chosen] == ["Reference", other.reference]


@pytest.mark.django_db
def test_export_requires_its_permission() -> None:
    payment, viewer = make_payment(), client_of()
    assert "xlsx" not in text_of(viewer.get(LIST))
    assert viewer.get(f"{LIST}export/xlsx/").status_code == 403
    assert viewer.post(LIST, {"action": "export_xlsx", "_selected_action": [payment.pk]}).status_code == 403


@pytest.mark.django_db
def test_xlsx_is_offered_where_it_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    payment, client = make_payment(), client_of("export_payment")
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    assert "xlsx" not in text_of(client.get(LIST)).lower()
    assert "xlsx" not in text_of(client.get(url())).lower()
    assert client.post(LIST, {"action": "export_xlsx", "_selected_action": [payment.pk]}).status_code == 403


@pytest.mark.django_db
def test_takings_are_exported() -> None:
    paid(12500)
    client: Client = client_of()
    content = text_of(client.get(url(), WEEK))
    assert "format=xlsx&amp;table=periods" in content
    response = client.get(url(), {**WEEK, "by": "week", "format": "xlsx", "table": "periods"})
    assert "takings-periods-2026-11-02-2026-11-08.xlsx" in response["Content-Disposition"]
    assert values(response) == [
        ["From", "To", "Payments", "Gross takings (XOF)", "Refunds", "Refunded (XOF)", "Net (XOF)"],
        [datetime(2026, 11, 2), datetime(2026, 11, 8), 1, 12500, 0, 0, 12500],  # noqa: DTZ001  as Excel has it
    ]
    everything = values(client.get(url(), {**WEEK, "format": "xlsx"}))
    assert everything[0][0] == "Takings"
    assert ["Success rate (%)", 100] in [row[:2] for row in everything]


def test_no_text_is_a_link_or_a_formula() -> None:
    file = io.BytesIO()
    write_workbook(file, [("a",), ("=1+1",), ("http://example.com",)])
    sheet = zipfile.ZipFile(file).read("xl/worksheets/sheet1.xml").decode()
    assert not re.search("<f>|hyperlink", sheet)
