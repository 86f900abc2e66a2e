"""The database of a benchmark."""

from typing import Any

from django.core.management import call_command
from django.db import connection


def create_database() -> None:
    """Create the database if it does not exist. Raises the server's error if that is not allowed."""
    if connection.vendor == "sqlite":
        return
    name = connection.settings_dict["NAME"]
    with connection._nodb_cursor() as cursor:
        if name not in database_names(cursor):
            cursor.execute(f"CREATE DATABASE {connection.ops.quote_name(name)}")


def database_names(cursor: Any) -> set[str]:
    is_postgresql = connection.vendor == "postgresql"
    cursor.execute("SELECT datname FROM pg_database" if is_postgresql else "SHOW DATABASES")
    return {name for (name,) in cursor.fetchall()}


def create_tables() -> None:
    """Create the database and missing tables, and empty the tables."""
    create_database()
    call_command("migrate", run_syncdb=True, verbosity=0)
    call_command("flush", interactive=False, verbosity=0)
