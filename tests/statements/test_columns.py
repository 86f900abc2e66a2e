"""Which column is what."""

import pytest

from django_paiementpro.services.statements.columns import Columns, Role, by_name, find, guess, guess_row


@pytest.mark.parametrize(
    ("headings", "roles"),
    [
        (
            [
                "Date",
                "N° transaction",
                "Référence marchand",
                "Client",
                "Téléphone",
                "Montant",
                "Frais",
                "Net",
                "Statut",
            ],
            ["date", "gateway_id", "reference", "", "", "amount", "fee", "net", "status"],
        ),
        (
            ["Transaction ID", "Merchant Reference", "Amount (XOF)", "Fees", "Net amount", "Created at", "Status"],
            ["gateway_id", "reference", "amount", "fee", "net", "date", "status"],
        ),
        (
            ["payId", "referenceNumber", "amount", "transactiondt", "responsecode", "countryCurrencyCode"],
            ["gateway_id", "reference", "amount", "", "status", ""],
        ),
        (
            ["Date", "Heure", "Type d'opération", "Identifiant", "Réf. commande", "Débit", "Crédit", "Devise"],
            ["date", "time", "kind", "gateway_id", "reference", "taken_back", "amount", "currency"],
        ),
        (
            [
                "Date de la transaction",
                "Id de la transaction",
                "Référence",
                "Montant brut",
                "Commission",
                "Montant net",
            ],
            ["date", "gateway_id", "reference", "amount", "fee", "net"],
        ),
        (["Ref", "Net"], ["reference", "amount"]),
        (["Reference transaction", "Montant payé", "Montant à reverser"], ["gateway_id", "amount", "net"]),
    ],
)
def test_columns_are_guessed_from_headings(headings: list[str], roles: list[str]) -> None:
    places = guess_row(1, headings).places
    assert [
        next((role.value for role, place in places.items() if place == n), "") for n in range(len(headings))
    ] == roles


def test_headings_follow_title_lines() -> None:
    rows = [
        ["Relevé des transactions"],
        ["Marchand", "PP-F324"],
        ["Montant total", "12 500"],
        [],
        ["Date", "Transaction", "Montant"],
        ["2026-11-03", "TX1", "12 500"],
    ]
    columns = guess(rows)
    assert columns.row == 5
    assert columns.places == {Role.DATE: 0, Role.GATEWAY_ID: 1, Role.AMOUNT: 2}
    assert columns.named == {"date": "date", "gateway_id": "transaction", "amount": "montant"}
    assert not columns.problem()


def test_nothing_is_guessed_without_rows() -> None:
    assert guess([]).places == {}
    assert guess([["a", "b"]]).places == {}


def test_sentence_is_no_heading() -> None:
    assert guess_row(1, ["Date " + "x" * 60, "", "()"]).places == {}


def test_columns_are_found_again_wherever_they_are() -> None:
    named = {"amount": "montant", "reference": "ref #2", "gateway_id": "#1"}
    columns = find([["Relevé"], ["", "Ref", "Montant", "REF"]], named)
    assert columns == Columns(2, ["", "Ref", "Montant", "REF"], {Role.AMOUNT: 2, Role.REFERENCE: 3, Role.GATEWAY_ID: 0})
    assert columns
    assert columns.named == named
    assert find([["Ref", "Montant"]], named) is None
    assert by_name(1, ["Montant"], {}) is None


@pytest.mark.parametrize(
    ("places", "problem"),
    [
        ({Role.REFERENCE: 0}, "amount"),
        ({Role.AMOUNT: 0}, "transaction number"),
        ({Role.AMOUNT: 0, Role.REFERENCE: 0}, "one meaning"),
        ({Role.AMOUNT: 0, Role.GATEWAY_ID: 1}, ""),
        ({Role.AMOUNT: 0, Role.REFERENCE: 1}, ""),
    ],
)
def test_missing_columns_are_named(places: dict[Role, int], problem: str) -> None:
    assert problem in Columns(1, [], places).problem()
    assert bool(Columns(1, [], places).problem()) == bool(problem)
