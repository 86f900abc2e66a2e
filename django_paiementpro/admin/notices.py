"""What other apps show at the top of the page of the takings."""

from collections.abc import Callable, Iterable

#: Functions that return notices, called for each page. An app appends its own in its ``admin`` module.
NOTICES: list[Callable[[], Iterable[str]]] = []
