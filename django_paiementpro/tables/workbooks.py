"""
XLSX files, read row by row.

A workbook is a ZIP archive of XML files. openpyxl holds the shared strings in memory, and a few kilobytes can unpack to
gigabytes: so the sizes that the archive states, which Python's ``zipfile`` does not exceed, are bounded first.
"""

import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any, BinaryIO

from django.utils.translation import gettext as _
from openpyxl import load_workbook

from django_paiementpro.tables.errors import UnreadableTableError
from django_paiementpro.tables.text import MAX_COLUMNS

#: How many files the archive may have.
MAX_PARTS = 2_000

#: The unpacked size, in bytes, of the shared strings, of styles and other parts, and of all parts together.
MAX_STRINGS = 64 * 1024 * 1024
MAX_PART = 512 * 1024
MAX_TOTAL = 1024 * 1024 * 1024

#: The highest row number in a spreadsheet. A damaged file may state any number.
MAX_ROW = 1_048_576

#: Numbers of more digits have been rounded by the spreadsheet.
EXACT = 10**15


def read_workbook(file: BinaryIO, *, computed: bool = False, max_unpacked: int | None = None) -> Iterator[list[str]]:
    """Yield the rows of the sheet that a spreadsheet opens. A formula is its text or, if ``computed``, its value."""
    _check_size(file, MAX_TOTAL if max_unpacked is None else max_unpacked)
    try:
        workbook = load_workbook(file, read_only=True, data_only=computed, keep_links=False)
    except Exception as error:  # each kind of damage has an error of its own
        raise _damaged() from error
    try:
        yield from _rows(workbook)
    finally:
        workbook.close()


def _rows(workbook: Any) -> Iterator[list[str]]:
    sheets = [sheet for sheet in workbook.worksheets if sheet.sheet_state == "visible"]
    if not sheets:
        raise UnreadableTableError(_("This workbook has no sheet."))
    sheet = workbook.active if workbook.active in sheets else sheets[0]
    # What the sheet states about its own size may be wrong, or huge.
    sheet.reset_dimensions()
    rows = sheet.iter_rows(max_row=MAX_ROW, max_col=MAX_COLUMNS, values_only=True)
    while True:
        try:
            cells = next(rows, None)
        except Exception as error:
            raise _damaged() from error
        if cells is None:
            return
        # A cell in the last row makes a million empty rows, which must cost little.
        row = [] if cells.count(None) == len(cells) else [_text(cell) for cell in cells]
        while row and not row[-1]:
            del row[-1]
        yield row


def _check_size(file: BinaryIO, max_total: int) -> None:
    try:
        parts = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged() from error
    is_too_large = any(part.file_size > _max_size(part.filename, max_total) for part in parts)
    if len(parts) > MAX_PARTS or is_too_large or sum(part.file_size for part in parts) > max_total:
        raise UnreadableTableError(_("This workbook is too large. Export the table as CSV."))
    file.seek(0)


def _max_size(name: str, max_total: int) -> int:
    if name.lower() == "xl/sharedstrings.xml":
        return MAX_STRINGS
    is_held = name.lower().endswith((".xml", ".rels")) and not name.startswith("xl/worksheets/")
    return MAX_PART if is_held else max_total


def _damaged() -> UnreadableTableError:
    return UnreadableTableError(_("This workbook is damaged, or not a workbook. Save it again, or export it as CSV."))


def _text(value: Any) -> str:
    """
    Return a cell as text: dates in ISO format, whole numbers without a point.

    Three decimals get a fourth, since 12.125 is twelve and an eighth, and not 12,125 with a separator.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and abs(value) >= EXACT:
        return f"{value:.14E}"  # the exponent shows that digits are missing
    match value:
        case None:
            return ""
        case bool():
            return str(value).upper()
        case datetime():
            return value.isoformat(" ", "seconds")
        case date() | time():
            return value.isoformat()
        case float():
            return re.sub(r"(\.\d{3})$", r"\g<1>0", str(value))
        case _:
            # A formula of several cells is an object with its text.
            return str(getattr(value, "text", value))
