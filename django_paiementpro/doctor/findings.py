import traceback
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import NamedTuple


class Verdict(Enum):
    PASS = "pass"  # noqa: S105  a verdict  # nosec B105
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """What was found, and what to do about it where something is to be done."""

    verdict: Verdict
    text: str


def passed(*sentences: str) -> Finding:
    return Finding(Verdict.PASS, _joined(sentences))


def warning(*sentences: str) -> Finding:
    return Finding(Verdict.WARN, _joined(sentences))


def failure(*sentences: str) -> Finding:
    return Finding(Verdict.FAIL, _joined(sentences))


def _joined(sentences: Iterable[str]) -> str:
    return " ".join(filter(None, sentences))


def whereabouts(error: BaseException) -> str:
    """Return what kind of error it is and where it was raised; its message may hold what nobody is to read."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    last = frames[-1]
    return f"{type(error).__name__} ({Path(last.filename).name}:{last.lineno})"
