"""Tables as people upload them."""

import io
import re
import tracemalloc
import zipfile
from datetime import date, datetime, time, timedelta
from time import thread_time
from typing import Any

import openpyxl
import pytest
import xlsxwriter
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import given
from hypothesis import strategies as st

from django_paiementpro import tables
from django_paiementpro.tables import UnreadableTableError, read_rows, text, workbooks
from tests.conftest import imported_at_start


def rows_of(content: str | bytes, encoding: str = "utf-8") -> list[list[str]]:
    return list(read_rows(io.BytesIO(content if isinstance(content, bytes) else content.encode(encoding))))


def workbook(*rows: Any, prepare: Any = None) -> io.BytesIO:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    if prepare:
        prepare(book)
    file = io.BytesIO()
    book.save(file)
    return file


TABLE = "Référence;Montant\nCommande n° 1;12 500,00\nKoné, Awa;1 000 €\n"
EXPECTED = [["Référence", "Montant"], ["Commande n° 1", "12 500,00"], ["Koné, Awa", "1 000 €"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encoding_is_recognized(encoding: str) -> None:
    assert rows_of(TABLE, encoding) == EXPECTED


def test_encoding_is_decided_by_the_whole_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_CHUNK", 100)
    lines = "a;b\n" * 2_000  # more than is read at once
    assert rows_of(lines + "é;b\n", "cp1252")[-1] == ["é", "b"]
    assert rows_of(lines + "é;b\n", "utf-8")[-1] == ["é", "b"]
    assert rows_of((lines + "é;b\n").encode()[:-4])[-1] == ["Ã"]  # a character that is cut off is no UTF-8


@pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
def test_separator_is_recognized(separator: str) -> None:
    lines = [["Relevé"], [], ["Référence", "Montant", "Date"], ["a", "b", "c"], ["d", "e", "f"]]
    assert rows_of("\n".join(separator.join(line) for line in lines)) == lines


@pytest.mark.parametrize(
    ("content", "row"),
    [
        ("a;b\n1;12,50\n2;13,50\n", ["1", "12,50"]),  # decimal commas
        ("a;b;c\n1,5;2,5;3,5\n1,5;2,5;3,5\n", ["1,5", "2,5", "3,5"]),
        ('a,b\n"1;2",3\n"4;5",6\n', ["1;2", "3"]),
        ("sep=|\na|b;c\n1|2;3\n", ["1", "2;3"]),
        ("one\ntwo\n", ["two"]),
    ],
)
def test_separator_is_not_mistaken(content: str, row: list[str]) -> None:
    assert rows_of(content)[1] == row


def test_headings_decide_about_the_separator() -> None:
    content = b"a, b, c;sum\n1, 2, 3;4\n"
    assert list(read_rows(io.BytesIO(content))) == [["a", " b", " c;sum"], ["1", " 2", " 3;4"]]
    rows = read_rows(io.BytesIO(content), is_heading=lambda cell: cell == "sum")
    assert list(rows) == [["a, b, c", "sum"], ["1, 2, 3", "4"]]


def test_separator_of_a_huge_cell_is_the_most_frequent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "SAMPLE", 300_000)
    assert rows_of('a;"' + "x" * 200_000 + "\n")[0][0] == "a"


def test_rows_have_the_numbers_of_a_spreadsheet() -> None:
    assert rows_of('a;b\r\n\r\n"c\nd";e\r\rf;g\r\n') == [["a", "b"], [], ["c\nd", "e"], [], ["f", "g"]]


@pytest.mark.parametrize(
    "line",
    ['"Awa Koné;12500', 'Awa;"12500', '"Awa" Koné;12500', '"Awa;12500\n' * 3],
)
def test_stray_quotation_mark_costs_no_other_row(line: str) -> None:
    rows = rows_of("Nom;Montant\n" + line.rstrip("\n") + "\n" + "\n".join(f"Order {n};{n}" for n in range(100)))

    assert rows[-100:] == [[f"Order {number}", str(number)] for number in range(100)]
    assert rows[1][-1] == "12500"


def test_quoted_cells_may_contain_anything() -> None:
    assert rows_of('a;b\n"x;""y""\nz";1\n"";""\n') == [["a", "b"], ['x;"y"\nz', "1"], ["", ""]]


@given(st.lists(st.lists(st.text('a;,"\n é1', max_size=5), min_size=2, max_size=3), min_size=1, max_size=5))
def test_no_text_stops_the_reading(rows: list[list[str]]) -> None:
    content = "\n".join(";".join(cells) for cells in rows)
    last = rows_of(content + "\nlast;row\n")[-1]
    assert "last" in last[0] or "last" in "".join(last)


def test_long_lines_and_many_columns_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_LINE", 10)
    monkeypatch.setattr(text, "MAX_COLUMNS", 3)
    assert rows_of("a;b;c;d\n" + "x" * 25) == [["a", "b", "c"], ["x" * 10], ["x" * 10], ["x" * 5]]
    assert rows_of('"a";b;c;d\n') == [["a", "b", "c"]]


def test_zero_bytes_are_left_out() -> None:
    assert rows_of(b"a;b\n\x00c;d\n" + b"e;f\n" * 20)[1] == ["c", "d"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xd0\xcf\x11\xe0" + b"\x00" * 600, "old Excel"),
        (b"%PDF-1.7\n", "PDF"),
        (b"<html><table>", "web page"),
        ("\ufeff\n<!DOCTYPE html>".encode(), "web page"),
        (b"\x00\x01\x02\x03" * 200, "not a table"),
        (b"PK\x03\x04 and no archive", "damaged"),
    ],
)
def test_other_kinds_of_files_are_named(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableTableError, match=reason):
        rows_of(content)


