"""The doctor on the database, its promises and the clocks."""

from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings

from django_paiementpro.doctor import Visit, clocks, databases, tables
from django_paiementpro.doctor.databases import judge_mysql, judge_postgresql, judge_sqlite
from django_paiementpro.models import Payment, PaymentEvent, ReconciliationRun
from tests.conftest import MIGRATIONS

Lines = list[tuple[str, str]]


def lines(findings: Any) -> Lines:
    return [(finding.verdict.value, finding.text) for finding in findings]


def told(examine: Any) -> Lines:
    return lines(examine.findings(Visit()))


# The database that these tests run on.

UNSAFE = {
    "sqlite": ("PRAGMA synchronous = OFF", "PRAGMA synchronous = FULL", "PRAGMA synchronous is OFF"),
    "postgresql": ("SET synchronous_commit = off", "RESET synchronous_commit", "synchronous_commit is off"),
    "mysql": ("SET SESSION sql_mode = ''", "SET SESSION sql_mode = 'STRICT_TRANS_TABLES'", "SQL mode is not strict"),
}


@pytest.mark.django_db(transaction=True)
def test_the_database_of_these_tests_keeps_what_it_is_given() -> None:
    verdict, text = told(databases)[-1]
    assert verdict == "pass"
    assert text.startswith(connection.display_name)


@pytest.mark.django_db(transaction=True)
def test_weak_durability_of_this_database_is_reported() -> None:
    spoil, mend, expected = UNSAFE[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(spoil)
        findings = told(databases)
        cursor.execute(mend)
    assert findings[0][0] == "fail"
    assert expected in findings[0][1]
    assert not any("keeps what has been committed" in text for _verdict, text in findings)


@pytest.mark.django_db
def test_untested_database_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "display_name", "Oracle")
    monkeypatch.setattr(connection, "vendor", "oracle")
    [(verdict, text)] = told(databases)
    assert verdict == "warn"
    assert "has not been tried on Oracle" in text
    assert told(clocks) == []


# What is read there.

GOOD_POSTGRESQL = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "isolation": "read committed",
    "read_only": "off",
}
GOOD_MYSQL = {
    "innodb_flush_log_at_trx_commit": 1,
    "sql_mode": "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
    "isolation": "READ-COMMITTED",
    "read_only": 0,
    "not_innodb": None,
    "not_utf8mb4": None,
}


def test_sound_servers_pass() -> None:
    assert lines(judge_postgresql(GOOD_POSTGRESQL)) == []
    assert lines(judge_postgresql(GOOD_POSTGRESQL | {"synchronous_commit": "remote_apply"})) == []
    assert lines(judge_mysql(GOOD_MYSQL)) == []


@pytest.mark.parametrize(
    ("judge", "values", "verdict", "expected"),
    [
        (judge_postgresql, {"fsync": "off"}, "fail", "fsync is off: a notification that has been answered can be lost"),
        (judge_postgresql, {"full_page_writes": "off"}, "fail", "Set it to on."),
        (judge_postgresql, {"synchronous_commit": "off"}, "fail", "synchronous_commit is off"),
        (judge_postgresql, {"read_only": "on"}, "fail", "takes no writes"),
        (judge_postgresql, {"isolation": "serializable"}, "warn", "The isolation level is “serializable”"),
        (judge_mysql, {"innodb_flush_log_at_trx_commit": 2}, "fail", "at_trx_commit is 2: a notification"),
        (judge_mysql, {"sql_mode": ""}, "fail", "not strict"),
        (judge_mysql, {"not_innodb": "paiementpro_payment"}, "fail", "have no transactions: paiementpro_payment."),
        (judge_mysql, {"not_utf8mb4": "paiementpro_payment"}, "fail", "CONVERT TO CHARACTER SET utf8mb4"),
        (judge_mysql, {"read_only": 1}, "fail", "takes no writes"),
        (judge_mysql, {"isolation": "REPEATABLE-READ"}, "warn", "“repeatable read”"),
    ],
)
def test_weak_durability_is_reported(judge: Any, values: dict[str, Any], verdict: str, expected: str) -> None:
    good = GOOD_MYSQL if judge is judge_mysql else GOOD_POSTGRESQL
    [(said, text)] = lines(judge({**good, **values}))
    assert said == verdict
    assert expected in text


