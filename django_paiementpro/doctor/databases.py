"""
The database and what it promises: that a payment which was answered for is stored, whatever happens next.

The gateway has not been seen to come back with a notification: one that was answered and then lost is lost for good.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext as _

from django_paiementpro.db.connections import database
from django_paiementpro.doctor.findings import Finding, Verdict, failure, passed, warning
from django_paiementpro.doctor.tables import MODELS
from django_paiementpro.doctor.visits import Visit
from django_paiementpro.models import Payment

# PostgreSQL's default; on MySQL and MariaDB it is Django's.
ISOLATION = "read committed"

Values = Mapping[str, Any]

SQLITE = """
SELECT (SELECT file FROM pragma_database_list WHERE name = 'main') AS file,
       (SELECT synchronous FROM pragma_synchronous) AS synchronous,
       (SELECT journal_mode FROM pragma_journal_mode) AS journal_mode
"""

POSTGRESQL = """
SELECT current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('transaction_isolation') AS isolation,
       current_setting('transaction_read_only') AS read_only
"""

MYSQL = """
SELECT @@global.innodb_flush_log_at_trx_commit AS innodb_flush_log_at_trx_commit,
       @@session.sql_mode AS sql_mode,
       @@session.transaction_isolation AS isolation,
       @@global.read_only AS read_only,
       (SELECT GROUP_CONCAT(table_name) FROM information_schema.tables
         WHERE table_schema = DATABASE() AND table_name LIKE 'paiementpro%%' AND engine <> 'InnoDB') AS not_innodb,
       (SELECT GROUP_CONCAT(table_name) FROM information_schema.tables
         WHERE table_schema = DATABASE() AND table_name LIKE 'paiementpro%%'
           AND table_collation NOT LIKE 'utf8mb4%%') AS not_utf8mb4
"""

MARIADB = MYSQL.replace("transaction_isolation", "tx_isolation")


def findings(visit: Visit) -> Iterator[Finding]:
    connection = connections[database()]
    yield from _router_findings(connection.alias)
    shown = {"database": connection.display_name, "version": ".".join(map(str, connection.get_database_version()))}
    if connection.display_name not in ENGINES:
        yield warning(
            _("The app has not been tried on %(database)s: nothing is known of what it promises.") % shown,
            _("SQLite, PostgreSQL, MySQL and MariaDB are supported."),
        )
        return
    query, judge = ENGINES[connection.display_name]
    judged = list(judge(_read(connection, query)))
    yield from judged
    if not any(finding.verdict is Verdict.FAIL for finding in judged):
        yield passed(_("%(database)s %(version)s keeps what has been committed.") % shown)


def judge_sqlite(values: Values) -> Iterator[Finding]:
    """Judge a file by what SQLite says of it, and by who may write there."""
    if not values["file"]:
        yield failure(
            _("The database is in memory: payments end with the process."), _("Write the path of a file in DATABASES.")
        )
        return
    path = Path(values["file"])
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        yield failure(
            _("This process cannot write to the database’s file and its folder."),
            _("Give the user of the web server, and of cron, both."),
        )
    if values["synchronous"] < 2:
        verdict, level = (failure, "OFF") if values["synchronous"] == 0 else (warning, "NORMAL")
        yield verdict(
            _("PRAGMA synchronous is %(level)s: the last commits can be lost when the power fails.") % {"level": level},
            _("Leave it at FULL."),
        )
    yield passed(
        _("SQLite lets one process write at a time (journal: %(mode)s), which does for a small shop on one machine.")
        % {"mode": values["journal_mode"]}
    )


def judge_postgresql(values: Values) -> Iterator[Finding]:
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if values[name] == "off":
            yield _unsafe(name, values[name], "on")
    yield from _judge_server(values["isolation"], is_read_only=values["read_only"] == "on")


def judge_mysql(values: Values) -> Iterator[Finding]:
    name = "innodb_flush_log_at_trx_commit"
    if values[name] != 1:
        yield _unsafe(name, values[name], "1")
    if "STRICT_" not in values["sql_mode"]:
        yield failure(
            _("The SQL mode is not strict: values that do not fit are cut without a word."),
            _("Write “STRICT_TRANS_TABLES” as sql_mode in the OPTIONS of DATABASES, or leave it out there."),
        )
    if tables := values["not_innodb"]:
        yield failure(
            _("These tables have no transactions: %(tables)s.") % {"tables": tables},
            _("Write for each: %(sql)s") % {"sql": "ALTER TABLE … ENGINE = InnoDB;"},
        )
    if tables := values["not_utf8mb4"]:
        yield failure(
            _("These tables do not take every letter, and lose what is notified with one that they lack: %(tables)s.")
            % {"tables": tables},
            _("Write for each: %(sql)s") % {"sql": "ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4;"},
        )
    yield from _judge_server(values["isolation"].replace("-", " ").lower(), is_read_only=bool(values["read_only"]))


ENGINES: Mapping[str, tuple[str, Callable[[Values], Iterator[Finding]]]] = {
    "SQLite": (SQLITE, judge_sqlite),
    "PostgreSQL": (POSTGRESQL, judge_postgresql),
    "MySQL": (MYSQL, judge_mysql),
    "MariaDB": (MARIADB, judge_mysql),
}


def _judge_server(isolation: str, *, is_read_only: bool) -> Iterator[Finding]:
    if is_read_only:
        yield failure(
            _("The database takes no writes: it is a replica, or closed for maintenance."),
            _("Have DATABASES name the primary server."),
        )
    if isolation != ISOLATION:
        yield warning(
            _("The isolation level is “%(level)s”: the app is made for “read committed”.") % {"level": isolation},
            _("Leave isolation_level out of the OPTIONS of DATABASES."),
        )


def _unsafe(name: str, value: object, wanted: str) -> Finding:
    return failure(
        _("%(name)s is %(value)s: a notification that has been answered can be lost when the database server stops.")
        % {"name": name, "value": value},
        _("Set it to %(wanted)s.") % {"wanted": wanted},
    )


def _router_findings(alias: str) -> Iterator[Finding]:
    if {router.db_for_write(model) for model in MODELS} != {alias}:
        yield failure(
            _("The tables of the app are written to several databases, which have no commit in common."),
            _("Have DATABASE_ROUTERS send all of the app “paiementpro” to the same one."),
        )
    if (replica := router.db_for_read(Payment)) != alias:
        yield passed(
            _("Lists and histories are read from “%(replica)s”; what decides about money from “%(primary)s”.")
            % {"replica": replica, "primary": alias}
        )


def _read(connection: BaseDatabaseWrapper, query: str) -> Values:
    """Return the row that a query has, by its columns' names."""
    with connection.cursor() as cursor:
        cursor.execute(query, [])
        names = [column[0] for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))
