from argparse import ArgumentTypeError
from collections.abc import Callable

from django.utils.translation import gettext as _


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """Return an argparse type for whole numbers in a range; it raises ``ArgumentTypeError``."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and lowest <= int(text) <= highest):
            params = {"lowest": lowest, "highest": highest}
            raise ArgumentTypeError(_("enter a whole number from %(lowest)d to %(highest)d") % params)
        return int(text)

    return read
