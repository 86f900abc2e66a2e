from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections
from django.test import TestCase

from django_paiementpro.db.connections import database


@contextmanager
def deliver_signals() -> Iterator[None]:
    """
    Run the callbacks that wait for a commit at the end of the ``with`` block: the app's signals, and so your receivers.

    Django's ``TestCase`` and pytest-django's ``db`` never commit, so signals would never be sent. This simulates the
    commit as ``TestCase.captureOnCommitCallbacks(execute=True)`` does, and runs nothing twice inside of that. With real
    commits (``TransactionTestCase``, ``transactional_db``) it does nothing. ``pay``, ``decline``, ``notify``,
    ``come_back`` and ``expire`` include it; use it for anything else that settles a payment::

        with deliver_signals():
            call_command("paiementpro_reconcile")

    A receiver that raises is logged and does not stop the others, as in production. With ``PAIEMENTPRO_DELIVERY =
    "task"`` only the task is queued: use a task backend that runs tasks immediately, or set ``"immediate"``.
    """
    using = database()
    connection = connections[using]
    count = len(connection.run_on_commit)
    try:
        with TestCase.captureOnCommitCallbacks(using=using, execute=True):
            yield
    finally:
        del connection.run_on_commit[count:]
