"""
XLSX files, in constant memory: numbers and dates are numbers and dates, and no text runs as a formula.

The file is written to the disk, then sent. A sheet of Excel has 1,048,576 rows: the table goes on in further sheets,
and the last row of each says so.
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import xlsxwriter
from django.http import FileResponse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _

CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

#: How many rows a sheet has in Excel.
MAX_ROWS = 1_048_576

#: How many characters a cell has in Excel; the rest of the text is cut off.
MAX_TEXT = 32_767

#: Excel's numbers have this many digits; longer ones are written as text.
MAX_NUMBER = 10**15

# Lone ones have no encoding.
_SURROGATE = re.compile("[\ud800-\udfff]")

_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
    "default_date_format": "yyyy-mm-dd",
}


def xlsx_response(rows: Iterable[Sequence[object]], filename: str) -> FileResponse:
    """Return the rows as an XLSX file to download, in the current language and time zone. The first has headings."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  the response closes it
    try:
        write_workbook(file, rows)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    response = FileResponse(file, as_attachment=True, filename=filename, content_type=CONTENT_TYPE)
    response["Cache-Control"] = "no-store"
    return response


def write_workbook(file: Any, rows: Iterable[Sequence[object]]) -> None:
    with xlsxwriter.Workbook(file, _OPTIONS) as workbook:
        writer = _Writer(workbook)
        for row in rows:
            writer.write(row)


class _Writer:
    """Writes rows one after the other, in as many sheets as they need."""

    def __init__(self, workbook: Any) -> None:
        self.workbook = workbook
        self.bold = workbook.add_format({"bold": True})
        self.moment = workbook.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self.day = workbook.add_format({"num_format": "yyyy-mm-dd"})
        self.number = workbook.add_format({"num_format": "#,##0"})
        self.words = {True: _("yes"), False: _("no")}
        self.zone = timezone.get_current_timezone()
        self.headings: Sequence[object] = ()
        self.sheets = 0
        self._add_sheet()

    def _add_sheet(self) -> None:
        self.sheets += 1
        self.sheet = self.workbook.add_worksheet(str(self.sheets))
        self.sheet.set_column(0, 100, 18)
        self.sheet.freeze_panes(1, 0)
        self.row = 0
        if self.headings:
            self._write(self.headings, self._heading)

    def write(self, cells: Sequence[object]) -> None:
        if not self.row:
            self.headings = cells
            self._write(cells, self._heading)
            return
        # The last row of a sheet says that there is more, so it stays free until it is known which one is the last.
        if self.row == MAX_ROWS - 1:
            text = _("Continued on sheet %(number)d: Excel has no more rows.") % {"number": self.sheets + 1}
            self.sheet.write_string(self.row, 0, text, self.bold)
            self._add_sheet()
        self._write(cells, self._cell)

    def _write(self, cells: Sequence[object], write: Callable[[int, object], None]) -> None:
        for column, value in enumerate(cells):
            if value not in (None, ""):
                write(column, value)
        self.row += 1

    def _heading(self, column: int, value: object) -> None:
        if isinstance(value, (str, Promise)):
            self.sheet.write_string(self.row, column, fitting(str(value)), self.bold)
        else:
            self._cell(column, value)

    def _cell(self, column: int, value: object) -> None:
        match value:
            case bool():
                self.sheet.write_string(self.row, column, self.words[value])
            case int() if abs(value) < MAX_NUMBER:
                self.sheet.write_number(self.row, column, value, self.number)
            case float() | Decimal():
                self.sheet.write_number(self.row, column, float(value))
            case datetime():
                self.sheet.write_datetime(self.row, column, self._local(value), self.moment)
            case date():
                self.sheet.write_datetime(self.row, column, value, self.day)
            case _:
                self.sheet.write_string(self.row, column, fitting(str(value)))

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None, microsecond=0)


def fitting(text: str) -> str:
    """Return the text as a cell can hold it."""
    return _SURROGATE.sub("\ufffd", text)[:MAX_TEXT]
