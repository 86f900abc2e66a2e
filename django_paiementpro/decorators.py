from collections.abc import Callable
from typing import Any, TypeVar

from django.db import connections, transaction

V = TypeVar("V", bound=Callable[..., Any])


def non_atomic(view: V) -> V:
    """Exempt a view from ATOMIC_REQUESTS on every database, where Django's decorator alone covers one."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view
