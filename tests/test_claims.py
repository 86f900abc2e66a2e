"""Which process may call the gateway for a payment."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_paiementpro.models import Payment
from django_paiementpro.services import claims
from django_paiementpro.testing import make_payment
from tests.conftest import stored

pytestmark = pytest.mark.django_db


def test_free_leaves_the_claims_of_others() -> None:
    soon = timezone.now() + timedelta(seconds=20)
    payment, other = (make_payment(attempt=1, claimed_until=soon) for _ in range(2))

    claims.free(payment, 1)

    assert (payment.claimed_until, stored(payment).claimed_until) == (None, None)
    assert claims.is_claimed(stored(other))


def test_free_leaves_the_claim_of_a_later_attempt() -> None:
    payment = make_payment(attempt=1, claimed_until=timezone.now() + timedelta(seconds=20))
    late = stored(payment)
    Payment.objects.update(attempt=2)

    claims.free(late, 1)

    assert claims.is_claimed(stored(payment))
    assert claims.is_claimed(late)


@pytest.mark.parametrize("before", [None, timezone.now() - timedelta(hours=1)])
def test_a_look_up_that_was_not_made_is_given_back_alone(before: object) -> None:
    now = timezone.now()
    payment, other, later = (make_payment(attempt=1, checked_at=now) for _ in range(3))
    late = stored(later)
    Payment.objects.filter(pk=later.pk).update(checked_at=now + timedelta(seconds=1))

    claims.give_back_check(payment, before)
    claims.give_back_check(late, before)

    assert (payment.checked_at, stored(payment).checked_at) == (before, before)
    assert stored(other).checked_at == now
    assert stored(later).checked_at == now + timedelta(seconds=1)


LONGEST = timedelta(seconds=3.05 + 20 + 5)


@pytest.mark.parametrize(
    ("end", "is_claimed"),
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
def test_a_claim_ends_by_itself(end: timedelta, is_claimed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    payment = make_payment(attempt=1, claimed_until=now + end)

    assert claims.is_claimed(payment) == is_claimed
    assert Payment.objects.filter(claims.is_free(now)).exists() == (not is_claimed)


def test_claim_counts_the_attempt_and_lasts_as_long_as_the_call_may() -> None:
    payment = make_payment()
    before = timezone.now()

    assert claims.claim(payment)

    after = stored(payment)
    assert payment.attempt == after.attempt == 1
    assert payment.claimed_until == after.claimed_until
    assert after.claimed_until is not None
    assert timedelta(0) <= after.claimed_until - before - timedelta(seconds=28.05) < timedelta(seconds=10)
    assert not claims.claim(payment)


@pytest.mark.parametrize(
    "changes",
    [{"amount": 5000}, {"currency": "XAF"}, {"merchant_id": "PP-F1"}, {"status": "cancelled"}, {"attempt": 1}],
    ids="".join,
)
def test_changed_payment_is_not_claimed(changes: dict[str, Any]) -> None:
    payment = make_payment()
    stale = stored(payment)
    Payment.objects.update(**changes)

    assert not claims.claim(stale)
    assert stored(payment).claimed_until is None


def test_claim_is_newer_than_the_last_change_whatever_the_clock() -> None:
    ahead = timezone.now() + timedelta(seconds=30)
    payment = make_payment()
    Payment.objects.update(updated_at=ahead)
    payment.refresh_from_db()

    assert claims.claim(payment)
    assert payment.updated_at == stored(payment).updated_at > ahead


def test_no_look_up_is_taken_of_a_payment_that_moved_on() -> None:
    payment = make_payment(status="pending", attempt=1)
    stale = stored(payment)
    Payment.objects.update(attempt=2)

    assert not claims.claim_check(stale, timezone.now())
    assert stored(payment).checked_at is None


def test_a_look_up_is_taken_once_and_once_more_where_a_clock_was_set_back() -> None:
    payment = make_payment(status="pending")
    since = timezone.now()
    assert claims.claim_check(payment, since)
    assert payment.checked_at == stored(payment).checked_at is not None
    assert not claims.claim_check(payment, since)
    assert claims.claim_check(payment, timezone.now())

    for skew, is_taken in ((50, False), (70, True)):
        Payment.objects.update(checked_at=timezone.now() + timedelta(seconds=skew))
        assert claims.claim_check(payment, since) == is_taken
