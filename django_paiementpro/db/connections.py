"""The database that payments are written to, and connections that may have been closed in the meantime."""

from collections.abc import Callable
from functools import cache
from typing import TypeVar

from django.apps import apps
from django.db import InterfaceError, OperationalError, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

T = TypeVar("T")


def database() -> str:
    """Return the alias of the database that payments are written to: a replica may lag behind."""
    return router.db_for_write(_payment())


@cache
def _payment() -> type[Model]:
    return apps.get_model("paiementpro", "Payment")


def in_transaction() -> bool:
    """Return whether this thread has a transaction open in the database that payments are written to."""
    return connections[database()].in_atomic_block


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
    lost = [connection for connection in connections.all(initialized_only=True) if _is_lost(connection)]
    for connection in lost:
        connection.close()
    return bool(lost)


def _is_lost(connection: BaseDatabaseWrapper) -> bool:
    is_open = connection.connection is not None and connection.autocommit and not connection.in_atomic_block
    return is_open and not connection.is_usable()
