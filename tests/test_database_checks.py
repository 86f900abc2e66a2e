import time
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from django_paiementpro.checks import check_database
from django_paiementpro.checks.database import check_clock, check_mysql, check_postgresql, check_sqlite, check_tables
from django_paiementpro.models import PaymentEvent


def ids(messages: Any) -> list[str]:
    return [message.id for message in messages]


def found() -> list[CheckMessage]:
    return check_database(databases=["default"])


@pytest.mark.django_db
def test_test_database_passes() -> None:
    assert found() == []


@pytest.mark.django_db
def test_database_is_checked_only_if_django_may_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "oracle")
    assert "paiementpro.W020" in ids(run_checks(databases=["default"]))
    assert "paiementpro.W020" not in ids(run_checks())
    assert check_database(databases=["other"]) == []


@pytest.mark.django_db
def test_migrate_prints_warnings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(connection, "vendor", "oracle")
    call_command("migrate", "paiementpro", check_unapplied=True, skip_checks=False)
    assert "(paiementpro.W020) The app has not been tested on oracle." in capsys.readouterr().err


BROKEN = {
    "sqlite": ("PRAGMA synchronous = OFF", "PRAGMA synchronous = FULL", "paiementpro.W021"),
    "postgresql": ("SET synchronous_commit = off", "RESET synchronous_commit", "paiementpro.W021"),
    "mysql": (
        "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "paiementpro.W022",
    ),
}


@pytest.mark.django_db(transaction=True)
def test_unsafe_database_setting_is_found() -> None:
    spoil, repair, expected = BROKEN[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(spoil)
        messages = found()
        cursor.execute(repair)
    assert ids(messages) == [expected]


class Apart:
    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "other" if model is PaymentEvent else None


@pytest.mark.django_db
@override_settings(DATABASE_ROUTERS=[Apart()])
def test_tables_in_several_databases_are_an_error() -> None:
    assert ids(found()) == ["paiementpro.E020"]


# The values that are read.

GOOD_POSTGRESQL = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "transaction_isolation": "read committed",
    "transaction_read_only": "off",
}
GOOD_MYSQL = {"innodb_flush_log_at_trx_commit": "1", "transaction_isolation": "READ-COMMITTED", "read_only": "OFF"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({"synchronous_commit": "remote_apply"}, []),
        ({"fsync": "off"}, ["paiementpro.W021"]),
        ({"full_page_writes": "off"}, ["paiementpro.W021"]),
        ({"synchronous_commit": "off"}, ["paiementpro.W021"]),
        ({"transaction_read_only": "on"}, ["paiementpro.E021"]),
        ({"transaction_isolation": "serializable"}, ["paiementpro.W022"]),
    ],
)
def test_postgresql(values: dict[str, str], expected: list[str]) -> None:
    assert ids(check_postgresql(list({**GOOD_POSTGRESQL, **values}.items()))) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({"innodb_flush_log_at_trx_commit": "2"}, ["paiementpro.W021"]),
        ({"read_only": "ON"}, ["paiementpro.E021"]),
        ({"transaction_isolation": "REPEATABLE-READ"}, ["paiementpro.W022"]),
        ({"transaction_isolation": "", "tx_isolation": "REPEATABLE-READ"}, ["paiementpro.W022"]),
    ],
)
def test_mysql(values: dict[str, str], expected: list[str]) -> None:
    assert ids(check_mysql(list({**GOOD_MYSQL, **values}.items()))) == expected


def test_mysql_tables() -> None:
    tables = [
        ("paiementpro_payment", "InnoDB", "utf8mb4_general_ci"),
        ("paiementpro_refund", "MyISAM", "utf8mb4_general_ci"),
        ("paiementpro_finding", "InnoDB", "latin1_swedish_ci"),
    ]
    assert ids(check_tables(tables[:1])) == []
    engine, character_set = check_tables(tables)
    assert (engine.id, engine.msg) == (
        "paiementpro.E022",
        "These tables do not support transactions: paiementpro_refund.",
    )
    assert (character_set.id, character_set.msg) == (
        "paiementpro.W023",
        "These tables cannot store every character: paiementpro_finding.",
    )


@pytest.mark.django_db(transaction=True)
def test_database_view_is_not_checked_as_a_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE VIEW paiementpro_report AS SELECT reference FROM paiementpro_payment")
    try:
        assert found() == []
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP VIEW paiementpro_report")


def test_unsafe_values_are_named() -> None:
    off, normal = *check_sqlite([(0,)]), *check_sqlite([(1,)])
    assert off.msg.startswith("PRAGMA synchronous is OFF: a notification that has been answered can be lost")
    assert normal.msg.startswith("PRAGMA synchronous is NORMAL")
    assert normal.hint == "Set it to FULL."
    assert ids(check_sqlite([(2,)])) == []


@pytest.mark.parametrize(
    ("difference", "expected"),
    [(1.5, []), (-1.5, []), (3, ["paiementpro.W024"]), (-3, ["paiementpro.W024"])],
)
def test_wrong_clock_is_a_warning(difference: float, expected: list[str]) -> None:
    assert ids(check_clock([(time.time() + difference,)])) == expected
