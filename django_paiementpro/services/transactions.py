"""
Transactions that are retried, and copies of payments that are brought up to date.

A decision applies only to the payment as it was read: ``as_read`` is the condition of the UPDATE that stores it.
"""

import functools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ParamSpec, TypeVar

from django.db import DataError, IntegrityError, OperationalError, transaction
from django.utils import timezone

from django_paiementpro import log
from django_paiementpro.db.connections import close_lost_connections, database, in_transaction
from django_paiementpro.gateway.text import escape
from django_paiementpro.models import Payment

#: Returns a text, or JSON of texts, as the tables can hold it.
Fit = Callable[[Any], Any]

P = ParamSpec("P")
T = TypeVar("T")

# How long to wait, in seconds, when the database has aborted our transaction; at random, to let others pass.
CONFLICT_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.4, 0.4)

# The errors by which MySQL and MariaDB refuse a character: mixed collations, an invalid text, an incorrect value, or an
# impossible conversion.
CHARACTER_ERRORS = frozenset({1267, 1300, 1366, 3988})

# The smallest step of a clock that all databases can store.
TICK = timedelta(microseconds=1)


# What to try in turn if the tables cannot hold a character: they may not be utf8mb4, or the database not be Unicode.
FITS: tuple[Fit, ...] = (partial(escape, encoding="latin-1"), partial(escape, encoding="ascii"))


def unaltered(value: Any) -> Any:
    return value


def commit(work: Callable[[Fit], T], *, is_one_statement: bool = False) -> T:
    """
    Do the work in one transaction, and retry it unless the caller has already opened a transaction.

    Databases abort one of several transactions after a deadlock, or after a conflict if the host has chosen a stricter
    isolation level than the default. The work may run several times, so it must compare with values bound beforehand,
    not with what an earlier run left in memory. It is passed a function to apply to text from outside; if the tables
    cannot store a character, it runs again with a function that escapes the character.

    Work that is a single statement is a transaction of its own, which saves two round trips.
    """
    alias = database()
    is_inside = in_transaction()
    is_bare = is_one_statement and not is_inside
    fit: Fit = unaltered
    fits, pauses = list(FITS), list(CONFLICT_PAUSES)
    while True:
        try:
            with nullcontext() if is_bare else transaction.atomic(using=alias):
                return work(fit)
        except (DataError, OperationalError, UnicodeEncodeError) as error:
            is_about_characters = _is_about_characters(error)
            if is_inside or not (fits if is_about_characters else pauses):
                raise
            if is_about_characters:
                fit = fits.pop(0)
            else:
                # Without atomic(), a lost connection would be used again.
                close_lost_connections()
                log.write("transaction_given_up")
                time.sleep(random.uniform(0, pauses.pop(0)))  # noqa: S311  no secret  # nosec B311


def _is_about_characters(error: Exception) -> bool:
    return not isinstance(error, OperationalError) or (error.args[:1] or (None,))[0] in CHARACTER_ERRORS


def after_commit(hook: Callable[[], object]) -> None:
    """Call the hook after the commit: now, or once the caller's transaction is committed."""
    # While the host has autocommit off, Django takes hooks inside atomic() only, and calls them once it is on again. If
    # that never happens, what is owed waits for reconciliation.
    with transaction.atomic(using=database(), savepoint=False) if in_transaction() else nullcontext():
        transaction.on_commit(hook, using=database(), robust=True)


@contextmanager
def existing(payment: Payment) -> Iterator[None]:
    """Raise ``Payment.DoesNotExist`` if an event could not be stored because its payment has been deleted."""
    try:
        yield
    except IntegrityError:
        if not in_transaction():
            read_again(payment)
        raise


def outside_transactions(function: Callable[P, T]) -> Callable[P, T]:
    """Refuse, with ``RuntimeError``, to run inside the caller's ``atomic()``; a TestCase's own is exempt."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            with transaction.atomic(using=database(), durable=True):
                pass
        except RuntimeError as error:
            raise RuntimeError(
                f"{function.__name__}() calls the gateway, so it cannot run inside atomic() or ATOMIC_REQUESTS: "
                "redirect to payment.get_checkout_url() instead, or call it after the commit"
            ) from error
        return function(*args, **kwargs)

    return wrapper


def read_again(payment: Payment) -> None:
    """Read what is stored now: inside a caller's transaction under a lock, since a snapshot would never change."""
    # By its reference too: SQLite gives the key of an insert that was rolled back to the next payment.
    rows = Payment.objects.using(database()).filter(reference=payment.reference)
    if in_transaction():
        rows = rows.select_for_update()
    payment.refresh_from_db(from_queryset=rows)


def as_read(payment: Payment) -> dict[str, Any]:
    """Return the conditions that everything in the payment's row that decisions depend on is as it was read."""
    return {
        "pk": payment.pk,
        "status": payment.status,
        "attempt": payment.attempt,
        "opened_attempt": payment.opened_attempt,
        "settled_attempt": payment.settled_attempt,
        "leased_until": payment.leased_until,
        "amount": payment.amount,
        "currency": payment.currency,
        "merchant_id": payment.merchant_id,
        "gateway_id": payment.gateway_id,
        "refunded_amount": payment.refunded_amount,
        "needs_review": payment.needs_review,
        "blanked_at": payment.blanked_at,
    }


def next_date(payment: Payment) -> datetime:
    """Return the date of a change: now, but always after the last one, whatever the clocks of the servers say."""
    return max(timezone.now(), payment.updated_at + TICK)
