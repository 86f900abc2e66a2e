import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from django.db import connections, transaction
from django.http import HttpRequest

from django_paiementpro import statements

V = TypeVar("V", bound=Callable[..., Any])


def non_atomic(view: V) -> V:
    """Exempt a view from ATOMIC_REQUESTS on every database, where Django's decorator alone covers one."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


def reread(view: V) -> V:
    """Run a view again if a GET or HEAD request, which must write nothing, finds its database connection lost."""

    @functools.wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        answer = functools.partial(view, request, *args, **kwargs)
        return statements.read(answer) if request.method in {"GET", "HEAD"} else answer()

    return cast("V", wrapper)
