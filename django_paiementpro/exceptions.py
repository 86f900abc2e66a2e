"""
What can go wrong, as a tree.

::

    PaiementProError
    ├── GatewayError
    │   ├── GatewayUnavailableError   no usable answer; may be tried again
    │   └── GatewayRefusedError       the gateway said no
    │       └── TooManyRefusalsError  several times in a row: it is not asked for a while
    └── InvalidNotification           a notification that proves nothing

No message holds a secret, a signed URL or a customer's data.
"""

from collections.abc import Mapping
from typing import Any


class PaiementProError(Exception):
    """Anything that this app raises of its own."""


class GatewayError(PaiementProError):
    """A call to the gateway brought no page."""


class GatewayUnavailableError(GatewayError):
    """
    The gateway gave no answer that can be used: no connection, a time-out, a 5xx, no JSON, a page on a strange host.

    A session may have been opened all the same. The same reference must not be sent again; a new attempt may.
    ``is_away`` tells a gateway that does not answer at all from one whose answer to this question is of no use.
    """

    def __init__(self, message: str = "", *, is_away: bool = False) -> None:
        super().__init__(message)
        self.is_away = is_away


class GatewayRefusedError(GatewayError):
    """The gateway said no; ``message`` is its own text, mostly French, possibly empty."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "the gateway refused without a word")
        self.message = message


class TooManyRefusalsError(GatewayRefusedError):
    """
    The gateway has refused the payment several times in a row, and was not asked again.

    ``retry_after`` says in how many seconds it may be; ``message`` is what the gateway said last.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InvalidNotification(PaiementProError):  # noqa: N818  the contract's name
    """
    A notification that is not accepted.

    ``reason`` is a value of ``enums.Reason``; ``detail`` says in English what was found; ``data`` is what was
    received, fit to be stored as JSON.
    """

    def __init__(self, reason: str, detail: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.data = dict(data or {})
