"""
The PDF of a receipt, with its fonts embedded.

They have the letters of Latin scripts, those of African languages included. Another letter, or an emoji, is printed as
the letters that Unicode decomposes it into, or else as a question mark: it never makes the PDF fail.
"""

import logging
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias, cast

from django.utils.translation import get_language
from django.utils.translation import gettext as _
from fontTools.ttLib import TTFont
from fpdf import FPDF
from fpdf.enums import MethodReturnValue, XPos, YPos

from django_paiementpro import qr
from django_paiementpro.receipts.models import Receipt
from django_paiementpro.receipts.paper import Line, Paper

#: fpdf2’s names of the styles in use.
Style: TypeAlias = Literal["", "B"]

FONTS = Path(__file__).parent / "fonts"
FONT = "DejaVu"

#: The files by fpdf2’s names of styles.
FILES: Mapping[Style, str] = {"": "DejaVuSans.ttf", "B": "DejaVuSans-Bold.ttf"}

#: In millimetres.
MARGIN = 18.0
LABELS = 58.0
QR_SIZE = 34.0

#: What replaces a letter that the fonts lack.
UNKNOWN = "?"

# It reports at length which tables of a font it leaves out.
logging.getLogger("fontTools.subset").setLevel(logging.ERROR)


def write(receipt: Receipt, paper: Paper, url: str) -> bytes:
    """Return the PDF. ``url`` is the public address of the receipt, for its QR code."""
    pdf = _Pdf(format="A4")
    pdf.set_margins(MARGIN, MARGIN)
    pdf.set_auto_page_break(True, MARGIN)
    pdf.c_margin = 0
    pdf.set_lang(get_language() or "en")
    pdf.set_title(fitted(f"{paper.title} {paper.number}"))
    pdf.set_creation_date(receipt.issued_at)
    for style, name in FILES.items():
        pdf.add_font(FONT, style, FONTS / name)
    pdf.add_page()
    pdf.write_seller(paper)
    pdf.write_amount(paper)
    for line in [*paper.lines, *paper.fiscal]:
        pdf.write_line(line)
    if paper.fiscal_url:
        pdf.write_text(paper.fiscal_url, size=8)
    pdf.write_codes([(url, _("Scan to see this receipt online"))], paper)
    pdf.write_text(paper.note, size=9)
    return bytes(pdf.output())


@cache
def _letters() -> frozenset[int]:
    """Return the characters that both fonts have."""
    maps = []
    for name in FILES.values():
        with TTFont(FONTS / name, lazy=True) as font:
            maps.append(font.getBestCmap())
    return frozenset(set.intersection(*map(set, maps)))


def fitted(text: str) -> str:
    """Return the text with nothing but characters that the fonts have."""
    return "".join(map(_fitted_character, unicodedata.normalize("NFC", text)))


def _fitted_character(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf":
        return ""  # joiners and the like, which are never seen
    if ord(character) in _letters():
        return character
    if category in {"Zs", "Zl", "Zp", "Cc"}:
        return " "
    if category in {"Mn", "Me"}:
        return ""  # a mark on a letter before it, or a variant of that
    plain = unicodedata.normalize("NFKD", character)
    return plain if all(ord(letter) in _letters() for letter in plain) else UNKNOWN


class _Pdf(FPDF):
    """Writes the parts of the paper, one below the other."""

    def write_text(self, text: str, *, size: float, style: Style = "", align: str = "L") -> None:
        self.set_font(FONT, style, size)
        self.multi_cell(0, size * 0.52, fitted(text), align=align, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def write_seller(self, paper: Paper) -> None:
        if paper.seller_name:
            self.write_text(paper.seller_name, size=13, style="B")
        for text in paper.seller:
            self.write_text(text, size=9)
        self.ln(8)

    def write_amount(self, paper: Paper) -> None:
        self.write_text(paper.title, size=18, style="B")
        self.write_text(_("No. %(number)s") % {"number": paper.number}, size=11)
        self.ln(5)
        self.write_text(paper.amount, size=22, style="B")
        self.write_text(paper.words, size=10)
        self.ln(5)

    def write_line(self, line: Line) -> None:
        """Write a label and its value, which may take several lines, below a thin rule."""
        self.set_font(FONT, "B", 10)
        width = self.epw - LABELS
        value = fitted(line.value)
        height = cast(
            "float", self.multi_cell(width, 5.5, value, align="L", dry_run=True, output=MethodReturnValue.HEIGHT)
        )
        if self.will_page_break(min(height + 3, self.eph)):
            self.add_page()
        self.set_draw_color(190)
        self.line(self.l_margin, self.y, self.w - self.r_margin, self.y)
        self.set_y(self.y + 1.5)
        self.set_font(FONT, "", 10)
        self.cell(LABELS, 5.5, fitted(line.label))
        self.set_font(FONT, "B", 10)
        self.multi_cell(width, 5.5, value, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.set_y(self.y + 1.5)

    def write_codes(self, codes: list[tuple[str, str]], paper: Paper) -> None:
        """Draw the QR codes beside each other, each above its caption."""
        if paper.fiscal_qr:
            codes = [*codes, (paper.fiscal_qr, _("Scan to verify the fiscal document"))]
        if self.will_page_break(QR_SIZE + 22):
            self.add_page()
        top = self.y + 6
        for place, (text, caption) in enumerate(codes):
            left = self.l_margin + place * (QR_SIZE + 30)
            self._draw_code(qr.modules(text), left, top)
            self.set_xy(left, top + QR_SIZE + 2)
            self.set_font(FONT, "", 8)
            self.multi_cell(QR_SIZE + 20, 4, fitted(caption), align="L")
        self.set_xy(self.l_margin, top + QR_SIZE + 14)

    def _draw_code(self, rows: Sequence[Sequence[int]], left: float, top: float) -> None:
        """Draw the dark modules, a run of them in a row as one rectangle. The page is the quiet zone."""
        module = QR_SIZE / len(rows)
        self.set_fill_color(0)
        for number, row in enumerate(rows):
            start = 0
            while start < len(row):
                end = start
                while end < len(row) and row[end]:
                    end += 1
                if end > start:
                    self.rect(left + start * module, top + number * module, (end - start) * module, module, style="F")
                start = end + 1