def test_empty_file_has_no_rows() -> None:
    assert rows_of(b"") == []


def test_file_stays_open_and_can_be_read_again() -> None:
    upload = SimpleUploadedFile("releve.csv", TABLE.encode())
    for _time in range(2):
        assert list(read_rows(upload)) == EXPECTED
    rows = read_rows(upload)
    next(rows)
    rows.close()
    assert not upload.closed


# Workbooks.


def test_workbook_is_read_as_text() -> None:
    file = workbook(
        ["Référence", "Montant", "Date"],
        ["0707123456", 12500, datetime(2026, 11, 3, 14, 5)],  # noqa: DTZ001  as Excel has it
        [707123456.0, 12500.5, date(2026, 11, 3)],
        [None, -250, time(14, 5)],
        [],
        [True, "=A1+1", 20251103123456789],
        [timedelta(hours=30), "#N/A"],
    )

    assert list(read_rows(file)) == [
        ["Référence", "Montant", "Date"],
        ["0707123456", "12500", "2026-11-03 14:05:00"],
        ["707123456", "12500.5", "2026-11-03 00:00:00"],
        ["", "-250", "14:05:00"],
        [],
        ["TRUE", "=A1+1", "2.02511031234568E+16"],
        ["1 day, 6:00:00", "#N/A"],
    ]


def test_formula_can_be_what_the_spreadsheet_computed() -> None:
    file = workbook(["=1+2", "=3+4", "a"])
    content, count = re.subn(rb"<f>1\+2</f>(<v ?/>|<v></v>)", b"<f>1+2</f><v>3</v>", zipfile.ZipFile(file).read(SHEET))
    assert count == 1
    file = replaced(file, SHEET, content)
    assert list(read_rows(file)) == [["=1+2", "=3+4", "a"]]
    assert list(read_rows(file, computed=True)) == [["3", "", "a"]]


def test_array_formula_is_its_text() -> None:
    formula = openpyxl.worksheet.formula.ArrayFormula("A1:A2", "=SUM(B1:B2)")
    assert list(read_rows(workbook([formula]))) == [["=SUM(B1:B2)"]]


