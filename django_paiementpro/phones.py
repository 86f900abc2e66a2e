"""
Telephone numbers.

Checkout, search and erasure read a number by the same rule: an explicit country code takes precedence, then the country
of the payment's channel, then Côte d'Ivoire.
"""

import re
import unicodedata
from contextlib import suppress

import phonenumbers

from django_paiementpro.enums import Channel

DEFAULT_REGION = "CI"

_CHANNEL_REGIONS = {channel.value: channel.country for channel in Channel if channel.country}

#: The gateway expects the national number in these countries, and the country code in any other ("What is known of the
#: gateway").
HOME_REGIONS = frozenset(_CHANNEL_REGIONS.values())

_HOME_CODES = tuple(
    str(code) for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items() if regions[0] in HOME_REGIONS
)

#: The fewest digits of a national number at home, and the most of any number with its country code.
_MIN_DIGITS, _MAX_DIGITS = 8, 15

_BENIN = 229

#: Punctuation in its compatibility form (NFKC), and what it is read as. Spaces and dashes are found by their category.
_MARKS = {"+": "+", ".": ".", "·": "·", "/": "/", "(": "(", ")": ")", "[": "(", "]": ")", "\N{MINUS SIGN}": "-"}

#: What may be a country code, with or without its prefix, and a 0 in brackets after it.
_TRUNK_ZERO = re.compile(r"(\D*\d{1,5}\D*)\( ?0 ?\)")


def parse_phone(text: str, *channels: str) -> str:
    """
    Return the number in E.164 format, such as ``+2250707123456``.

    A number without a country code belongs to the country of the first of ``channels`` that has one, else to Côte
    d'Ivoire. Spaces, dashes, dots, brackets and invisible characters make no difference, and ``00225`` is ``+225``.
    Benin's old eight-digit numbers become the new ten-digit ones, which begin with ``01``. Whether the number is in use
    is not checked: numbering plans change faster than libraries.

    Raise ``ValueError`` if the text is not one telephone number.
    """
    return _format(_read(_clean(text), region_of(*channels)))


def normalize_phone(text: str, *channels: str) -> str:
    """
    Return the 8 to 15 digits to send to the gateway.

    They are the national number in the countries that the gateway serves, and the country code followed by the national
    number elsewhere. The number is read by ``parse_phone``, which raises ``ValueError`` if the text is not one
    telephone number.
    """
    number = _read(_clean(text), region_of(*channels))
    return phonenumbers.national_significant_number(number) if _is_home(number) else _format(number)[1:]


def search_phones(text: str) -> set[str]:
    """
    Return every number that the text may mean, in E.164 format.

    Without an explicit country code, the text is read in each country that the gateway serves, and as a number whose
    ``+`` is missing. What ``parse_phone`` returns for a text is always among the results. The set is empty if the text
    is not one telephone number.
    """
    numbers = set()
    with suppress(ValueError):
        text = _clean(text)
        readings = [(text, region) for region in HOME_REGIONS]
        if not _has_two_numbers(text):
            readings.append(("+" + text, DEFAULT_REGION))
        for reading in readings:
            with suppress(ValueError):
                numbers.add(_format(_read(*reading)))
    return numbers


def mask_phone(number: str) -> str:
    """Return the country code and the last four digits of a number in E.164 format; empty if it is empty."""
    if not number:
        return ""
    code = str(phonenumbers.parse(number).country_code)
    national = number[len(code) + 1 :]
    return f"+{code} {'*' * (len(national) - 4)}{national[-4:]}"


def region_of(*channels: str) -> str:
    """Return the country (ISO 3166-1) of a number without a country code."""
    return next((_CHANNEL_REGIONS[channel] for channel in channels if channel in _CHANNEL_REGIONS), DEFAULT_REGION)


def _is_home(number: phonenumbers.PhoneNumber) -> bool:
    return str(number.country_code) in _HOME_CODES


def _format(number: phonenumbers.PhoneNumber) -> str:
    return f"+{number.country_code}{phonenumbers.national_significant_number(number)}"


