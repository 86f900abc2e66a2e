"""How often to ask where a payment stands, and how to be told that nothing has changed."""

import hashlib
from datetime import timedelta

from django.utils.http import parse_etags

#: How many seconds to wait before one asks again, by how long the payer has had.
INTERVALS = (
    (timedelta(seconds=30), 2),
    (timedelta(minutes=2), 5),
    (timedelta(minutes=10), 15),
    (timedelta(hours=1), 60),
)
LONGEST_INTERVAL = 300


def retry_after(age: timedelta) -> int:
    """Return how many seconds to wait before one asks again about a payment that has waited for so long."""
    return next((seconds for limit, seconds in INTERVALS if age < limit), LONGEST_INTERVAL)


def etag_of(content: bytes) -> str:
    """Return the entity tag of what is told."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def is_known(if_none_match: str, etag: str) -> bool:
    """Return whether a client says, by its ``If-None-Match``, that it has what the tag stands for."""
    known = [tag.removeprefix("W/") for tag in parse_etags(if_none_match)]
    return "*" in known or etag in known
