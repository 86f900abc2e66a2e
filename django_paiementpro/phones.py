"""Telephone numbers as the gateway takes them: 8 to 15 digits, nothing else (FIELD_GUIDE section 2)."""

import re
import unicodedata

import phonenumbers

from django_paiementpro.enums import Channel

DEFAULT_REGION = "CI"

# The operator's prompt goes to this number, and what has been seen paid is a number as it is dialled at home
# (FIELD_GUIDE section 2). Elsewhere nobody dials it at home: the country code stays.
HOME_REGIONS = frozenset(channel.country for channel in Channel if channel.country)


def region_of(channel: str) -> str:
    """Return the country in which a number without a country code is to be read."""
    return (Channel(channel).country if channel in Channel.values else "") or DEFAULT_REGION


def normalize_phone(text: str, region: str = DEFAULT_REGION) -> str:
    """
    Return 8 to 15 digits: the national number of a country that the gateway serves, else with its country code.

    Spaces, dashes, dots, brackets, the invisible marks of a pasted contact, ``+225`` and ``00225`` make no difference;
    the leading 0 of an Ivorian number is part of it. Whether the number is in use is not asked: numbering plans change
    faster than libraries.
    Raises ``ValueError`` for what is no telephone number.
    """
    return _read(text, region)[1]


def is_same_phone(first: str, second: str, second_region: str = DEFAULT_REGION) -> bool:
    """
    Return whether two spellings are of one number. What is no telephone number is none's.

    Where both name a country it must be the same one: abroad somebody else may have the same digits.
    """
    try:
        (country, digits), (second_country, second_digits) = _read(first), _read(second, second_region)
    except ValueError:
        return False
    return digits == second_digits and (None in {country, second_country} or country == second_country)


def _read(text: str, region: str = DEFAULT_REGION) -> tuple[int | None, str]:
    """Return the country code, None where the text names none, and the digits that the gateway takes."""
    text = "".join(letter for letter in text if not (letter.isspace() or unicodedata.category(letter) == "Cf"))
    if re.search(r"[^\d+().\-\u2010-\u2015/]", text) or "+" in text[1:]:
        raise ValueError("a telephone number holds digits, spaces, dashes and one leading +")
    try:
        number = phonenumbers.parse(text, region, keep_raw_input=True)
    except phonenumbers.NumberParseException as error:
        raise ValueError("not a telephone number") from error
    national = phonenumbers.national_significant_number(number)
    is_at_home = phonenumbers.region_code_for_country_code(number.country_code or 0) in HOME_REGIONS
    digits = national if is_at_home else f"{number.country_code}{national}"
    if not 8 <= len(digits) <= 15:
        raise ValueError("a telephone number has 8 to 15 digits")
    is_national = number.country_code_source == phonenumbers.CountryCodeSource.FROM_DEFAULT_COUNTRY
    return (None if is_national else number.country_code), digits