def _clean(text: str) -> str:
    """Return ASCII digits with plain spaces and punctuation between them; a plus comes first."""
    text = re.sub(" +", " ", "".join(map(_clean_character, text)))
    before, plus, after = text.partition("+")
    if plus and ("+" in after or re.search(r"\d", before)):
        raise ValueError("A telephone number has one + at most, and begins with it.")
    return plus + after if plus else text


def _clean_character(character: str) -> str:
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    category = unicodedata.category(character)
    if category == "Cf":  # invisible: direction marks, zero-width spaces, soft hyphens
        return ""
    if category == "Pd":
        return character  # a dash that differs from the others may mean "to"
    mark = unicodedata.normalize("NFKC", character)
    if mark.isspace():
        return " "
    if mark not in _MARKS:
        raise ValueError("A telephone number has only digits, spaces, dashes, dots, brackets and a leading +.")
    return _MARKS[mark]


def _read(text: str, region: str) -> phonenumbers.PhoneNumber:
    """Return the number that a clean text means, or raise ``ValueError``."""
    number = _parse(text, region)
    if (trunk := _TRUNK_ZERO.match(text)) and not phonenumbers.is_possible_number(number):
        # "+221 (0)77 123 45 67": a habit from countries that have a trunk prefix.
        shorter = trunk[1] + text[trunk.end() :]
        without_zero = _parse(shorter, region)
        is_after_code = len(_get_digits(trunk[1])) == _count_code_digits(shorter, without_zero)
        if is_after_code and phonenumbers.is_possible_number(without_zero):
            text, number = shorter, without_zero
    national = phonenumbers.national_significant_number(number)
    total = len(f"{number.country_code}{national}")
    if total > _MAX_DIGITS or (len(national) if _is_home(number) else total) < _MIN_DIGITS:
        raise ValueError("A telephone number has 8 to 15 digits.")
    if _has_two_numbers(text, _count_code_digits(text, number)):
        raise ValueError("Enter one telephone number only.")
    if _parse(_format(number), region) != number:
        raise ValueError("This is not a telephone number.")  # two trunk prefixes, such as "+33 0 06 12 34 56 78"
    return number


def _parse(text: str, region: str) -> phonenumbers.PhoneNumber:
    """Return the number that the digits of a clean text mean, whatever stands between them."""
    digits = _get_digits(text)
    if _has_code(text, digits):
        return _parse_digits("+" + digits.removeprefix("00"))
    number = _parse_digits(digits, region)
    if digits.startswith(_HOME_CODES) and not phonenumbers.is_possible_number(number):
        # "221 77 123 45 67", where the channel's country has no number of that length.
        with_code = _parse_digits("+" + digits)
        if phonenumbers.is_possible_number(with_code):
            return with_code
    return number


def _parse_digits(digits: str, region: str | None = None) -> phonenumbers.PhoneNumber:
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException as error:
        raise ValueError("This is not a telephone number.") from error
    national = phonenumbers.national_significant_number(number)
    if number.country_code == _BENIN and len(national) == 8 and national[0] != "0":
        return _parse_digits(f"+{_BENIN}01{national}")
    return number


def _get_digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _has_code(text: str, digits: str) -> bool:
    return text.startswith("+") or digits.startswith("00")


def _count_code_digits(text: str, number: phonenumbers.PhoneNumber) -> int:
    """Return how many digits of the text come before the national number."""
    digits = _get_digits(text)
    code = str(number.country_code)
    if _has_code(text, digits):
        return len(code) + (2 if digits.startswith("00") else 0)
    return len(code) if len(digits) > len(phonenumbers.national_significant_number(number)) else 0


def _has_two_numbers(text: str, code_digits: int = 0) -> bool:
    """
    Return whether a slash, a dash or a bracket introduces a second number, as in "07 07 12 34 56/57".

    Such a separator follows at least eight digits of the national number and is unlike the separators before it.
    """
    count, separators = -code_digits, set()
    for separator, digits in re.findall(r"(\D*)(\d+)", text):
        if count >= _MIN_DIGITS and separator not in separators and separator.strip(" ."):
            return True
        if count > 0:
            separators.add(separator)
        count += len(digits)
    return False
