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

#: The level of each line, by its name; the documentation has their comments.
LEVELS = {
    #: The gateway gave a page.
    "page_opened": logging.INFO,
    #: The gateway said no; its words are in the payment's event.
    "page_refused": logging.WARNING,
    #: The gateway gave no usable answer: ``error``.
    "page_unavailable": logging.WARNING,
    #: A payment cannot be taken to the gateway as it is: ``fields``.
    "payment_invalid": logging.WARNING,
    #: A notification came by its payment's own URL; ``reason`` where it was refused.
    "notification_received": logging.INFO,
    #: The status look-up gave no answer, ``count`` times: ``error``.
    "status_unavailable": logging.WARNING,
    #: Your hashcode verifier raised.
    "verifier_failed": logging.ERROR,
    #: A payment went to ``status``, by an event of ``kind``.
    "payment_changed": logging.INFO,
    #: ``receiver`` has had ``signal``.
    "signal_delivered": logging.INFO,
    #: ``receiver`` raised on ``signal``, and is called again by the next reconciliation.
    "receiver_failed": logging.ERROR,
    #: A delivery took so long that another process has taken it over.
    "lease_lost": logging.WARNING,
    #: ``error``, a class, kept a delivery from the broker; the next reconciliation delivers.
    "delivery_not_queued": logging.ERROR,
    #: ``PAIEMENTPRO_SUCCESS_URL`` or ``PAIEMENTPRO_FAILURE_URL`` names no URL.
    "host_page_missing": logging.ERROR,
    #: The database gave up a transaction for another's; it is tried again.
    "transaction_given_up": logging.WARNING,
    #: ``user`` exported payments.
    "payments_exported": logging.INFO,
    #: Something raised for the row ``pk``; the others go on.
    "reconcile_failed": logging.ERROR,
    #: A reconciliation ended, with the numbers of what it has done.
    "reconcile_finished": logging.INFO,
    #: The gateway is not asked any more in this run.
    "gateway_away": logging.WARNING,
    #: The figures for OpenTelemetry could not be had: ``error``.
    "metrics_unavailable": logging.WARNING,
    #: Personal data were blanked, in so many ``payments`` and ``events``.
    "personal_data_blanked": logging.INFO,
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
