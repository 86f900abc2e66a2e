"""What views have in common, and when a client should ask again where a payment stands."""

import functools
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, cast

from django.db import connections, transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import get_script_prefix
from django.views.decorators.http import etag

from django_paiementpro.conf import conf
from django_paiementpro.db.connections import read

V = TypeVar("V", bound=Callable[..., Any])

#: How many seconds to wait before asking again, while the gateway is unavailable.
UNAVAILABLE_SECONDS = 30

#: The same while enough requests are waiting for it: a place becomes free as soon as one of them is answered.
BUSY_SECONDS = 5

#: How many seconds to wait before asking again, by how long the payer has had.
INTERVALS = (
    (timedelta(seconds=30), 2),
    (timedelta(minutes=2), 5),
    (timedelta(minutes=10), 15),
    (timedelta(hours=1), 60),
)
LONGEST_INTERVAL = 300


def page_context() -> dict[str, Any]:
    """Return what every page for customers needs: the templates extend ``paiementpro/base.html``."""
    return {"shop": conf.shop, "home_url": get_script_prefix()}


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
        return read(answer) if request.method in {"GET", "HEAD"} else answer()

    return cast("V", wrapper)


def conditional_response(
    request: HttpRequest, response: HttpResponseBase, content: bytes, waiting_time: timedelta | None
) -> HttpResponseBase:
    """
    Return the response with an ``ETag`` of the content, or 304 if the client already has it.

    While the payer has had ``waiting_time``, ``Retry-After`` says when to ask again.
    """
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    @etag(lambda _request: tag)
    def respond(_request: HttpRequest) -> HttpResponseBase:
        return response

    response = respond(request)
    if waiting_time is not None:
        response["Retry-After"] = str(retry_after(waiting_time))
    return response


def retry_after(waiting_time: timedelta) -> int:
    """Return how many seconds to wait before asking again, when the payer has had ``waiting_time``."""
    return next((wait for age, wait in INTERVALS if waiting_time < age), LONGEST_INTERVAL)
