# ruff: noqa: RUF001  the digits of many scripts
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_paiementpro.amounts import parse_amount

SPACES = (" ", "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}", "\N{THIN SPACE}", "\N{IDEOGRAPHIC SPACE}")
SEPARATORS = ("", *SPACES, ".", ",", "'", "’", "\N{MODIFIER LETTER APOSTROPHE}", "\N{ARABIC THOUSANDS SEPARATOR}")
UNITS = (
    "",
    "F",
    "FCFA",
    "F CFA",
    "f.cfa",
    "F. CFA",
    "Frs",
    "francs CFA",
    "XOF",
    "\N{NO-BREAK SPACE}F\N{NO-BREAK SPACE}CFA",
)
# The zeros of scripts that have digits of their own.
ZEROS = "0٠۰०০０𝟎"


@pytest.mark.parametrize(
    "text",
    [
        *("12500", "12 500", "12.500", "12,500 F", "12 500 F CFA", "12’500", "12'500", "  12500  ", "12  500"),
        *(
            "12\u00a0500",
            "12\u202f500\u00a0F\u00a0CFA",
            "١٢٥٠٠",
            "１２５００",
            "١٢٬٥٠٠",
            "12\u200f500",
            "\u206812500\u2069",
        ),
        *("12500F", "12500fcfa", "FCFA 12 500", "F.CFA 12.500", "12 500 Frs.", "12 500 francs CFA", "XOF 12500"),
        "12500 Fr.",
    ],
)
def test_amount_is_read_as_people_mean_it(text: str) -> None:
    assert parse_amount(text) == 12500


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "F", "F CFA", ".", "-", "NaN", "nan", "inf", "Infinity", "None", "gratuit"),
        *("-12500", "+12500", "\N{MINUS SIGN}12500", "12500-", "(12500)", "1e4", "12E3", "0x10", "1_000", "12k"),
        *("12,5", "12.50", "12.5000", "1.2500", "12500.00", "12500,00", "12 500,00", "0.500", "0,500", ".500", "500."),
        *("1.000,000", "1,000.000", "1 000.000", "1 000 00", "10 00", "1,25,000", "12..500", "12.500.", "12. 500"),
        *("12 500 / 13 000", "12500-13000", "12500 13000", "5 000 ou 10 000", "12500; 13000", "12\t500", "12\n500"),
        *("F 12500 F", "12500 €", "12500 EUR", "$12500", "12500 XYZ", "12500 .", "012500", "00", "²500", "½", "Ⅻ"),
        *("1" * 16, "1" * 5000, "12٫5", "FC 12500 FA", "12500 F CFA 1"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|unit"):
        parse_amount(text)


def grouped(amount: int, separator: str) -> str:
    return f"{amount:,}".replace(",", separator)


@given(
    st.integers(0, 10**15 - 1),
    st.sampled_from(SEPARATORS),
    st.sampled_from(UNITS),
    st.sampled_from(["", *SPACES]),
    st.booleans(),
    st.sampled_from(ZEROS),
)
def test_written_amount_is_read_back(
    amount: int, separator: str, unit: str, space: str, is_before: bool, zero: str
) -> None:
    digits = "".join(chr(ord(zero) + int(each)) if each.isdigit() else each for each in grouped(amount, separator))
    text = f"{unit}{space}{digits}" if is_before else f"{digits}{space}{unit}"

    assert parse_amount(text) == amount


@given(st.text("0123456789 .,'’-+eEFfNnXx٫٬\u00a0", max_size=12) | st.text(max_size=20))
def test_what_is_read_has_exactly_the_digits_of_the_text(text: str) -> None:
    """A sign, an exponent, a fraction or a second number would change the amount: none of them is dropped silently."""
    try:
        amount = parse_amount(text)
    except ValueError:
        return

    digits = "".join(str(unicodedata.decimal(each)) for each in text if each.isdecimal())
    assert str(amount) == digits
    assert not set(text) & set("-+٫")
    visible = "".join(each for each in text if unicodedata.category(each) != "Cf")
    groups = "".join(each if each.isdecimal() else " " for each in visible).split()
    assert all(len(group) == 3 for group in groups[1:])


@given(st.integers(1, 999_999), st.integers(0, 99), st.sampled_from(".,"))
def test_fraction_is_never_read(whole: int, cents: int, mark: str) -> None:
    for text in (f"{whole}{mark}{cents:02}", f"{whole}{mark}{cents % 10}", f"{whole} {mark}{cents:02}"):
        with pytest.raises(ValueError, match="amount"):
            parse_amount(text)
