from argparse import ArgumentTypeError
from collections.abc import Callable

from django.utils.translation import gettext as _


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """Return what reads a whole number of an option. It raises ``ArgumentTypeError``."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and lowest <= int(text) <= highest):
            shown = {"lowest": lowest, "highest": highest}
            raise ArgumentTypeError(_("write a whole number from %(lowest)d to %(highest)d") % shown)
        return int(text)

    return read
