"""Amounts of money, read as people mean them or refused."""

import re
import unicodedata

# How people write the unit, without spaces and dots, in lower case.
_UNITS = frozenset({"", "f", "fcfa", "cfa", "fr", "frs", "franc", "francs", "franccfa", "francscfa", "xof", "xaf"})

# What separates thousands, in the form in which it is compared. Spaces are found by their category.
_SEPARATORS = {
    ".": ".",
    ",": ",",
    "'": "'",
    "’": "'",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{MODIFIER LETTER APOSTROPHE}": "'",
    "\N{ARABIC THOUSANDS SEPARATOR}": ",",
}

# A unit before or after the number, not both.
_AMOUNT = re.compile(r"(?P<before>[a-z. ]*?)(?P<number>[0-9](?:[0-9 .,']*[0-9])?)(?P<after>[a-z. ]*)")

# Whole thousands, with one separator throughout. A group that begins with 0 is a fraction, or a telephone number.
_WHOLE = re.compile(r"0|[1-9][0-9]*|[1-9][0-9]{0,2}(?P<separator>[ .,'])[0-9]{3}(?:(?P=separator)[0-9]{3})*")

# More is not an amount of money.
_MAX_DIGITS = 15
_MAX_LENGTH = 100


def parse_amount(text: str) -> int:
    """
    Return an amount in whole francs: ``12 500``, ``12.500``, ``12,500 F``, ``12 500 F CFA`` and ``12’500`` are 12500.

    Spaces of any kind, invisible characters and the digits of any script make no difference. Signs, exponents,
    fractions (``12,5``, ``12.50``), several numbers and everything that could be read in two ways are refused with
    ``ValueError``.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError("An amount is not that long.")
    plain = re.sub(" +", " ", "".join(map(_plain, text.strip()))).strip().casefold()
    match = _AMOUNT.fullmatch(plain)
    if not match:
        raise ValueError("An amount is one number in whole francs.")
    before, after = (_unit(match[name]) for name in ("before", "after"))
    if before and after:
        raise ValueError("An amount has one unit at most.")
    if not _WHOLE.fullmatch(match["number"]):
        raise ValueError("An amount has no fraction, and its thousands have three digits each.")
    digits = re.sub("[^0-9]", "", match["number"])
    if len(digits) > _MAX_DIGITS:
        raise ValueError("An amount has 15 digits at most.")
    return int(digits)


def _plain(character: str) -> str:
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    category = unicodedata.category(character)
    if category == "Cf":  # invisible: direction marks, zero-width spaces, soft hyphens
        return ""
    if category == "Zs":
        return " "
    return _SEPARATORS.get(character, character)


def _unit(text: str) -> str:
    """Return the unit without spaces and dots. Raises ``ValueError`` if it is another one, or dots alone."""
    unit = re.sub("[. ]", "", text)
    if unit not in _UNITS or (not unit and "." in text):
        raise ValueError("The unit is francs.")
    return unit
