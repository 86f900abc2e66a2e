"""
The database that payments are written to, and connections that were lost or that a receiver leaves in a bad state.

Django documents no way to detect or to repair either: what depends on its internals is here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TypeVar

from django.apps import apps
from django.db import Error, InterfaceError, OperationalError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.db.transaction import TransactionManagementError

T = TypeVar("T")


def database() -> str:
    """Return the alias of the database that payments are written to: a replica may lag behind."""
    return router.db_for_write(_payment())


@cache
def _payment() -> type[Model]:
    return apps.get_model("paiementpro", "Payment")


def in_transaction() -> bool:
    """Return whether this thread has a transaction open in that database. It always has if autocommit is off."""
    return not transaction.get_autocommit(database())


def read(work: Callable[[], T]) -> T:
    """
    Return what the work reads. If a connection was lost since it was last used, run the work again on a new one.

    Servers and proxies end idle connections, which Django keeps open for ``CONN_MAX_AGE``. The work must write nothing.
    It is run twice at most, and only once in a transaction.
    """
    try:
        return work()
    except (InterfaceError, OperationalError):
        if not close_lost_connections():
            raise
    return work()


def close_lost_connections() -> bool:
    """Close this thread's connections that were lost, outside of transactions. Return whether there were any."""
    # Inside atomic(), autocommit is off.
    lost = [connection for connection in open_connections() if connection.autocommit and not connection.is_usable()]
    for connection in lost:
        connection.close()
    return bool(lost)


def close_old_connections() -> None:
    """Do what Django does at the end of a request, after work that follows it. A TestCase's transaction goes on."""
    for connection in open_connections():
        if not has_open_transaction(connection):
            connection.close_if_unusable_or_obsolete()


@contextmanager
def ending_transactions() -> Iterator[list[TransactionManagementError]]:
    """
    End the transactions that a receiver leaves open, or autocommit off, and fill the list with an error for each.

    Such a receiver has failed: its work is rolled back, on any database, so that what comes after it is not lost too. A
    transaction that the caller has opened, as TestCase does, is left alone.
    """
    before = {connection.alias for connection in open_connections() if has_open_transaction(connection)}
    errors: list[TransactionManagementError] = []
    yield errors
    for connection in open_connections():
        if connection.alias in before:
            continue
        is_left_open = has_open_transaction(connection)
        if is_left_open:
            errors.append(TransactionManagementError("a transaction was left open"))
        if is_left_open or (connection.errors_occurred and not connection.is_usable()):
            drop(connection)


def open_connections() -> list[BaseDatabaseWrapper]:
    """Return this thread's open connections."""
    return [connection for connection in connections.all(initialized_only=True) if connection.connection is not None]


def has_open_transaction(connection: BaseDatabaseWrapper) -> bool:
    return connection.in_atomic_block or connection.autocommit != connection.settings_dict["AUTOCOMMIT"]


def drop(connection: BaseDatabaseWrapper) -> None:
    """
    Close a connection, whatever state it is in; its next use opens another.

    Inside an atomic block Django does not really close a connection, and it has no public way to end a block from
    outside.
    """
    connection.in_atomic_block = connection.closed_in_transaction = False
    with suppress(Error):
        connection.close()
