"""Progress bars on a terminal, if tqdm is installed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

T = TypeVar("T")

tqdm: Any = import_module("tqdm").tqdm if find_spec("tqdm") else None


def track(rows: Iterable[T], label: str, total: int) -> Iterable[T]:
    """Return the rows, showing how many of them have been consumed."""
    if tqdm is None:
        return rows
    bar: Iterable[T] = tqdm(rows, desc=label, total=total, disable=None, leave=False, unit="")
    return bar


@contextmanager
def progress_bar(label: str, total: int | None) -> Iterator[Callable[[int], object] | None]:
    """Yield a function that advances the bar by a number, or None if there is no bar."""
    if tqdm is None:
        yield None
        return
    with tqdm(desc=label, total=total, disable=None, leave=False) as bar:
        yield bar.update
