import traceback
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import NamedTuple


class Level(Enum):
    PASS = "pass"  # noqa: S105  a level  # nosec B105
    WARN = "warn"
    FAIL = "fail"


class Result(NamedTuple):
    """What was found, followed by how to fix it."""

    level: Level
    text: str


def passed(*sentences: str) -> Result:
    return Result(Level.PASS, _joined(sentences))


def warning(*sentences: str) -> Result:
    return Result(Level.WARN, _joined(sentences))


def failure(*sentences: str) -> Result:
    return Result(Level.FAIL, _joined(sentences))


def _joined(sentences: Iterable[str]) -> str:
    return " ".join(filter(None, sentences))


def describe_error(error: BaseException) -> str:
    """Return the class of an error and where it was raised, without its message, which may hold a secret."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    last = frames[-1]
    return f"{type(error).__name__} ({Path(last.filename).name}:{last.lineno})"
