import pytest

from django_paiementpro.phones import is_same_phone, normalize_phone, region_of


@pytest.mark.parametrize(
    "text",
    [
        "0707123456",
        "07 07 12 34 56",
        "07-07-12-34-56",
        "07.07.12.34.56",
        "(07) 07/12 34 56",
        "+2250707123456",
        "+225 07 07 12 34 56",
        "00225 07 07 12 34 56",
        "2250707123456",
        " 07\N{NARROW NO-BREAK SPACE}07\N{NO-BREAK SPACE}12 34 56 ",
        "07‑07‑12‑34‑56",  # noqa: RUF001
        "٠٧٠٧١٢٣٤٥٦",
        "\u202a+225 07 07 12 34 56\u202c\u200e",
    ],
)
def test_spellings_of_an_ivorian_number_arrive_as_the_same_digits(text: str) -> None:
    assert normalize_phone(text) == "0707123456"


@pytest.mark.parametrize(
    ("text", "region", "digits"),
    [
        ("01234567", "CI", "01234567"),  # the official sample, of before 2021
        ("+221 77 123 45 67", "CI", "771234567"),
        ("77 123 45 67", "SN", "771234567"),
        ("+237 6 71 23 45 67", "CI", "671234567"),
        ("+33 6 12 34 56 78", "CI", "33612345678"),
        ("0033612345678", "CI", "33612345678"),
    ],
)
def test_a_number_at_home_is_national_and_elsewhere_international(text: str, region: str, digits: str) -> None:
    assert normalize_phone(text, region) == digits


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "12",
        "0707CALLME",
        "0707123456 ext 5",
        "07+07123456",
        "1" * 16,
        "1" * 5000,
        "awa@example.com",
        "\x00" * 8,
    ],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="telephone number"):
        normalize_phone(text)


def test_the_channel_tells_the_country() -> None:
    assert [region_of(channel) for channel in ("OMSN", "OMCIV2", "CARD", "", "NEW")] == ["SN", "CI", "CI", "CI", "CI"]


@pytest.mark.parametrize(
    ("first", "second", "second_region", "is_same"),
    [
        ("0707123456", "+225 07 07 12 34 56", "CI", True),
        ("+225 07 07 12 34 56", "002250707123456", "CI", True),
        ("+225 07 07 12 34 56", "07-07-12-34-56", "CI", True),
        ("+221 77 123 45 67", "77 123 45 67", "SN", True),
        ("77 123 45 67", "+221 77 123 45 67", "CI", True),
        ("0707123456", "0507123456", "CI", False),
        ("+223 70 12 34 56", "+226 70 12 34 56", "CI", False),
        ("+33 6 12 34 56 78", "06 12 34 56 78", "CI", False),
        ("0707123456", "x", "CI", False),
        ("x", "x", "CI", False),
        ("", "", "CI", False),
    ],
)
def test_two_spellings_are_of_one_number(first: str, second: str, second_region: str, is_same: bool) -> None:
    assert is_same_phone(first, second, second_region) is is_same