def test_active_sheet_is_read() -> None:
    def prepare(book: Any) -> None:
        book.create_sheet("Relevé").append(["a", "b"])
        book.active = 1

    assert list(read_rows(workbook(["first"], prepare=prepare))) == [["a", "b"]]


def test_first_visible_sheet_is_read_if_the_open_one_is_hidden() -> None:
    def prepare(book: Any) -> None:
        book.create_sheet("Relevé").append(["a", "b"])
        book.create_sheet("Notes").append(["c"])
        book.worksheets[0].sheet_state = "hidden"

    file = workbook(["hidden"], prepare=prepare)
    # openpyxl itself opens another sheet then.
    content = zipfile.ZipFile(file).read("xl/workbook.xml")
    assert content.count(b'activeTab="1"') == 1
    file = replaced(file, "xl/workbook.xml", content.replace(b'activeTab="1"', b'activeTab="0"'))
    assert list(read_rows(file)) == [["a", "b"]]


def test_workbook_without_sheets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openpyxl.workbook.Workbook, "worksheets", [])
    with pytest.raises(UnreadableTableError, match="no sheet"):
        list(read_rows(workbook(["a"])))


def test_cell_in_the_last_row_is_found_soon() -> None:
    def prepare(book: Any) -> None:
        book.active["A1048576"] = "far"

    file = workbook(["a", "b"], prepare=prepare)
    started_at = thread_time()
    rows = list(read_rows(file))
    # The cells of the empty rows, one by one, take 40 seconds.
    assert thread_time() - started_at < 15
    assert rows[0] == ["a", "b"]
    assert len(rows) == 1_048_576
    assert rows[-1] == ["far"]


def test_row_below_the_last_one_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MAX_ROW", 5)
    file = workbook(["a"], ["b"])
    content = zipfile.ZipFile(file).read(SHEET)
    content = content.replace(b'<row r="2"', b'<row r="9999999999"').replace(b'r="A2"', b'r="A9999999999"')
    assert list(read_rows(replaced(file, SHEET, content))) == [["a"], [], [], [], []]


def replaced(file: io.BytesIO, name: str, content: bytes) -> io.BytesIO:
    """Return a workbook with another content of one of its parts."""
    other = io.BytesIO()
    with zipfile.ZipFile(file) as before, zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as after:
        for part in before.namelist():
            after.writestr(part, content if part == name else before.read(part))
    return other


SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize("stated", [b"A1", b"A1:XFD1048576", b"nonsense"])
def test_size_that_a_sheet_states_does_not_count(stated: bytes) -> None:
    file = workbook(["a", "b"], ["c", "d"], ["e", "f"])
    content = zipfile.ZipFile(file).read(SHEET)
    assert b'ref="A1:B3"' in content
    file = replaced(file, SHEET, content.replace(b'ref="A1:B3"', b'ref="' + stated + b'"'))
    if stated == b"nonsense":
        with pytest.raises(UnreadableTableError, match="damaged"):
            list(read_rows(file))
    else:
        assert list(read_rows(file)) == [["a", "b"], ["c", "d"], ["e", "f"]]


@pytest.mark.parametrize(
    ("name", "limit"),
    [("xl/styles.xml", "MAX_PART"), ("xl/workbook.xml", "MAX_PART"), ("xl/sharedStrings.xml", "MAX_STRINGS")],
)
def test_parts_beside_the_sheets_are_bounded(monkeypatch: pytest.MonkeyPatch, name: str, limit: str) -> None:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        book.add_worksheet().write_string(0, 0, "a")
    content = zipfile.ZipFile(file).read(name) + b"\n" * 10
    assert list(read_rows(replaced(file, name, content))) == [["a"]]
    monkeypatch.setattr(workbooks, limit, len(content) - 1)
    with pytest.raises(UnreadableTableError, match="too large"):
        list(read_rows(replaced(file, name, content)))


