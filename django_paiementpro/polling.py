"""How often to ask where a payment stands, and how to be told that nothing has changed."""

import hashlib
from datetime import timedelta

from django.http import HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.utils.http import parse_etags

#: After how many seconds it is worth knocking at a gateway that was away.
AWAY_SECONDS = 30

#: How many seconds to wait before one asks again, by how long the payer has had.
INTERVALS = (
    (timedelta(seconds=30), 2),
    (timedelta(minutes=2), 5),
    (timedelta(minutes=10), 15),
    (timedelta(hours=1), 60),
)
LONGEST_INTERVAL = 300


def answer(
    response: HttpResponseBase, content: bytes, if_none_match: str, waiting_time: timedelta | None
) -> HttpResponseBase:
    """
    Return the response that tells the content with its ``ETag``, or 304 to a client that says to have it already.

    While a payment has been waited for so long, ``Retry-After`` says when to ask again.
    """
    etag = etag_of(content)
    if is_known(if_none_match, etag):
        response = HttpResponseNotModified()
    response["ETag"] = etag
    if waiting_time is not None:
        response["Retry-After"] = str(retry_after(waiting_time))
    return response


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
