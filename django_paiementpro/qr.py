"""QR codes, which any camera reads. They need segno, imported when a code is drawn: the core works without it."""

import io
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.utils.safestring import SafeString, mark_safe

# Level M survives a crease or a stain on paper. The border is the quiet zone that readers need. The code is black on
# white in every theme.
_LEVEL = "m"
_LOOK = {"border": 4, "dark": "#000", "light": "#fff"}


def can_draw() -> bool:
    """Return whether segno is installed."""
    return find_spec("segno") is not None


def svg(text: str) -> str:
    """Return the QR code of a text as an SVG document that scales to its place."""
    content = io.BytesIO()
    _code(text).save(content, kind="svg", omitsize=True, encoding="utf-8", **_LOOK)
    return content.getvalue().decode()


def svg_element(text: str) -> SafeString:
    """Return the QR code as an inline SVG element."""
    element: str = _code(text).svg_inline(omitsize=True, **_LOOK)
    # It consists of numbers and colours: the text is in its shapes.
    return mark_safe(element)  # noqa: S308  # nosec B308 B703


def png(text: str) -> bytes:
    """Return the QR code as a PNG that is sharp in print and in a chat."""
    content = io.BytesIO()
    _code(text).save(content, kind="png", scale=12, **_LOOK)
    return content.getvalue()


def modules(text: str) -> Sequence[Sequence[int]]:
    """Return the rows of the QR code, without its quiet zone: 1 is dark."""
    return [list(row) for row in _code(text).matrix]


def terminal(text: str) -> str:
    """Return the QR code as lines for a terminal, as small as it can be."""
    content = io.StringIO()
    _code(text, "l").terminal(content, compact=True)
    return content.getvalue()


def _code(text: str, level: str = _LEVEL) -> Any:
    return import_module("segno").make_qr(text, error=level)
