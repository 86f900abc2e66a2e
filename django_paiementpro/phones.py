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
    text = "".join(letter for letter in text if not (letter.isspace() or unicodedata.category(letter) == "Cf"))
    if re.search(r"[^\d+().\-\u2010-\u2015/]", text) or "+" in text[1:]:
        raise ValueError("a telephone number holds digits, spaces, dashes and one leading +")
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        raise ValueError("not a telephone number") from error
    national = phonenumbers.national_significant_number(number)
    is_at_home = phonenumbers.region_code_for_country_code(number.country_code or 0) in HOME_REGIONS
    digits = national if is_at_home else f"{number.country_code}{national}"
    if not 8 <= len(digits) <= 15:
        raise ValueError("a telephone number has 8 to 15 digits")
    return digits
