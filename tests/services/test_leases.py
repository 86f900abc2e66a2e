"""Which process may call the gateway for a payment."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_paiementpro.models import Payment
from django_paiementpro.services import leases
from django_paiementpro.testing import make_payment
from tests.conftest import stored

pytestmark = pytest.mark.django_db


def test_release_leaves_leases_of_other_payments() -> None:
    soon = timezone.now() + timedelta(seconds=20)
    payment, other = (make_payment(attempt=1, leased_until=soon) for _ in range(2))

    leases.release(payment, 1)

    assert (payment.leased_until, stored(payment).leased_until) == (None, None)
    assert leases.is_held(stored(other))


def test_release_leaves_the_lease_of_a_later_attempt() -> None:
    payment = make_payment(attempt=1, leased_until=timezone.now() + timedelta(seconds=20))
    late = stored(payment)
    Payment.objects.update(attempt=2)

    leases.release(late, 1)

    assert leases.is_held(stored(payment))
    assert leases.is_held(late)


@pytest.mark.parametrize("before", [None, timezone.now() - timedelta(hours=1)])
def test_unused_lookup_is_given_back(before: object) -> None:
    now = timezone.now()
    payment, other, later = (make_payment(attempt=1, checked_at=now) for _ in range(3))
    late = stored(later)
    Payment.objects.filter(pk=later.pk).update(checked_at=now + timedelta(seconds=1))

    leases.release_check(payment, before)
    leases.release_check(late, before)

    assert (payment.checked_at, stored(payment).checked_at) == (before, before)
    assert stored(other).checked_at == now
    assert stored(later).checked_at == now + timedelta(seconds=1)


LONGEST = timedelta(seconds=3.05 + 20 + 5)


@pytest.mark.parametrize(
    ("end", "is_held"),
    [
        (timedelta(seconds=-1), False),
        (timedelta(0), False),
        (timedelta(microseconds=1), True),
        (LONGEST, True),
        (LONGEST + timedelta(seconds=60), True),
        # By a clock that has been set back since.
        (LONGEST + timedelta(seconds=60, microseconds=1), False),
    ],
)
def test_lease_ends_by_itself(end: timedelta, is_held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    payment = make_payment(attempt=1, leased_until=now + end)

    assert leases.is_held(payment) == is_held
    assert Payment.objects.filter(leases.not_held(now)).exists() == (not is_held)


def test_lease_counts_the_attempt_and_outlasts_the_call() -> None:
    payment = make_payment()
    before = timezone.now()

    assert leases.acquire(payment)

    after = stored(payment)
    assert payment.attempt == after.attempt == 1
    assert payment.leased_until == after.leased_until
    assert after.leased_until is not None
    assert timedelta(0) <= after.leased_until - before - timedelta(seconds=28.05) < timedelta(seconds=10)
    assert not leases.acquire(payment)


@pytest.mark.parametrize(
    "changes",
    [{"amount": 5000}, {"currency": "XAF"}, {"merchant_id": "PP-F1"}, {"status": "cancelled"}, {"attempt": 1}],
    ids="".join,
)
def test_changed_payment_is_not_leased(changes: dict[str, Any]) -> None:
    payment = make_payment()
    stale = stored(payment)
    Payment.objects.update(**changes)

    assert not leases.acquire(stale)
    assert stored(payment).leased_until is None


def test_lease_is_newer_than_the_last_change_whatever_the_clock() -> None:
    ahead = timezone.now() + timedelta(seconds=30)
    payment = make_payment()
    Payment.objects.update(updated_at=ahead)
    payment.refresh_from_db()

    assert leases.acquire(payment)
    assert payment.updated_at == stored(payment).updated_at > ahead


def test_no_lookup_is_taken_for_a_changed_payment() -> None:
    payment = make_payment(status="pending", attempt=1)
    stale = stored(payment)
    Payment.objects.update(attempt=2)

    assert not leases.acquire_check(stale, timezone.now())
    assert stored(payment).checked_at is None


def test_lookup_is_taken_again_after_a_clock_is_set_back() -> None:
    payment = make_payment(status="pending")
    since = timezone.now()
    assert leases.acquire_check(payment, since)
    assert payment.checked_at == stored(payment).checked_at is not None
    assert not leases.acquire_check(payment, since)
    assert leases.acquire_check(payment, timezone.now())

    for skew, is_taken in ((50, False), (70, True)):
        Payment.objects.update(checked_at=timezone.now() + timedelta(seconds=skew))
        assert leases.acquire_check(payment, since) == is_taken
