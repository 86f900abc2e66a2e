"""Who may call the gateway for a payment, and for how long: short leases that end by themselves."""

from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from django_paiementpro.db import sql
from django_paiementpro.gateway import client
from django_paiementpro.models import Payment
from django_paiementpro.services.transitions import as_read, next_date

# What a claim has beyond the time-outs, for the work around the call.
CLAIM_MARGIN = timedelta(seconds=5)

# By how much the clocks of two servers may differ.
CLOCK_SKEW = timedelta(minutes=1)


def claim(payment: Payment) -> bool:
    """Count the attempt and take the payment for as long as the call may last; False where others were first."""
    now = timezone.now()
    # The gateway gets URLs with this nonce: a copy that the host has made by hand may have another.
    unclaimed = {**as_read(payment), "url_nonce": payment.url_nonce}
    changes = {
        "attempt": payment.attempt + 1,
        "claimed_until": now + _longest_claim(),
        "updated_at": next_date(payment),
    }
    if is_claimed(payment) or not sql.update(Payment, unclaimed, changes):
        return False
    payment.apply(changes)
    return True


def is_free(now: datetime) -> Q:
    """Return the condition that nobody has the payment now."""
    # A claim that ends later than any can was made by a clock that has been set back since.
    latest = now + _longest_claim() + CLOCK_SKEW
    return Q(claimed_until=None) | Q(claimed_until__lte=now) | Q(claimed_until__gt=latest)


def is_claimed(payment: Payment) -> bool:
    now = timezone.now()
    return payment.claimed_until is not None and now < payment.claimed_until <= now + _longest_claim() + CLOCK_SKEW


def _longest_claim() -> timedelta:
    return timedelta(seconds=client.call_seconds()) + CLAIM_MARGIN


def free(payment: Payment, attempt: int) -> None:
    """Release the claim of an attempt."""
    changes = {"claimed_until": None}
    if sql.update(Payment, {"pk": payment.pk, "attempt": attempt}, changes):
        payment.apply(changes)


def claim_check(payment: Payment, unless_since: datetime) -> bool:
    """Take the look-up of a payment, unless somebody else has asked since then."""
    now = timezone.now()
    # A look-up in the future was noted by a clock that has been set back since.
    is_due = Q(checked_at=None) | Q(checked_at__lte=unless_since) | Q(checked_at__gt=now + CLOCK_SKEW)
    if not Payment.objects.primary().filter(is_due, **as_read(payment)).update(checked_at=now):
        return False
    payment.apply({"checked_at": now})
    return True


def give_back_check(payment: Payment, checked_at: datetime | None) -> None:
    """Undo the claim of a look-up that was not made after all."""
    Payment.objects.primary().filter(pk=payment.pk, checked_at=payment.checked_at).update(checked_at=checked_at)
    payment.apply({"checked_at": checked_at})
