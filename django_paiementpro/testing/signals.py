from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections
from django.test import TestCase

from django_paiementpro.db.connections import database


@contextmanager
def deliver_signals() -> Iterator[None]:
    """
    Run what waits for a commit at the end of the ``with`` block: the app's signals, and so your receivers.

    Under Django's ``TestCase``, and pytest-django's ``db``, nothing is ever committed, so that signals would wait for
    ever. This plays the commit as ``TestCase.captureOnCommitCallbacks(execute=True)`` does, and runs nothing a second
    time where you have wrapped your test in that, too. Where commits are real (``TransactionTestCase``,
    ``transactional_db``) it has nothing left to do. ``pay``, ``decline``, ``notify``, ``come_back`` and ``expire``
    bring it with them; put it around anything else that settles a payment::

        with deliver_signals():
            call_command("paiementpro_reconcile")

    A receiver that raises is logged and blocks nobody, as in production (CONTRACT section 6). With
    ``PAIEMENTPRO_DELIVERY = "task"`` what is run is the queueing: have the tests' task backend run tasks at once, or
    set ``"immediate"``.
    """
    using = database()
    connection = connections[using]
    count = len(connection.run_on_commit)
    try:
        with TestCase.captureOnCommitCallbacks(using=using, execute=True):
            yield
    finally:
        del connection.run_on_commit[count:]
