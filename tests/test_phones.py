import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_paiementpro.enums import Channel
from django_paiementpro.phones import HOME_REGIONS, mask_phone, normalize_phone, parse_phone, region_of, search_phones


@pytest.mark.parametrize(
    "text",
    [
        "0707123456",
        "07 07 12 34 56",
        "0707 123456",
        "07071234 56",
        " 07  07 12 34 56\t",
        "07\N{NARROW NO-BREAK SPACE}07\N{NO-BREAK SPACE}12\N{FIGURE SPACE}34\N{THIN SPACE}56",
        "07.07.12.34.56",
        "07·07·12·34·56",
        "07 07 12 34.56",
        "07-07-12-34-56",
        "07 - 07 - 12 - 34 - 56",
        "0707-123456",
        "07/07/12/34/56",
        "(07) 07/12 34 56",
        "[07] 07 12 34 56",
        "(07 07 12 34 56)",
    ],
)
def test_separators_make_no_difference(text: str) -> None:
    assert parse_phone(text) == "+2250707123456"
    assert normalize_phone(text) == "0707123456"


@pytest.mark.parametrize(
    "dash",
    [
        "\N{HYPHEN}",
        "\N{NON-BREAKING HYPHEN}",
        "\N{FIGURE DASH}",
        "\N{EN DASH}",
        "\N{EM DASH}",
        "\N{HORIZONTAL BAR}",
        "\N{MINUS SIGN}",
        "\N{FULLWIDTH HYPHEN-MINUS}",
    ],
)
def test_every_dash_is_a_separator(dash: str) -> None:
    assert parse_phone(dash.join(["07", "07", "12", "34", "56"])) == "+2250707123456"


@pytest.mark.parametrize(
    "text",
    [
        "\u202a+225 07 07 12 34 56\u202c\u200e",
        "\ufeff+225 07\u200b07\u00ad12\u206034 56",
        "+\u202d225\u202c0707123456",
        "07071234\u00ad56",
    ],
)
def test_invisible_marks_make_no_difference(text: str) -> None:
    assert parse_phone(text) == "+2250707123456"


@pytest.mark.parametrize(
    "text",
    [
        "٠٧٠٧١٢٣٤٥٦",
        "۰۷۰۷۱۲۳۴۵۶",
        "०७०७१२३४५६",
        "\uff0b\uff12\uff12\uff15 \uff10\uff17\uff10\uff17\uff11\uff12\uff13\uff14\uff15\uff16",
        "\uff08\uff0b225\uff09 07 07 12 34 56",
    ],
)
def test_digits_of_every_script_are_digits(text: str) -> None:
    assert parse_phone(text) == "+2250707123456"


@pytest.mark.parametrize(
    "text",
    [
        "+2250707123456",
        "+225 07 07 12 34 56",
        "00225 07 07 12 34 56",
        "002250707123456",
        "+00225 07 07 12 34 56",
        "2250707123456",
        "225 07 07 12-34-56",
        "(+225) 07 07 12 34 56",
        "(00225) 07 07 12 34 56",
        "+(225) 07 07 12 34 56",
        "+225 (07) 07 12 34 56",
        "+225 (0)7 07 12 34 56",
        "+225 (0707123456)",
        "+225-0707123456",
        "00225-07071234 56",
        "+225 07-07-12-34-56",
        "+225/07/07/12/34/56",
    ],
)
@pytest.mark.parametrize("channel", ["", "OMCIV2", "OMSN", "MOMOBJ", "MOOVTG"])
def test_country_code_overrides_the_channel(text: str, channel: str) -> None:
    assert parse_phone(text, channel) == "+2250707123456"


@pytest.mark.parametrize("text", ["(+33) 6 12 34 56 78", "(0033) 6 12 34 56 78", "+(33) 6 12 34 56 78"])
def test_country_code_may_be_in_brackets(text: str) -> None:
    assert parse_phone(text, "OMSN") == "+33612345678"


@pytest.mark.parametrize(
    ("channels", "number"),
    [
        ([], "+225771234567"),
        ([""], "+225771234567"),
        (["CARD"], "+225771234567"),
        (["NEW"], "+225771234567"),
        (["OMSN"], "+221771234567"),
        (["", "OMSN"], "+221771234567"),
        (["CARD", "OMSN"], "+221771234567"),
        (["NEW", "OMSN"], "+221771234567"),
        (["OMSN", "MOMOCM"], "+221771234567"),
        ([Channel.MTN_CM, "OMSN"], "+237771234567"),
    ],
)
def test_first_channel_with_a_country_sets_the_country(channels: list[str], number: str) -> None:
    assert parse_phone("77 123 45 67", *channels) == number


