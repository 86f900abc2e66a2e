"""What rows of a statement say, and why they cannot be read."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from django_paiementpro.services.statements.columns import Columns, Role, guess_row
from django_paiementpro.services.statements.rows import Reading, Row, UnreadableRowError, read, read_row

ROLES = list(Role)
EVERY = Columns(1, [role.value for role in ROLES], {role: place for place, role in enumerate(ROLES)})
NOON = datetime(2026, 11, 3, 12, tzinfo=timezone.utc)


def said(**texts: str) -> Row | None:
    cells = {"gateway_id": "TX1", "amount": "12500", "date": "2026-11-03 12:00", "status": "Succès", **texts}
    return read_row(7, [cells.get(role.value, "") for role in ROLES], EVERY)


def row(**texts: str) -> Row:
    found = said(**texts)
    assert found
    return found


def test_row_is_read() -> None:
    found = row(reference="abc-2", fee="250", net="12 250", status="Succès", currency="FCFA", kind="Paiement")
    assert found == Row(7, False, "TX1", "abc-2", 12500, "XOF", 250, 12250, NOON, True)
    assert found.key == "tx1"


def test_fee_and_net_complete_each_other() -> None:
    assert (row(fee="-250").fee, row(fee="-250").net) == (250, 12250)
    assert (row(net="12000").fee, row(net="12000").net) == (500, 12000)
    assert (row(fee="250", net="12200").fee, row(fee="250", net="12200").net) == (250, 12200)
    assert (row().fee, row(fee="-").net) == (None, None)
    assert (row(amount="-500", fee="10").net, row(amount="-500", net="-510").fee) == (None, None)


@pytest.mark.parametrize(
    "texts",
    [
        {"amount": "-12500"},
        {"kind": "Remboursement"},
        {"status": "Refunded"},
        {"amount": "", "taken_back": "12500"},
        {"amount": "0", "taken_back": "-12500"},
    ],
)
def test_refund_is_recognized(texts: dict[str, str]) -> None:
    found = row(**texts)
    assert found.is_refund
    assert found.amount == 12500


@pytest.mark.parametrize(
    "texts",
    [
        {"status": "Échec"},
        {"status": "Échec", "gateway_id": "", "amount": "?"},
        {"kind": "Reversement"},
        {"kind": "Frais mensuels", "gateway_id": ""},
    ],
)
def test_row_that_is_no_payment_is_ignored(texts: dict[str, str]) -> None:
    assert said(**texts) is None


@pytest.mark.parametrize(
    ("texts", "problem", "text"),
    [
        ({"amount": "beaucoup"}, "amount", "beaucoup"),
        ({"amount": ""}, "amount", ""),
        ({"amount": "12500,50"}, "fraction", "12500,50"),
        ({"amount": "0"}, "zero", "0"),
        ({"fee": "x"}, "fee", "x"),
        ({"net": "1,5"}, "net", "1,5"),
        ({"date": "11/25/2026"}, "date", "11/25/2026"),
        ({"date": ""}, "date", ""),
        ({"date": "2026-11-03", "time": "25:00"}, "date", "2026-11-03"),
        ({"status": "blah"}, "status", "blah"),
        ({"status": " "}, "status", ""),
        ({"currency": "coquillages"}, "currency", "coquillages"),
        ({"gateway_id": ""}, "nameless", ""),
        ({"gateway_id": "---"}, "nameless", ""),
        ({"gateway_id": "2,02511E+16"}, "rounded", "2,02511E+16"),
        ({"gateway_id": "", "reference": "2.02511e16"}, "rounded", "2.02511e16"),
        ({"gateway_id": "\u0422\u04251"}, "id", "\u0422\u04251"),
        ({"gateway_id": "x" * 129}, "id", "x" * 60),
        ({"gateway_id": "", "reference": "Awa Koné"}, "id", "Awa Koné"),
    ],
)
def test_row_that_cannot_be_read_says_why(texts: dict[str, str], problem: str, text: str) -> None:
    with pytest.raises(UnreadableRowError) as caught:
        said(**texts)
    assert (caught.value.problem.value, caught.value.text) == (problem, text)


def test_text_in_the_reference_is_dropped_if_there_is_a_transaction() -> None:
    assert row(reference="Awa Koné").reference == ""
    assert row(gateway_id="", reference="abc").gateway_id == ""
    assert row(gateway_id=" - ", reference="abc").gateway_id == ""


@pytest.mark.parametrize(
    ("text", "currency"),
    [("", "XOF"), ("F CFA", "XOF"), ("952", "XOF"), ("eur", "EUR"), ("GNF", "GNF"), ("324", "GNF")],
)
def test_currency_is_read(text: str, currency: str, settings: Any) -> None:
    settings.PAIEMENTPRO_CURRENCIES = {"XOF": "952", "GNF": "324"}
    assert row(currency=text).currency == currency


def test_columns_that_the_file_lacks_cost_nothing() -> None:
    columns = guess_row(1, ["Référence", "Montant", "Date"])
    found = read_row(
        2, ["abc", "500"], Columns(1, [], {role: columns.places[role] for role in list(columns.places)[:2]})
    )
    assert found == Row(2, False, "", "abc", 500, "XOF")


TABLE = [
    ["Relevé"],
    ["Transaction", "Montant", "Date"],
    ["TX1", "500", "2026-11-03"],
    [],
    ["TX1", "500", "2026-11-03"],
    ["TX2", "?", "2026-11-03"],
    ["Transaction", "Montant", "Date"],
    ["TX3", "-500", "2026-11-05 10:00"],
    ["", "Total", "1000"],
]


def read_table(max_problems: int = 10, merchant: str = "PP-F324", table: Any = TABLE) -> tuple[list[Row], Reading]:
    reading = Reading(max_problems)
    return list(read(table, guess_row(2, TABLE[1]), merchant, reading)), reading


def test_rows_are_counted_and_numbered() -> None:
    rows, reading = read_table()
    assert [(row.number, row.gateway_id, row.is_refund) for row in rows] == [
        (3, "TX1", False),
        (5, "TX1", False),
        (8, "TX3", True),
    ]
    assert (reading.rows, reading.ignored, reading.unreadable) == (6, 2, 1)
    assert reading.problems == [(6, "amount", "?")]
    assert read_table(max_problems=0)[1].problems == []


def test_digest_is_of_what_the_row_says() -> None:
    rows, _reading = read_table()
    digests = [row.digest for row in rows]
    assert len(set(digests)) == 3
    # Elsewhere in the file, in other words, and among other rows, they say the same.
    others = [["tx 1", "500,00", "03/11/2026"], ["TX9", "1", "3/11/26"], *TABLE[2:]]
    moved, _reading = read_table(table=[*TABLE[:2], *others])
    assert digests[:2] == [moved[0].digest, moved[2].digest]
    assert read_table(merchant="PP-OTHER")[0][0].digest != digests[0]


def test_period_is_whole_days() -> None:
    _rows, reading = read_table()
    day = datetime(2026, 11, 3, tzinfo=timezone.utc)
    assert reading.period(day + timedelta(days=30)) == (day, day + timedelta(days=3))
    # The day on which the file was downloaded was not over.
    last = datetime(2026, 11, 5, 10, tzinfo=timezone.utc)
    assert reading.period(last + timedelta(hours=5)) == (day, last + timedelta(seconds=1))
    reading.has_times = False
    assert reading.period(last) == (day, day + timedelta(days=3))
    assert Reading().period(last) == (None, None)
