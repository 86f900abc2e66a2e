"""Hold a thread or end a process before or after a given SQL statement."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db.backends.signals import connection_created


def nothing() -> None:
    """Do nothing."""


@contextmanager
def at(*words: str, before: Callable[[], object] = nothing, after: Callable[[], object] = nothing) -> Iterator[None]:
    """
    Act before or after each SQL statement whose text and parameters hold all the words.

    Holds for connections opened inside the ``with`` block: each thread of a ``Site`` opens one of its own.
    """

    def watch(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        text = " ".join(map(str, [sql, *(params or [])]))
        is_meant = all(word in text for word in words)
        (before if is_meant else nothing)()
        result = execute(sql, params, many, context)
        (after if is_meant else nothing)()
        return result

    def install(connection: Any, **kwargs: Any) -> None:
        stack.enter_context(connection.execute_wrapper(watch))

    with ExitStack() as stack:
        connection_created.connect(install)
        stack.callback(connection_created.disconnect, install)
        yield
