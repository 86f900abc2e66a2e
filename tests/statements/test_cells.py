"""What cells of a statement say."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_paiementpro.services.statements.cells import (
    is_other,
    is_refund,
    is_total,
    read_amount,
    read_moment,
    read_outcome,
)

UTC = timezone.utc


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        *[(text, 12500) for text in ("12500", "12 500", "12 500,00", "12.500,00", "12,500.00", "12.500", "12,500")],
        *[
            (text, 12500)
            for text in ("12 500 F CFA", "12500F", "12500 FCFA", "XOF 12,500", "12\u202f500\u00a0F\u00a0CFA")
        ],
        *[(text, 12500) for text in ("12’500", "12'500.00", "12500,0", "12500.0000", " 12500 ", "+12500", "12500 Fr.")],
        *[
            (text, 12500)
            for text in (
                "\u0661\u0662\u0665\u0660\u0660",
                "\uff11\uff12\uff15\uff10\uff10",
                "12500 francs",
                "12500 francs CFA",
                "12500 XAF",
            )
        ],
        *[(text, -12500) for text in ("-12500", "12 500-", "(12 500)", "\u221212 500,00", "- 12.500 F", "-XOF 12500")],
        *[("(12 500 F CFA)", -12500), ("0", 0), ("0,00", 0), ("1 234 567 890", 1_234_567_890), ("500", 500)],
    ],
)
def test_amount_is_read_as_it_is_meant(text: str, amount: int) -> None:
    assert read_amount(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "F", "-", "abc", "12,5", "12.50", "12 500,01", "1.2500", "0,500", "1 2500", "12 5", "1.234,567"),
        *("1,234,56", "1.250.00", "1,250,00", "12.500.00", "1 234,567", "1e5", "NaN", "inf", "0x10", "12_500", "--5"),
        *("+-5", "-5-", "(-5)", "5 6", "12500 12500", "12500 USD", "12500 €", "=12500", "1" * 16, "12 F 500"),
        *("2.02511031234568E+16", "12500.5", "½", "5%", "12500x"),
    ],
)
def test_amount_is_refused_rather_than_misread(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        read_amount(text)


@given(
    st.integers(1, 10**14),
    st.sampled_from([" ", "\u00a0", "\u202f", ".", ",", "'", "’", ""]),
    st.sampled_from(["", ",00", ".00", ",0"]),
    st.sampled_from(["", " F", " FCFA", " F CFA", "XOF"]),
    st.booleans(),
)
def test_every_way_of_writing_an_amount_is_read(
    amount: int, group: str, decimals: str, currency: str, is_negative: bool
) -> None:
    if decimals[:1] == group:
        decimals = ""
    text = f"{amount:,}".replace(",", group) + decimals + currency
    assert read_amount(f"-{text}" if is_negative else text) == (-amount if is_negative else amount)


@given(st.text(" 0123456789.,'-+()FCAXO", max_size=12))
def test_no_text_has_another_amount_than_its_digits(text: str) -> None:
    """The digits of a text that is read are those of the amount, with at most zero decimals."""
    try:
        amount = read_amount(text)
    except ValueError:
        return
    digits = "".join(filter(str.isdigit, text))
    assert digits.lstrip("0").startswith(str(abs(amount)).lstrip("0"))
    assert not digits.lstrip("0")[len(str(abs(amount))) :].strip("0")


AFTERNOON = datetime(2026, 11, 3, 14, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        *[(text, AFTERNOON) for text in ("2026-11-03 14:05:00", "2026-11-03T14:05Z", "2026-11-03T14:05:00+00:00")],
        *[
            (text, AFTERNOON)
            for text in ("03/11/2026 14:05", "3/11/26 14h05", "03-11-2026, 14:05", "03.11.2026 à 14 h 05")
        ],
        *[(text, AFTERNOON) for text in ("3 nov. 2026 14:05", "3 novembre 2026 à 14h05", "Nov 3, 2026 2:05 PM")],
        *[
            (text, AFTERNOON)
            for text in ("mardi 3 novembre 2026 14:05", "Tue, 3 Nov 2026 14:05:00 GMT", "2026/11/3 14:05")
        ],
        ("2026-11-03T14:05:30.250000", AFTERNOON.replace(second=30, microsecond=250_000)),
        ("2026-11-03 14:05:00+01:00", AFTERNOON - timedelta(hours=1)),
        ("2026-11-03 14:05:00-0130", AFTERNOON + timedelta(minutes=90)),
        ("1er août 2026 12:00 am", datetime(2026, 8, 1, tzinfo=UTC)),
        ("46329,586805555555", AFTERNOON),
        ("\u0660\u0663/\u0661\u0661/2026 14:05", AFTERNOON),
    ],
)
def test_moment_is_read(text: str, moment: datetime) -> None:
    assert read_moment(text, zone=UTC) == (moment, True)


@pytest.mark.parametrize("text", ["2026-11-03", "03/11/2026", "03/11/26", "3 nov 2026", "46329", "03-Nov-2026"])
def test_day_is_read(text: str) -> None:
    assert read_moment(text, zone=UTC) == (datetime(2026, 11, 3, tzinfo=UTC), False)


@pytest.mark.parametrize("time", ["14:05", "14:05:00", "14h05", "14h05m00s", "2:05 p.m.", "0,5868055555"])
@pytest.mark.parametrize("day", ["03/11/2026", "46329"])
def test_time_may_have_a_column_of_its_own(day: str, time: str) -> None:
    assert read_moment(day, time, zone=UTC) == (AFTERNOON, True)


@pytest.mark.parametrize(
    ("word", "month"),
    [
        *(("janvier", 1), ("fév", 2), ("February", 2), ("mars", 3), ("avril", 4), ("apr", 4), ("mai", 5), ("May", 5)),
        *(("juin", 6), ("June", 6), ("juillet", 7), ("jul", 7), ("août", 8), ("aug", 8), ("sept", 9), ("octobre", 10)),
        *(("novembre", 11), ("décembre", 12), ("Dec", 12)),
    ],
)
def test_months_are_french_or_english(word: str, month: int) -> None:
    assert read_moment(f"3 {word} 2026", zone=UTC)[0].month == month


@pytest.mark.parametrize(
    "text",
    [
        *("", "hier", "11/25/2026", "31/02/2026", "2026-13-01", "3 foo 2026", "1999-12-31", "3/11/1926", "12345"),
        *("99999", "2026-11-03 25:00", "2026-11-03 14:05 xx", "2026-11-03 13:05 pm", "2026-11-03 0:05 am", "3/11"),
        *("2026-11-03 14:05:00+99:00", "20261103"),
    ],
)
def test_moment_is_refused_rather_than_misread(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        read_moment(text, zone=UTC)


@pytest.mark.parametrize(
    "text", ["Succès", "SUCCESS", "Payé", "Transaction réussie", "0", "OK", "Validée", "Refunded", "Remboursé"]
)
def test_status_means_that_money_moved(text: str) -> None:
    assert read_outcome(text)


@pytest.mark.parametrize(
    "text",
    ["Échec", "FAILED", "En attente de paiement", "Non payé", "not paid", "unpaid", "-1", "En cours", "Unsuccessful"],
)
def test_status_means_that_no_money_moved(text: str) -> None:
    assert not read_outcome(text)


def test_unknown_status_is_refused() -> None:
    with pytest.raises(ValueError, match="blah"):
        read_outcome("blah")


def test_kinds_of_operations_are_known() -> None:
    assert is_refund("Remboursement client")
    assert is_refund("Paiement", "refunded")
    assert is_refund("CHARGEBACK")
    assert not is_refund("Reversement", "Paiement", "")
    assert is_other("Reversement marchand")
    assert is_other("Frais de service")
    assert not is_other("Paiement")
    assert not is_other("Mobile Money, frais inclus")


@pytest.mark.parametrize(
    "row", [["", "TOTAL", "1"], ["Total général : ", "5"], ["Sous-total", "5"], ["12", "Solde", ""]]
)
def test_total_is_recognized(row: list[str]) -> None:
    assert is_total(row)


@pytest.mark.parametrize("row", [["TX1", "Total"], ["", ""], [], ["12 500"], ["Awa"]])
def test_other_row_is_no_total(row: list[str]) -> None:
    assert not is_total(row)
