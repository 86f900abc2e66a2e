"""
Short leases that end by themselves: which process may call the gateway for a payment, and for how long.

A lease or a look-up that lies further in the future than it can was noted by a clock that has been set back since.
"""

from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from django_paiementpro.db import sql
from django_paiementpro.db.connections import database
from django_paiementpro.gateway.connections import call_seconds
from django_paiementpro.models import Payment
from django_paiementpro.services.transactions import as_read, next_date

# What a lease has beyond the time-outs, for the work around the call.
LEASE_MARGIN = timedelta(seconds=5)

# By how much the clocks of two servers may differ.
CLOCK_SKEW = timedelta(minutes=1)


def acquire(payment: Payment) -> bool:
    """Count an attempt, and lease the payment for as long as the call may last. Return False if another process has."""
    now = timezone.now()
    # The gateway gets URLs with this nonce: a copy that the host has made by hand may have another.
    unchanged = {**as_read(payment), "url_nonce": payment.url_nonce}
    changes = {
        "attempt": payment.attempt + 1,
        "leased_until": now + _longest_lease(),
        "updated_at": next_date(payment),
    }
    if is_held(payment) or not sql.update(Payment, unchanged, changes):
        return False
    payment.apply(changes)
    return True


def is_held(payment: Payment) -> bool:
    """Return whether a process may be calling the gateway for the payment."""
    now = timezone.now()
    return payment.leased_until is not None and now < payment.leased_until <= now + _longest_lease() + CLOCK_SKEW


def not_held(now: datetime) -> Q:
    """Return the condition that no process has a lease."""
    latest = now + _longest_lease() + CLOCK_SKEW
    return Q(leased_until=None) | Q(leased_until__lte=now) | Q(leased_until__gt=latest)


def release(payment: Payment, attempt: int) -> None:
    """End the lease of an attempt."""
    changes = {"leased_until": None}
    if sql.update(Payment, {"pk": payment.pk, "attempt": attempt}, changes):
        payment.apply(changes)


def acquire_check(payment: Payment, unless_since: datetime) -> bool:
    """Note that the gateway is asked about the payment. Return False if it has been asked since then."""
    now = timezone.now()
    is_due = Q(checked_at=None) | Q(checked_at__lte=unless_since) | Q(checked_at__gt=now + CLOCK_SKEW)
    if not Payment.objects.using(database()).filter(is_due, **as_read(payment)).update(checked_at=now):
        return False
    payment.apply({"checked_at": now})
    return True


def release_check(payment: Payment, checked_at: datetime | None) -> None:
    """Undo ``acquire_check`` if the gateway was not asked after all."""
    Payment.objects.using(database()).filter(pk=payment.pk, checked_at=payment.checked_at).update(checked_at=checked_at)
    payment.apply({"checked_at": checked_at})


def _longest_lease() -> timedelta:
    return timedelta(seconds=call_seconds()) + LEASE_MARGIN
