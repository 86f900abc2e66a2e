"""
The app's log: one logger, ``django_paiementpro``, with a stable name for each line.

The message is that name, followed by ``key=value`` pairs: ``page_refused reference=… attempt=1 outcome=refused
duration=0.8``. Each record has the values as ``extra`` as well: ``reference``, ``attempt``, ``channel``, ``outcome``
and ``duration`` (seconds), empty or None if not applicable, and those listed for the line. No value holds a customer's
data, a secret or a signed URL. Of an exception the log has the class (``error``) and the traceback, but not the
message. ``channel`` is not in the message either, since the gateway may send any text.

Logging never changes the result. If the host's logging raises, the line goes to ``logging.lastResort`` instead.
"""

import json
import logging
import re
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol

from django.core.exceptions import ValidationError

logger = logging.getLogger("django_paiementpro")

#: Levels by name. The documentation shows the comments.
LEVELS = {
    #: The gateway opened a payment page.
    "page_opened": logging.INFO,
    #: The gateway refused; its message is in the payment's event.
    "page_refused": logging.WARNING,
    #: The gateway gave no usable answer: ``error``.
    "page_unavailable": logging.WARNING,
    #: The payment is invalid and was not taken to the gateway: ``fields``.
    "payment_invalid": logging.WARNING,
    #: The shop has set the payment link ``pk`` up incorrectly: ``fields``. Its customers cannot pay.
    "link_invalid": logging.ERROR,
    #: A notification arrived at its payment's URL; ``reason`` if it was refused.
    "notification_received": logging.INFO,
    #: The status look-up failed, ``count`` times: ``error``.
    "status_unavailable": logging.WARNING,
    #: Your hashcode verifier raised.
    "verifier_failed": logging.ERROR,
    #: A payment changed to ``status``, by an event of ``kind``.
    "payment_changed": logging.INFO,
    #: ``signal`` was delivered to ``receiver``.
    "signal_delivered": logging.INFO,
    #: ``receiver`` raised on ``signal``; the next reconciliation retries it.
    "receiver_failed": logging.ERROR,
    #: ``receiver`` is not connected in this process, so ``signal`` of ``count`` events stays undelivered.
    "receiver_missing": logging.ERROR,
    #: Signals could not be sent after the commit; the next reconciliation delivers them.
    "delivery_failed": logging.ERROR,
    #: A delivery took so long that its lease expired and another process took over.
    "lease_lost": logging.WARNING,
    #: A delivery could not be queued: ``error``. The next reconciliation delivers it.
    "delivery_not_queued": logging.ERROR,
    #: ``PAIEMENTPRO_SUCCESS_URL`` or ``PAIEMENTPRO_FAILURE_URL`` cannot be resolved.
    "host_page_missing": logging.ERROR,
    #: The database aborted a transaction because of another one; it is retried.
    "transaction_given_up": logging.WARNING,
    #: ``user`` exported payments.
    "payments_exported": logging.INFO,
    #: A statement of the gateway was imported: ``count`` new lines, ``unreadable`` rows.
    "statement_imported": logging.INFO,
    #: Mail, or a call to another service, failed after a response; the next reconciliation repeats it.
    "deferred_work_failed": logging.ERROR,
    #: The alerts could not be mailed; the next reconciliation tries again.
    "alerts_not_sent": logging.ERROR,
    #: How a request about a verification payment arrived could not be recorded.
    "observation_lost": logging.WARNING,
    #: The row ``pk``, or the optional ``app``, raised an error; the run continues.
    "reconcile_failed": logging.ERROR,
    #: A reconciliation finished, with its totals.
    "reconcile_finished": logging.INFO,
    #: This run makes no more calls to the gateway.
    "gateway_away": logging.WARNING,
    #: The OpenTelemetry metrics could not be measured: ``error``.
    "metrics_unavailable": logging.WARNING,
    #: A receipt could not be issued; the next reconciliation tries again.
    "receipt_failed": logging.ERROR,
    #: ``receipt`` could not be mailed; reconciliation tries again.
    "receipt_mail_failed": logging.WARNING,
    #: ``receipt`` could not be mailed for more than a day, and is not tried again.
    "receipt_mail_given_up": logging.ERROR,
    #: Your fiscal issuer raised for ``receipt``; reconciliation calls it again.
    "receipt_fiscal_failed": logging.ERROR,
    #: Your fiscal issuer took longer than its lease: ``receipt`` has the document of another call.
    "receipt_fiscal_twice": logging.ERROR,
    #: The outgoing webhook ``webhook`` was delivered to ``endpoint``, which answered ``status``.
    "webhook_delivered": logging.INFO,
    #: The outgoing webhook ``webhook`` was not delivered to ``endpoint``: ``status`` or ``failure``.
    "webhook_failed": logging.WARNING,
    #: ``endpoint`` was switched off: it accepted none of six attempts.
    "webhook_endpoint_off": logging.ERROR,
    #: Personal data were blanked, in ``payments`` and ``events``.
    "personal_data_blanked": logging.INFO,
}


class Raised(Exception):  # noqa: N818  it stands for any
    """Stands for an exception in the log, without its message."""


class Subject(Protocol):
    """The subject of a line: a payment."""

    @property
    def reference(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def channel(self) -> str: ...
    @property
    def gateway_channel(self) -> str: ...


def class_of(error: BaseException) -> str:
    """Return the dotted class name of an error. Its message may contain personal data or a password."""
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
    """Write a line of ``LEVELS`` about a payment. The attempt defaults to the newest. Never raises."""
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
    # The values are arguments, so that tools that group records by message have one group for each name.
    message = " ".join([name, *(f"{key}=%s" for key in shown)])
    arguments = (logger.name, level, __file__, 0, message, tuple(shown.values()), _exc_info(raised))
    try:
        if logger.isEnabledFor(level):
            record = logger.makeRecord(*arguments)
            # Like ``extra``, but names set by the host's record factory take precedence.
            vars(record).update(figures | vars(record))
            logger.handle(record)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  the host's filters, handlers or record factory
        _write_last_resort(logging.LogRecord(*arguments), error)


def _write_last_resort(record: logging.LogRecord, error: BaseException) -> None:
    """Write the line without the host's logging, with the traceback of its error."""
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
    """Return a value as one word, or quoted."""
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if re.fullmatch(r"[^\s\"=]+", text) and text.isprintable() else json.dumps(text)


def write_invalid(payment: Subject, error: ValidationError) -> list[str]:
    """Log that a payment is invalid. Return the names of the invalid fields."""
    fields = sorted(error.message_dict) if hasattr(error, "error_dict") else []
    write("payment_invalid", payment, outcome="refused", fields=fields)
    return fields
