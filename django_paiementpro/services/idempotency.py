"""Idempotency keys: a client may repeat a request, and gets one payment."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils import timezone

from django_paiementpro.db.connections import database, read
from django_paiementpro.models import IdempotencyKey, Payment
from django_paiementpro.services.transactions import Fit, commit

#: For how long a key is remembered.
MEMORY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request with a key: digests of the key, which belongs to its caller, and of the content."""

    digest: str
    fingerprint: str

    @classmethod
    def of(cls, caller: str, key: str, content: str) -> "IdempotentRequest":
        return cls(_digest(f"{caller}\n{key}"), _digest(content))

    def matches(self, stored: IdempotencyKey) -> bool:
        """Return whether the key was stored for the same content."""
        return stored.fingerprint == self.fingerprint


def find_key(request: IdempotentRequest) -> IdempotencyKey | None:
    """Return the stored key with its payment, or None. A key older than ``MEMORY`` is deleted."""
    stored = read(_keys().select_related("payment").filter(digest=request.digest).first)
    if stored and stored.created_at <= timezone.now() - MEMORY:
        _keys().filter(pk=stored.pk).delete()
        return None
    return stored


def store_payment(payment: Payment, request: IdempotentRequest | None = None) -> IdempotencyKey | None:
    """
    Store a payment with its key, in one commit. If a concurrent request has stored the key, return that key instead.

    Raises ``IntegrityError`` if the database refuses the payment for another reason.
    """
    is_new = payment._state.adding

    def store(_fit: Fit) -> None:
        if is_new:  # also when it is retried
            payment.pk, payment._state.adding = None, True
        payment.save()
        if request:
            key = IdempotencyKey(digest=request.digest, fingerprint=request.fingerprint, payment=payment)
            key.save(using=database(), force_insert=True)

    try:
        commit(store)
    except IntegrityError:
        winner = find_key(request) if request else None
        if winner is None:
            raise
        return winner
    return None


def forget_keys() -> None:
    """Delete the keys that are older than ``MEMORY``."""
    _keys().filter(created_at__lte=timezone.now() - MEMORY).delete()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _keys() -> QuerySet[IdempotencyKey]:
    return IdempotencyKey.objects.using(database())
