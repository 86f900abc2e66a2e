"""
What the app says to the host's logs: one logger, ``django_paiementpro``, and one stable name a line.

Each line has ``reference``, ``attempt``, ``channel``, ``outcome`` and ``duration`` (seconds) as ``extra``, empty or
None where they have no place, and what is named beside it below. None of this is a payer's data, a secret or a signed
URL: of what was raised, the log has the class and the traceback, and not the words, which may name a payer.
"""

import logging
from typing import Any, Protocol

from django.core.exceptions import ValidationError

logger = logging.getLogger("django_paiementpro")

#: The level of each line, by its name; README.rst says what each means.
LEVELS = {
    # The way to the gateway.
    "page_opened": logging.INFO,
    "page_refused": logging.WARNING,
    "page_unavailable": logging.WARNING,  # error
    "payment_invalid": logging.WARNING,  # fields
    # What the gateway says.
    "notification_received": logging.INFO,  # reason
    "status_unavailable": logging.WARNING,  # error, count
    "verifier_failed": logging.ERROR,
    "payment_changed": logging.INFO,  # status, kind
    # What the host is told.
    "signal_delivered": logging.INFO,  # signal, receiver
    "receiver_failed": logging.ERROR,  # signal, receiver
    "lease_lost": logging.WARNING,
    "delivery_not_queued": logging.ERROR,  # error
    # What goes on beside.
    "host_page_missing": logging.ERROR,
    "transaction_given_up": logging.WARNING,
    "payments_exported": logging.INFO,  # user
    "reconcile_failed": logging.ERROR,  # pk
    "reconcile_finished": logging.INFO,  # the totals
    "gateway_away": logging.WARNING,
    "metrics_unavailable": logging.WARNING,  # error
    "personal_data_blanked": logging.INFO,  # payments, events
}


class Raised(Exception):  # noqa: N818  it stands for any
    """What was raised, by its class alone."""


class Subject(Protocol):
    """What a line may be about: a payment."""

    @property
    def reference(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def channel(self) -> str: ...
    @property
    def gateway_channel(self) -> str: ...


def class_of(error: BaseException) -> str:
    """Return the dotted name of an error's class: what it says may name a payer, or a password."""
    return f"{type(error).__module__}.{type(error).__qualname__}"


def write(
    name: str,
    payment: Subject | None = None,
    *,
    attempt: int | None = None,
    outcome: str = "",
    duration: float | None = None,
    raised: BaseException | None = None,
    **extra: Any,
) -> None:
    """Write a line of ``LEVELS`` about a payment. The attempt is the newest unless another is named."""
    exc_info = None if raised is None else (Raised, Raised(class_of(raised)), raised.__traceback__)
    extra |= {
        "reference": payment.reference if payment else "",
        "attempt": payment.attempt if payment and attempt is None else attempt,
        "channel": (payment.gateway_channel or payment.channel) if payment else "",
        "outcome": str(outcome),
        "duration": None if duration is None else round(duration, 4),
    }
    logger.log(LEVELS[name], name, extra=extra, exc_info=exc_info)


def write_invalid(payment: Subject, error: ValidationError) -> list[str]:
    """Write that a payment cannot be taken to the gateway as it is; return which of its fields are to blame."""
    fields = sorted(error.message_dict) if hasattr(error, "error_dict") else []
    write("payment_invalid", payment, outcome="refused", fields=fields)
    return fields
