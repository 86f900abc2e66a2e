"""
What the database guarantees. Django runs these checks on ``migrate`` and ``check --database``.

The gateway has not been seen to repeat a notification: one that was answered and then lost is lost for good. An error
stops ``migrate``, so what a test database may do without is a warning.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning
from django.db import connections, router
from django.utils.translation import gettext as _

from django_paiementpro.db.connections import database

# PostgreSQL's default; on MySQL and MariaDB it is Django's.
ISOLATION = "read committed"

# In seconds. A lease lasts 5 s longer than the call that it covers, so clocks must agree to less than that.
CLOCK_TOLERANCE = 2.0

POSTGRESQL_SETTINGS = """
SELECT name, setting FROM pg_settings WHERE name IN
    ('fsync', 'full_page_writes', 'synchronous_commit', 'transaction_isolation', 'transaction_read_only')
"""

# Some versions call the isolation level by one of these names, some by both.
MYSQL_VARIABLES = """
SHOW VARIABLES WHERE Variable_name IN
    ('innodb_flush_log_at_trx_commit', 'read_only', 'transaction_isolation', 'tx_isolation')
"""

MYSQL_TABLES = """
SELECT table_name, engine, table_collation FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name LIKE 'paiementpro%' AND table_type = 'BASE TABLE'
"""

Rows = Sequence[Any]


def check_database(
    app_configs: Sequence[Any] | None = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check the database that payments are written to, if it is among ``databases``."""
    alias = database()
    if alias not in (databases or ()):
        return []
    connection = connections[alias]
    if connection.vendor not in QUERIES:
        return [untested(connection.vendor)]
    messages: list[CheckMessage] = []
    with connection.cursor() as cursor:
        for query, check in QUERIES[connection.vendor]:
            cursor.execute(query)
            messages += check(cursor.fetchall())
    models = apps.get_app_config("paiementpro").get_models()
    if any(router.db_for_write(model) != alias for model in models):
        messages.append(several_databases())
    return messages


def untested(vendor: str) -> CheckMessage:
    return Warning(
        _("The app has not been tested on %(database)s.") % {"database": vendor},
        hint=_("SQLite, PostgreSQL, MySQL and MariaDB are supported."),
        id="paiementpro.W020",
    )


def several_databases() -> CheckMessage:
    return Error(
        _("The tables of the app are written to several databases, so they cannot share a transaction."),
        hint=_("Make DATABASE_ROUTERS send all models of the app “paiementpro” to the same database."),
        id="paiementpro.E020",
    )


def not_durable(name: str, value: str, wanted: str) -> CheckMessage:
    return Warning(
        _("%(name)s is %(value)s: a notification that has been answered can be lost if the database server stops.")
        % {"name": name, "value": value},
        hint=_("Set it to %(wanted)s.") % {"wanted": wanted},
        id="paiementpro.W021",
    )


def check_sqlite(rows: Rows) -> Iterator[CheckMessage]:
    [[synchronous]] = rows
    if synchronous < 2:
        yield not_durable("PRAGMA synchronous", "NORMAL" if synchronous else "OFF", "FULL")


def check_postgresql(rows: Rows) -> Iterator[CheckMessage]:
    values = dict(rows)
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if values[name] == "off":
            yield not_durable(name, "off", "on")
    yield from check_server(values["transaction_isolation"], is_read_only=values["transaction_read_only"] == "on")


def check_mysql(rows: Rows) -> Iterator[CheckMessage]:
    """Check all but strict mode, which Django checks itself (mysql.W002)."""
    values = dict(rows)
    name = "innodb_flush_log_at_trx_commit"
    if values[name] != "1":
        yield not_durable(name, values[name], "1")
    isolation = values.get("transaction_isolation") or values["tx_isolation"]
    yield from check_server(isolation.replace("-", " ").lower(), is_read_only=values["read_only"] == "ON")


def check_server(isolation: str, *, is_read_only: bool) -> Iterator[CheckMessage]:
    if is_read_only:
        yield Error(
            _("The database is read-only: it is a replica, or closed for maintenance."),
            hint=_("Set DATABASES to the primary server."),
            id="paiementpro.E021",
        )
    if isolation != ISOLATION:
        yield Warning(
            _("The isolation level is “%(level)s”: the app is designed for “read committed”.") % {"level": isolation},
            hint=_("Leave isolation_level out of the OPTIONS of DATABASES."),
            id="paiementpro.W022",
        )


def check_tables(rows: Rows) -> Iterator[CheckMessage]:
    if names := [table for table, engine, _collation in rows if engine != "InnoDB"]:
        yield Error(
            _("These tables do not support transactions: %(tables)s.") % {"tables": ", ".join(names)},
            hint=_("Run for each: %(sql)s") % {"sql": "ALTER TABLE … ENGINE = InnoDB;"},
            id="paiementpro.E022",
        )
    if names := [table for table, _engine, collation in rows if not collation.startswith("utf8mb4")]:
        yield Warning(
            _("These tables cannot store every character: %(tables)s.") % {"tables": ", ".join(names)},
            hint=_("Run for each: %(sql)s") % {"sql": "ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4;"},
            id="paiementpro.W023",
        )


def check_clock(rows: Rows) -> Iterator[CheckMessage]:
    [[seconds]] = rows
    difference = abs(float(seconds) - time.time())
    if difference > CLOCK_TOLERANCE:
        yield Warning(
            _("The clock of the database server differs from this machine’s by %(seconds).0f s.")
            % {"seconds": difference},
            hint=_("Synchronize both with NTP."),
            id="paiementpro.W024",
        )


# SQLite has no clock of its own.
QUERIES: dict[str, list[tuple[str, Callable[[Rows], Iterator[CheckMessage]]]]] = {
    "sqlite": [("PRAGMA synchronous", check_sqlite)],
    "postgresql": [
        (POSTGRESQL_SETTINGS, check_postgresql),
        ("SELECT EXTRACT(EPOCH FROM clock_timestamp())", check_clock),
    ],
    "mysql": [
        (MYSQL_VARIABLES, check_mysql),
        (MYSQL_TABLES, check_tables),
        ("SELECT UNIX_TIMESTAMP(NOW(6))", check_clock),
    ],
}