@pytest.mark.parametrize(
    ("text", "channel", "number"),
    [
        ("221771234567", "", "+221771234567"),
        ("221 77 123 45 67", "OMCIV2", "+221771234567"),
        ("229 97 12 34 56", "OMSN", "+2290197123456"),
        ("22890123456", "MOMOBJ", "+22890123456"),
        # These are as long as the channel's country allows, or too short for the country that they seem to name.
        ("22890123", "MOOVTG", "+22822890123"),
        ("24 51 23 45 67", "OMCIV2", "+2252451234567"),
        ("2251234567", "OMCIV2", "+2252251234567"),
        ("22507123456", "OMSN", "+22122507123456"),
        # France is not a country that the gateway serves.
        ("33612345678", "", "+22533612345678"),
    ],
)
def test_long_number_may_omit_the_plus_sign(text: str, channel: str, number: str) -> None:
    assert parse_phone(text, channel) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+221 (0)77 123 45 67", "+221771234567"),
        ("(+221) (0) 77 123 45 67", "+221771234567"),
        ("+221 ( 0 ) 77-123-45-67", "+221771234567"),
        ("00221(0)771234567", "+221771234567"),
        ("221 (0)77 123 45 67", "+221771234567"),
        ("+237 (0)6 71 23 45 67", "+237671234567"),
        ("+229 (0)97 12 34 56", "+2290197123456"),
        ("+229 (0)1 97 12 34 56", "+2290197123456"),
        ("+33 (0)6 12 34 56 78", "+33612345678"),
        ("+242 (0)6 612 34 56", "+242066123456"),
        ("+39 (0)6 1234 5678", "+390612345678"),
    ],
)
def test_bracketed_trunk_zero_is_dropped(text: str, number: str) -> None:
    assert parse_phone(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+221 077 123 45 67", "+2210771234567"),
        ("+2217 (0)7 123 45 67", "+2217071234567"),
        ("77 (0)12 34 56 78", "+22177012345678"),
        ("+221 (0)77 123 45", "+22107712345"),
    ],
)
def test_other_zeros_are_kept(text: str, number: str) -> None:
    assert parse_phone(text, "OMSN") == number


@pytest.mark.parametrize(
    ("text", "channel"),
    [
        ("97 12 34 56", "MOMOBJ"),
        ("97123456", "FLOOZBJ"),
        ("22997123456", "MOMOBJ"),
        ("22997123456", ""),
        ("+229 97 12 34 56", ""),
        ("+229-97-12-34-56", ""),
        ("00229 97123456", "OMSN"),
        ("01 97 12 34 56", "MOMOBJ"),
        ("0197123456", "MOMOBJ"),
        ("+229 01 97 12 34 56", ""),
        ("2290197123456", ""),
    ],
)
def test_old_and_new_numbers_of_benin_are_the_same(text: str, channel: str) -> None:
    assert parse_phone(text, channel) == "+2290197123456"
    assert normalize_phone(text, channel) == "0197123456"


def test_eight_digits_are_left_as_they_are_outside_benin() -> None:
    assert parse_phone("01 97 12 34 56", "FLOOZ") == "+2250197123456"
    assert parse_phone("97 12 34 56", "FLOOZ") == "+22597123456"
    assert parse_phone("97 12 34 56", "MOOVTG") == "+22897123456"


def test_incomplete_new_number_of_benin_is_not_extended() -> None:
    assert parse_phone("01 97 12 34", "MOMOBJ") == "+22901971234"


