"""QR codes: what they say, and how they look."""

import struct
from xml.etree import ElementTree as ET

from django_paiementpro import qr
from tests.conftest import imported_at_start

TEXT = "https://example.com/pay/0123456789abcdef01234567/"


def test_modules_are_those_of_the_text() -> None:
    rows = qr.modules(TEXT)
    assert {len(row) for row in rows} == {len(rows)}
    assert {module for row in rows for module in row} == {0, 1}
    assert rows != qr.modules(TEXT[:-1])


def test_png_has_twelve_pixels_a_module_and_a_quiet_zone() -> None:
    content = qr.png(TEXT)
    assert content.startswith(b"\x89PNG\r\n")
    assert struct.unpack(">II", content[16:24]) == ((len(qr.modules(TEXT)) + 8) * 12,) * 2


def test_svg_scales_to_its_place() -> None:
    for document in (qr.svg(TEXT), qr.svg_element(TEXT)):
        root = ET.fromstring(document)
        assert "width" not in root.attrib
        size = len(qr.modules(TEXT)) + 8
        assert root.attrib["viewBox"] == f"0 0 {size} {size}"
    assert qr.svg(TEXT).startswith("<?xml")
    assert qr.svg_element(TEXT).startswith("<svg")
    assert qr.svg_element(TEXT) != qr.svg_element(TEXT[:-1])


def test_text_is_not_in_the_drawing() -> None:
    hostile = "</svg><script>alert(1)</script>"
    assert "script" not in qr.svg(hostile)
    assert "script" not in qr.svg_element(hostile)


def test_code_for_a_terminal_is_small() -> None:
    lines = qr.terminal(TEXT).splitlines()
    assert len(lines) < len(qr.modules(TEXT))
    assert "█" in lines[0] + lines[4]


def test_segno_is_imported_when_a_code_is_drawn() -> None:
    assert "segno" not in imported_at_start()