def test_sheet_may_be_larger_than_other_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MAX_PART", 100_000)
    rows = list(read_rows(workbook(*(["a" * 50] for _ in range(5_000)))))
    assert len(rows) == 5_000


@pytest.mark.parametrize(
    ("number", "text"),
    [(12.125, "12.1250"), (125.001, "125.0010"), (12.5, "12.5"), (12500.0, "12500"), (0.1255, "0.1255")],
)
def test_fraction_cannot_be_taken_for_thousands(number: float, text: str) -> None:
    assert list(read_rows(workbook([number]))) == [[text]]


def test_zip_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = replaced(workbook(["a"]), "xl/styles.xml", b" " * (workbooks.MAX_PART + 1))
    assert len(bomb.getvalue()) < 200_000
    tracemalloc.start()
    with pytest.raises(UnreadableTableError, match="too large"):
        list(read_rows(bomb))
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    for name, limit in (("MAX_TOTAL", 500), ("MAX_PARTS", 3)):
        with monkeypatch.context() as patch:
            patch.setattr(workbooks, name, limit)
            with pytest.raises(UnreadableTableError, match="too large"):
                list(read_rows(workbook(["a"])))
    with pytest.raises(UnreadableTableError, match="too large"):
        list(read_rows(workbook(["a"]), max_unpacked=500))


def test_size_that_the_archive_misstates_is_an_error() -> None:
    content = workbook(["a" * 100]).getvalue()
    archive = zipfile.ZipFile(io.BytesIO(content))
    size = archive.getinfo(SHEET).file_size
    lying = content.replace(size.to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != content
    with pytest.raises(UnreadableTableError, match="damaged"):
        list(read_rows(io.BytesIO(lying)))


LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha">%s]>
<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>
<row r="1"><c r="A1" t="inlineStr"><is><t>&z;</t></is></c></row></sheetData></worksheet>"""


def test_xml_bomb_is_refused() -> None:
    names = b"abcdefghijklmnopqrstuvwxyz"
    entities = b"".join(b'<!ENTITY %c "%s">' % (names[i], (b"&%c;" % names[i - 1]) * 10) for i in range(1, len(names)))
    with pytest.raises(UnreadableTableError, match="damaged"):
        list(read_rows(replaced(workbook(["a"]), SHEET, LAUGHS % entities)))


def test_damaged_sheet_is_an_error_at_its_row() -> None:
    whole = zipfile.ZipFile(workbook(*[[number] for number in range(4_000)])).read(SHEET)
    file = replaced(workbook(["a"]), SHEET, whole[: len(whole) // 2])
    rows = read_rows(file)
    assert next(rows) == ["0"]
    with pytest.raises(UnreadableTableError, match="damaged"):
        list(rows)


def test_workbook_without_its_parts_is_damaged() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", "<a/>")
    with pytest.raises(UnreadableTableError, match="damaged"):
        list(read_rows(file))


@pytest.mark.parametrize("package", ["openpyxl", "defusedxml"])
def test_workbooks_need_their_packages(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tables.can_read_workbooks()
    monkeypatch.setattr(tables, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(UnreadableTableError, match=r"pip install .django-paiementpro\[xlsx\]"):
        list(read_rows(workbook(["a"])))


def test_spreadsheet_libraries_are_imported_when_needed() -> None:
    assert {"openpyxl", "xlsxwriter"}.isdisjoint(imported_at_start())


def test_memory_does_not_grow_with_the_rows() -> None:
    def peak(count: int) -> int:
        file = io.BytesIO(b"Reference;Montant;Date\n" + b'ORDER-12;"12 500";2026-11-03\n' * count)
        tracemalloc.start()
        for _row in read_rows(file):
            pass
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    peak(10)
    assert peak(10_000) < 2 * peak(1_000) + 2_000_000