@pytest.mark.parametrize(
    ("text", "channel"),
    [
        ("90 12 34 56/57", "MOOVTG"),
        ("90 12 34 56 / 57", "MOOVTG"),
        ("90 12 34 56/57/58", "MOOVTG"),
        ("90123456/57", "MOOVTG"),
        ("90123456-57", "MOOVTG"),
        ("90 12 34 56 (57)", "MOOVTG"),
        ("+228 90 12 34 56/57", ""),
        ("22890123456/57", ""),
        ("00228 90 12 34 56/57", ""),
        ("97 12 34 56/57", "MOMOBJ"),
        ("+229 97 12 34 56/57", ""),
        ("77 123 45 67/68", "OMSN"),
        ("+221 (0)77 123 45 67/68", ""),
        ("6 71 23 45 67-68", "MOMOCM"),
        ("+33 6 12 34 56 78/79", ""),
        ("70 12 34 56-57", ""),
        ("70 12 34 56–57", "OMBF"),
        ("01 23 45 67/68", ""),
        ("07 07 12 34 56/57", ""),
        ("07 07 12 34 56/7", ""),
        ("07 07 12 34 5/6", ""),
        ("07.07.12.34.56/57", ""),
        ("07.07.12.34.56 · 57", ""),
        ("07/07/12/34/56-57", ""),
        ("07/07/12/34/56 / 57", ""),
        ("07-07-12-34-56/57", ""),
        ("07-07-12-34-56 - 57", ""),
        ("07-07-12-34-56–57", ""),
        ("+225-07 07 12 34 56-57", ""),
        ("+225/07 07 12 34 56/57", ""),
        ("+225-0707123456-57", ""),
        ("07 07 12 34 56 / 05 05 12 34 56", ""),
        ("07 07 12 34 56/05 05 12 34 56", ""),
        ("07 07 12 34 56 05 05 12 34 56", ""),
        ("07/07/12/34/56/05/05/12/34/56", ""),
        ("01 23 45 67/01 23 45 68", ""),
        ("90 12 34 56/90 12 34 57", "MOOVTG"),
        ("07 07 12 34 56\n05 05 12 34 56", ""),
        ("07 07 12 34 56, 05 05 12 34 56", ""),
        ("07 07 12 34 56, 57", ""),
        ("07 07 12 34 56; 57", ""),
        ("07 07 12 34 56 ou 05 05 12 34 56", ""),
        ("07 07 12 34 56 ou 57", ""),
        ("07 07 12 34 56 & 57", ""),
        ("+225 07 07 12 34 56 +225 05 05 12 34 56", ""),
    ],
)
def test_two_numbers_in_one_field_are_refused(text: str, channel: str) -> None:
    with pytest.raises(ValueError, match="telephone number"):
        parse_phone(text, channel)
    with pytest.raises(ValueError, match="telephone number"):
        normalize_phone(text, channel)
    assert search_phones(text) == set()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("77 123 45-67", "+221771234567"),
        ("+1 (415) 555-2671", "+14155552671"),
        ("+1 415-555-2671", "+14155552671"),
        ("+44 20 7946-0958", "+442079460958"),
        ("+55 11 91234-5678", "+5511912345678"),
        ("+33-612345678", "+33612345678"),
    ],
)
def test_dash_before_the_eighth_digit_does_not_split_the_number(text: str, number: str) -> None:
    assert parse_phone(text, "OMSN") == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "+",
        "()",
        "12",
        "0707123",
        "+228 9012345",
        "+33 12345",
        "1" * 13,  # 16 with the country code
        "+2250707123456789",
        "1" * 16,
        "1" * 5000,
        "0707CALLME",
        "0707123456 ext 5",
        "0707123456 x5",
        "0707123456#5",
        "0707123456;5",
        "tel:+2250707123456",
        "awa@example.com",
        "07+07123456",
        "07 07 12 34 56+",
        "++2250707123456",
        "+225+0707123456",
        "07 +225 07 07 12 34 56",
        "+999 07 07 12 34 56",
        "+07 07 12 34 56",
        "000 225 07 07 12 34 56",
        "0000000000",
        "+33 0 06 12 34 56 78",
        "07 07 12 34 56 ☎",
        "0\ufe0f\u20e37 07 12 34 56",
        "07 07 12 34 56²",
        "①②③④⑤⑥⑦⑧",
        "⒈07 07 12 34 56",
        "\x00" * 8,
        "0707\ud800123456",
        "*0707123456",
    ],
)
def test_other_text_is_not_a_phone_number(text: str) -> None:
    with pytest.raises(ValueError, match="telephone number") as refusal:
        parse_phone(text)
    assert not re.search(r"0707|07 07|1111", str(refusal.value))


@pytest.mark.parametrize(
    "text", ["12345678", "+225 12345678", "+33 123456", "1" * 12, "+86 138 0013 8000", "+49" + "1" * 13]
)
def test_eight_to_fifteen_digits_are_accepted(text: str) -> None:
    assert 8 <= len(normalize_phone(text)) <= len(parse_phone(text)) - 1 <= 15


@pytest.mark.parametrize(
    ("text", "channel", "digits"),
    [
        ("07 07 12 34 56", "", "0707123456"),
        ("07 07 12 34 56", "CARD", "0707123456"),
        ("01234567", "", "01234567"),  # the gateway's own sample, from before 2021
        ("+221 77 123 45 67", "", "771234567"),
        ("77 123 45 67", "OMSN", "771234567"),
        ("+237 6 71 23 45 67", "", "671234567"),
        ("671 23 45 67", "MOMOCM", "671234567"),
        ("90 12 34 56", "MOOVTG", "90123456"),
        ("97 12 34 56", "MOMOBJ", "0197123456"),
        ("+33 6 12 34 56 78", "", "33612345678"),
        ("0033612345678", "", "33612345678"),
        ("33612345678", "", "33612345678"),
        ("+1 415 555 2671", "", "14155552671"),
    ],
)
def test_gateway_gets_national_digits_at_home_only(text: str, channel: str, digits: str) -> None:
    assert normalize_phone(text, channel) == digits


