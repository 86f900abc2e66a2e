"""
What the app writes to the host's logs: one logger, ``django_paiementpro``, and one stable name a line.

The message is that name, followed by ``key=value`` for each figure that is set: ``page_refused reference=… attempt=1
outcome=refused duration=0.8``. Each record has them as ``extra`` as well: ``reference``, ``attempt``, ``channel``,
``outcome`` and ``duration`` (seconds), empty or None if they do not apply, and those named below. None of this is a
payer's data, a secret or a signed URL: for what was raised, the log has the class (``error``) and the traceback, not
the text, which may name a payer. ``channel`` is not in the message: its text may be the gateway's.

Logging never decides about money. If the host's logging raises, the line goes to ``logging.lastResort``, and the work
goes on.
"""

import json
import logging
import re
from contextlib import suppress
from types import TracebackType
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
    #: ``receiver``, which ``count`` events owe ``signal``, is not connected in this process: it is still owed.
    "receiver_missing": logging.ERROR,
    #: Signals that have just been committed could not be sent; the next reconciliation delivers them.
    "delivery_failed": logging.ERROR,
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
    #: The OpenTelemetry metrics could not be measured: ``error``.
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
    """Write a line of ``LEVELS`` about a payment. The attempt is the newest unless given. Never raises."""
    level = LEVELS[name]
    if raised is not None:
        extra["error"] = class_of(raised)
    figures = {
        "reference": payment.reference if payment else "",
        "attempt": payment.attempt if payment and attempt is None else attempt,
        "outcome": str(outcome),
        **extra,
        "duration": None if duration is None else round(duration, 4),
    }
    shown = {key: _as_text(value) for key, value in figures.items() if value not in ("", None, [])}
    figures["channel"] = (payment.gateway_channel or payment.channel) if payment else ""
    # The values are arguments, so that tools which group records by message see one group for each name.
    message = " ".join([name, *(f"{key}=%s" for key in shown)])
    arguments = (logger.name, level, __file__, 0, message, tuple(shown.values()), _exc_info(raised))
    try:
        if logger.isEnabledFor(level):
            record = logger.makeRecord(*arguments)
            # As ``extra`` does, but a name that the host's record factory has set is the host's.
            vars(record).update(figures | vars(record))
            logger.handle(record)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  a filter, a handler or a record factory of the host's
        _write_last_resort(logging.LogRecord(*arguments), error)


def _write_last_resort(record: logging.LogRecord, error: BaseException) -> None:
    """Write the line without the host's logging, with the traceback of what that raised."""
    failure = _without_text(error)
    failure.__context__ = record.exc_info[1] if record.exc_info else None
    record.exc_info = (Raised, failure, failure.__traceback__)
    if logging.lastResort:
        with suppress(Exception):
            logging.lastResort.handle(record)


def _exc_info(raised: BaseException | None) -> tuple[type[Raised], Raised, TracebackType | None] | None:
    return None if raised is None else (Raised, _without_text(raised), raised.__traceback__)


def _without_text(error: BaseException) -> Raised:
    return Raised(class_of(error)).with_traceback(error.__traceback__)


def _as_text(value: object) -> str:
    """Write a value as one word, or in quotes."""
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if re.fullmatch(r"[^\s\"=]+", text) and text.isprintable() else json.dumps(text)


def write_invalid(payment: Subject, error: ValidationError) -> list[str]:
    """Write that a payment cannot be taken to the gateway as it is. Return the names of the fields at fault."""
    fields = sorted(error.message_dict) if hasattr(error, "error_dict") else []
    write("payment_invalid", payment, outcome="refused", fields=fields)
    return fields
