"""
Work that no response waits for: mail, calls to other services.

The gateway, a customer or a member of staff gets the response first; the work follows. It must be recorded beforehand,
and done by reconciliation too, since the process may die in between. Under ASGI, before Django 6.1, only the views that
call ``begin_request`` defer it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

from asgiref.local import Local
from django.core.signals import request_finished, request_started
from django.http import HttpRequest

from django_paiementpro import log
from django_paiementpro.db.connections import close_old_connections
from django_paiementpro.enums import Outcome

# The work of the request in progress; None outside of requests.
_local = Local()
# Set once an app defers work.
_watched = Event()


def watch_requests() -> None:
    """Notice when requests begin and end. An app that defers work calls this when it is loaded."""
    _watched.set()
    request_started.connect(_begin, dispatch_uid="paiementpro.after_response")
    request_finished.connect(_finish, dispatch_uid="paiementpro.after_response")


def begin_request(request: HttpRequest) -> None:
    """
    Note that a request is in progress, under ASGI: there, Django's signal is sent in a context of its own.

    Under WSGI the signal has been received; a request that no server sent, as in tests, never ends.
    """
    if _watched.is_set() and hasattr(request, "scope") and getattr(_local, "pending", None) is None:
        _local.pending = []


def run_after_response(work: Callable[[], object]) -> None:
    """
    Do the work once the response to the current request has been sent; now, if there is no request.

    The same work is done once per request. An exception is logged.
    """
    pending: list[Callable[[], object]] | None = getattr(_local, "pending", None)
    if pending is None:
        _run(work)
    elif work not in pending:
        pending.append(work)


@contextmanager
def collecting_work(*, is_done: bool = True) -> Iterator[None]:
    """
    Outside of requests, do deferred work at the end of the ``with`` block, so that nothing in it waits for the work.

    With ``is_done=False`` the work is left to the reconciliation that goes on after the block.
    """
    if getattr(_local, "pending", None) is not None:
        yield
        return
    _begin()
    try:
        yield
    finally:
        if not is_done:
            _begin()
        _finish()


def _begin(**_kwargs: Any) -> None:
    _local.pending = []


def _finish(**_kwargs: Any) -> None:
    pending = getattr(_local, "pending", None)
    _local.pending = None
    for work in pending or ():
        _run(work)
    if pending:
        close_old_connections()


def _run(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001  logged; reconciliation does it again
        log.write("deferred_work_failed", outcome=Outcome.FAILED, raised=error)
