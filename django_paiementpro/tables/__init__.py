"""
Read tables that people upload: CSV in any encoding and with any separator, and XLSX.

Everything is text, as it stands in the file. Memory does not grow with the number of rows.
"""

from collections.abc import Callable, Generator
from importlib.util import find_spec
from typing import BinaryIO

from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from django_paiementpro.tables.errors import UnreadableTableError
from django_paiementpro.tables.text import read_text

__all__ = ["UnreadableTableError", "can_read_workbooks", "is_workbook", "read_rows"]

#: Imported when it is called, since most processes never read a workbook.
READ_WORKBOOK = "django_paiementpro.tables.workbooks.read_workbook"

_ZIP = b"PK\x03\x04"


def can_read_workbooks() -> bool:
    """Return whether XLSX files can be read: by openpyxl, which leaves XML bombs to defusedxml."""
    return all(find_spec(name) for name in ("openpyxl", "defusedxml"))


def is_workbook(file: BinaryIO) -> bool:
    """Return whether a file is XLSX, by its content."""
    file.seek(0)
    is_zip = file.read(len(_ZIP)) == _ZIP
    file.seek(0)
    return is_zip


def read_rows(
    file: BinaryIO,
    *,
    is_heading: Callable[[str], object] | None = None,
    computed: bool = False,
    max_unpacked: int | None = None,
) -> Generator[list[str]]:
    """
    Yield the rows of a CSV or XLSX file, the first one first, as texts. Empty rows are empty lists.

    The number of a row, counted from 1, is its number in a spreadsheet. The file must be open for reading bytes, and
    seekable; it is not closed. Its content decides which kind of file it is. Dates of a workbook are in ISO format,
    and formulas are not evaluated: their text is returned or, if ``computed``, the value that the spreadsheet has
    stored, which is empty if it never computed one.

    ``is_heading`` recognizes the headings, by which the separator of a CSV file is chosen first. ``max_unpacked`` is
    the largest size of a workbook in bytes, once it is unpacked. Raises ``UnreadableTableError`` if the file is not a
    table, which may happen at any row.
    """
    if is_workbook(file):
        if not can_read_workbooks():
            raise UnreadableTableError(
                _(
                    "This server cannot read XLSX files: openpyxl and defusedxml are not installed. Save the file as "
                    "CSV, or run “%(command)s” on the server."
                )
                % {"command": 'pip install "django-paiementpro[xlsx]"'}
            )
        yield from import_string(READ_WORKBOOK)(file, computed=computed, max_unpacked=max_unpacked)
        return
    _refuse_other_kinds(file.read(2048))
    yield from read_text(file, is_heading)


def _refuse_other_kinds(start: bytes) -> None:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        raise UnreadableTableError(_("This is a file of an old Excel, or one with a password. Save it as XLSX or CSV."))
    if start.startswith(b"%PDF"):
        raise UnreadableTableError(_("This is a PDF. Export the table as CSV or XLSX."))
    if text.startswith((b"<!doctype", b"<html", b"<table", b"<?xml", b"<head", b"<meta")):
        raise UnreadableTableError(
            _("This is a web page, whatever its name says. Open it in a spreadsheet and save it as XLSX or CSV.")
        )
