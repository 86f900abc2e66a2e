"""
The exceptions of the app.

::

    PaiementProError
    ├── GatewayError
    │   ├── GatewayUnavailableError   no usable answer; may be retried
    │   │   └── GatewayBusyError      not called: enough requests are waiting for it
    │   └── GatewayRefusedError       the gateway refused
    │       └── TooManyRefusalsError  several refusals in a row: retry later
    └── InvalidNotification           a notification that is not accepted

No message holds a secret, a signed URL or a customer's data.
"""

from collections.abc import Mapping
from typing import Any


class PaiementProError(Exception):
    """The base class of the app's exceptions."""


class GatewayError(PaiementProError):
    """The gateway did not open a payment page."""


class GatewayUnavailableError(GatewayError):
    """
    The gateway gave no usable answer: no connection, a time-out, a 5xx, invalid JSON or XML, or a page on another host.

    A session may still have been opened, so a retry needs a new reference. ``is_away`` is True if the gateway did not
    answer at all, and False if it gave an unusable answer to this request.
    """

    def __init__(self, message: str = "", *, is_away: bool = False) -> None:
        super().__init__(message)
        self.is_away = is_away


class GatewayBusyError(GatewayUnavailableError):
    """
    The gateway was not called, since ``PAIEMENTPRO_API_GATEWAY_CALLS`` requests of this process are waiting for it.

    A place becomes free as soon as one of them is answered.
    """


class GatewayRefusedError(GatewayError):
    """The gateway refused; ``message`` is its own text, usually French, possibly empty."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "the gateway refused without giving a reason")
        self.message = message


class TooManyRefusalsError(GatewayRefusedError):
    """
    The gateway has refused the payment several times in a row, and was not called again.

    ``retry_after`` is the number of seconds to wait; ``message`` is the gateway's last message.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InvalidNotification(PaiementProError):  # noqa: N818  the contract's name
    """
    A notification that is not accepted.

    ``reason`` is a value of ``enums.Reason``; ``detail`` explains it in English; ``data`` holds what was received,
    ready to be stored as JSON.
    """

    def __init__(self, reason: str, detail: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.data = dict(data or {})
