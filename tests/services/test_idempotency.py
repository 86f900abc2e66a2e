"""Idempotency keys of the REST API's clients."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from django_paiementpro.models import IdempotencyKey, Payment
from django_paiementpro.services.idempotency import IdempotentRequest, find_key, forget_keys, store_payment
from django_paiementpro.testing import make_payment
from django_paiementpro.testing.payments import ORDINARY

REQUEST = IdempotentRequest.of("1", "key", "{}")


@pytest.mark.django_db
@pytest.mark.parametrize(("age", "is_known"), [(timedelta(hours=23, minutes=59), True), (timedelta(hours=24), False)])
def test_key_lasts_for_a_day(age: timedelta, is_known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    store_payment(Payment(**ORDINARY), REQUEST)
    IdempotencyKey.objects.update(created_at=now - age)

    assert (find_key(REQUEST) is not None) == is_known
    assert IdempotencyKey.objects.exists() == is_known


@pytest.mark.django_db
def test_old_keys_are_forgotten_and_new_ones_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    for number, age in enumerate((timedelta(hours=23), timedelta(hours=24), timedelta(hours=25))):
        IdempotencyKey.objects.create(digest=f"{number}", fingerprint="x", payment=make_payment(), created_at=now - age)

    forget_keys()

    assert [key.digest for key in IdempotencyKey.objects.all()] == ["0"]


@pytest.mark.django_db
def test_keys_differ_by_caller_and_content() -> None:
    requests = [
        IdempotentRequest.of("1", "key", "a"),
        IdempotentRequest.of("1k", "ey", "a"),
        IdempotentRequest.of("1", "key", "b"),
    ]

    assert len({request.digest for request in requests}) == 2
    assert requests[0].digest == requests[2].digest
    assert requests[0].fingerprint == requests[1].fingerprint != requests[2].fingerprint
    assert all(len(request.digest) == len(request.fingerprint) == 64 for request in requests)


@pytest.mark.django_db(transaction=True)
def test_aborted_transaction_is_retried() -> None:
    left = [OperationalError("deadlock")]

    def conflict(execute: Any, sql: str, *arguments: Any) -> Any:
        if left and "idempotencykey" in sql:
            raise left.pop()
        return execute(sql, *arguments)

    payment = Payment(**ORDINARY)
    with connection.execute_wrapper(conflict):
        assert store_payment(payment, REQUEST) is None

    assert left == []
    assert Payment.objects.get() == payment
    assert IdempotencyKey.objects.get().payment == payment