def test_region_is_that_of_the_first_channel_with_a_country() -> None:
    assert region_of() == region_of("", "CARD", "NEW") == "CI"
    assert region_of("", "CARD", "NEW", "OMSN", "MOMOCM") == "SN"


def test_every_channel_country_counts_as_home() -> None:
    assert {channel.country for channel in Channel} - {""} == HOME_REGIONS


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+225 07 07 12 34 56", "+2250707123456"),
        ("00225 07-07-12-34-56", "+2250707123456"),
        ("2250707123456", "+2250707123456"),
        ("221 77 123 45 67", "+221771234567"),
        ("+221 (0)77 123 45 67", "+221771234567"),
        ("+229 97 12 34 56", "+2290197123456"),
        ("+33 6 12 34 56 78", "+33612345678"),
        ("8613800138000", "+8613800138000"),
    ],
)
def test_search_with_a_country_code_is_for_one_number(text: str, number: str) -> None:
    assert search_phones(text) == {number}


def test_search_without_country_code_covers_every_country() -> None:
    codes = ["221", "223", "224", "225", "226", "227", "228", "237", "245"]
    assert search_phones("07 07 12 34 56") == {f"+{code}0707123456" for code in [*codes, "229"]}
    assert search_phones("97 12 34 56") >= {"+2290197123456", *(f"+{code}97123456" for code in codes)}


@pytest.mark.parametrize("text", ["33612345678", "33 6 12 34 56 78", "33-6-12-34-56-78"])
def test_search_finds_a_foreign_number_without_the_plus_sign(text: str) -> None:
    assert "+33612345678" in search_phones(text)


@pytest.mark.parametrize("text", ["", "awa@example.com", "ORDER-0001", "Koné", "+", "1234567", "1" * 40])
def test_search_for_other_text_has_no_number(text: str) -> None:
    assert search_phones(text) == set()


CODES = ["", "+225", "00225", "225", "(+229)", "+229", "229", "+221", "221", "+33", "+39", "+54", "+7"]
SEPARATORS = ["", "", "", " ", "-", "/", ".", " / ", "\N{NO-BREAK SPACE}", "\u200b"]
CHANNELS = st.lists(st.sampled_from(["", "NEW", *Channel.values]), max_size=2)


def spellings(separators: list[str]) -> st.SearchStrategy[str]:
    groups = st.tuples(st.sampled_from(separators), st.text("0123456789", min_size=1, max_size=4)).map("".join)
    return st.builds("{}{}".format, st.sampled_from(CODES), st.lists(groups, min_size=2, max_size=7).map("".join))


@given(spellings([*SEPARATORS, "(", ")", " (0)"]) | st.text("0123456789+ -/.()٠٧²", max_size=24) | st.text(), CHANNELS)
@example("07 07 12 34 56", ["CARD", "OMSN"])
@example("+221 (0)77 123 45 67", [])
@example("97 12 34 56", ["MOMOBJ"])
@example("+33 0 06 12 34 56 78", [])
@example("2250707123456", ["OMSN"])
def test_accepted_number_is_stable_and_found(text: str, channels: list[str]) -> None:
    try:
        number = parse_phone(text, *channels)
    except ValueError:
        return
    assert re.fullmatch(r"\+[1-9][0-9]{7,14}", number)
    assert parse_phone(number, *channels) == parse_phone(number) == number
    assert number in search_phones(text)
    assert search_phones(number) == {number}
    assert number in search_phones(number.removeprefix("+"))


@given(spellings(SEPARATORS), CHANNELS)
@example("97 12 34 56", ["MOMOBJ"])
@example("00229 97 12 34 56", [])
@example("+33 06 12 34 56 78", [])
@example("+33", [])
def test_accepted_number_is_found_by_its_digits(text: str, channels: list[str]) -> None:
    try:
        number, digits = parse_phone(text, *channels), normalize_phone(text, *channels)
    except ValueError:
        return
    assert re.fullmatch("[0-9]{8,15}", digits)
    assert number.endswith(digits)
    assert number in search_phones(re.sub("[^0-9]", "", text))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("+2250707123456", "+225 ******3456"),
        ("+22670123456", "+226 ****3456"),
        ("+33612345678", "+33 *****5678"),
        ("", ""),
    ],
)
def test_phone_is_masked(number: str, text: str) -> None:
    assert mask_phone(number) == text