@pytest.mark.parametrize(
    ("file", "synchronous", "expected"),
    [
        ("db.sqlite3", 2, [("pass", "(journal: wal)")]),
        ("db.sqlite3", 1, [("warn", "is NORMAL"), ("pass", "")]),
        ("db.sqlite3", 0, [("fail", "is OFF"), ("pass", "")]),
        ("nowhere/db.sqlite3", 2, [("fail", "cannot write"), ("pass", "")]),
        ("", 2, [("fail", "in memory")]),
    ],
)
def test_sqlite_file_is_checked(tmp_path: Path, file: str, synchronous: int, expected: Lines) -> None:
    (tmp_path / "db.sqlite3").touch()
    path = str(tmp_path / file) if file else ""
    findings = lines(judge_sqlite({"file": path, "synchronous": synchronous, "journal_mode": "wal"}))
    assert [verdict for verdict, _text in findings] == [verdict for verdict, _text in expected]
    assert all(part in text for (_verdict, text), (_, part) in zip(findings, expected, strict=True))


# Routers.


class Replica:
    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "replica" if model is Payment else None


class Apart:
    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "other" if model is PaymentEvent else None


@pytest.mark.django_db(transaction=True)
def test_replica_is_reported() -> None:
    with override_settings(DATABASE_ROUTERS=[Replica()]):
        verdict, text = told(databases)[0]
    assert verdict == "pass"
    assert text == "Lists and histories are read from “replica”; what decides about money from “default”."


@pytest.mark.django_db(transaction=True)
def test_split_tables_are_reported() -> None:
    with override_settings(DATABASE_ROUTERS=[Apart()]):
        verdict, text = told(databases)[0]
    assert verdict == "fail"
    assert "no commit in common" in text


# Tables.


@pytest.mark.django_db
def test_tables_up_to_date_pass() -> None:
    assert told(tables) == [("pass", f"The tables are up to date ({connection.display_name}).")]


@pytest.mark.django_db
def test_missing_migration_is_reported() -> None:
    MigrationRecorder(connection).record_unapplied("paiementpro", MIGRATIONS[-1])
    assert told(tables) == [("fail", "The tables are not up to date: run “manage.py migrate”.")]


@pytest.mark.django_db(transaction=True)
def test_missing_table_is_reported() -> None:
    name = ReconciliationRun._meta.db_table
    with connection.schema_editor() as editor:
        editor.alter_db_table(ReconciliationRun, name, "gone")
    try:
        assert told(tables) == [("fail", "The tables are not up to date: run “manage.py migrate”.")]
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(ReconciliationRun, "gone", name)


@pytest.mark.django_db
def test_tables_of_a_newer_version_are_reported() -> None:
    MigrationRecorder(connection).record_applied("paiementpro", "0999_later")
    findings = told(tables)
    assert [verdict for verdict, _text in findings] == ["warn", "pass"]
    assert "(0999_later)" in findings[0][1]


class Elsewhere:
    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "elsewhere"


@pytest.mark.django_db(transaction=True)
def test_another_database_is_migrated_by_its_name() -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("paiementpro", MIGRATIONS[-1])
    connections["elsewhere"] = connection.copy("elsewhere")
    try:
        with override_settings(DATABASE_ROUTERS=[Elsewhere()]):
            assert "“manage.py migrate --database elsewhere”" in told(tables)[0][1]
    finally:
        connections["elsewhere"].close()
        del connections["elsewhere"]
        recorder.record_applied("paiementpro", MIGRATIONS[-1])


# Clocks.


@pytest.mark.django_db
def test_the_clock_of_the_database_is_read() -> None:
    assert told(clocks) == [("pass", "The clock of the database server agrees with this machine’s.")]


@pytest.mark.parametrize(
    ("difference", "uncertainty", "verdict"),
    [(1.9, 0, "pass"), (-1.9, 0, "pass"), (4, 3, "pass"), (3, 0, "warn"), (-3, 0.5, "warn"), (3600, 1, "fail")],
)
def test_a_clock_is_judged(difference: float, uncertainty: float, verdict: str) -> None:
    [(said, text)] = lines(clocks.compare("It", difference, uncertainty))
    assert said == verdict
    assert (f"differs from this machine’s by {abs(difference):.0f} s" in text) == (verdict != "pass")
