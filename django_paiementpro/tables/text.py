"""
CSV as it is found in the wild.

The separator and the encoding are not written in the file: both are guessed from its content. A quotation mark that is
never closed must not swallow the rows after it.
"""

import codecs
import csv
import io
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import BinaryIO

from django.utils.translation import gettext as _

from django_paiementpro.tables.errors import UnreadableTableError

SEPARATORS = (";", ",", "\t", "|")

#: How many characters of the file decide about its separator.
SAMPLE = 64 * 1024

#: The longest line; what is longer is read as several.
MAX_LINE = 64 * 1024

#: How many lines one row may have, in a quoted cell. Beyond that, the quotation mark is taken for a letter.
MAX_LINES = 50

#: How many columns a row may have; those after it are left out.
MAX_COLUMNS = 200

_CHUNK = 1024 * 1024

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(file: BinaryIO, is_heading: Callable[[str], object] | None = None) -> Iterator[list[str]]:
    encoding = encoding_of(file)
    text = io.TextIOWrapper(file, encoding, errors="replace", newline=None)
    try:
        sample = text.read(SAMPLE)
        if "\ufffd\ufffd" in sample[:1024] or sample.count("\x00") > len(sample) // 10:
            raise UnreadableTableError(_("This file is not a table. Export it as CSV or XLSX."))
        separator, skipped = _stated(sample)
        separator = separator or separator_of(sample, is_heading)
        text.seek(0)
        lines = _lines(text)
        if skipped:
            next(lines)
        yield from _rows(lines, separator)
    finally:
        text.detach()


def encoding_of(file: BinaryIO) -> str:
    """Return the encoding: a byte order mark decides, then zero bytes, then whether all of it is UTF-8."""
    file.seek(0)
    start = file.read(4096)
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            file.seek(0)
            return encoding
    even, odd = start[::2].count(0), start[1::2].count(0)
    half = max(1, len(start) // 2)
    if odd > 0.6 * half or even > 0.6 * half:
        file.seek(0)
        return "utf-16-le" if odd > even else "utf-16-be"
    is_utf8 = _is_utf8(start, file)
    file.seek(0)
    return "utf-8" if is_utf8 else "cp1252"


def _is_utf8(chunk: bytes, file: BinaryIO) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk:
            decoder.decode(chunk)
            chunk = file.read(_CHUNK)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _stated(sample: str) -> tuple[str, bool]:
    """Return the separator that a first line ``sep=;`` states, as Excel reads it, and whether there is such a line."""
    line = sample.partition("\n")[0]
    is_stated = len(line) == len("sep=;") and line.lower().startswith("sep=")
    return (line[-1], True) if is_stated else ("", False)


def separator_of(sample: str, is_heading: Callable[[str], object] | None = None) -> str:
    """
    Return the separator that finds the most headings in a line, then the same number of columns in the most lines.

    Lines of one column do not count. Commas may be decimal marks, which are not in every line; where both fit, more
    columns win.
    """
    lines = sample.split("\n")
    if len(lines) > 1:
        del lines[-1]  # it may be cut off
    lines = [line for line in lines[:200] if line.strip()]

    def score(separator: str) -> tuple[int, int, int]:
        table = [row for row in csv.reader(lines, delimiter=separator) if len(row) > 1]
        headings = max((sum(map(bool, map(is_heading, row))) for row in table), default=0) if is_heading else 0
        # Among numbers of columns that are as frequent, the greater one.
        counts = Counter(map(len, table))
        columns, rows = max(counts.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        return headings, rows, columns

    try:
        return max(SEPARATORS, key=score)
    except csv.Error:  # a cell that is longer than the csv module allows
        return max(SEPARATORS, key=sample.count)


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(MAX_LINE):
        yield line.replace("\x00", "")


def _rows(lines: Iterator[str], separator: str) -> Iterator[list[str]]:
    waiting: deque[str] = deque()
    while line := waiting.popleft() if waiting else next(lines, ""):
        if '"' not in line:
            content = line.rstrip("\n")
            yield content.split(separator)[:MAX_COLUMNS] if content else []
            continue
        taken = [line]

        def following(taken: list[str] = taken) -> Iterator[str]:
            yield taken[0]
            while len(taken) < MAX_LINES and (more := waiting.popleft() if waiting else next(lines, "")):
                taken.append(more)
                yield more

        try:
            row = next(csv.reader(following(), delimiter=separator, strict=True))
        except csv.Error:
            # The mark is a letter, or stands where none should: this line alone is the row.
            waiting.extendleft(reversed(taken[1:]))
            row = _without_quotes(line.rstrip("\n"), separator)
        yield row[:MAX_COLUMNS]


def _without_quotes(line: str, separator: str) -> list[str]:
    return [cell.strip().strip('"').replace('""', '"') for cell in line.split(separator)]
