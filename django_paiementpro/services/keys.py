"""Payments that a client may ask for twice, and gets once: by its idempotency key."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils import timezone

from django_paiementpro import statements
from django_paiementpro.models import IdempotencyKey, Payment
from django_paiementpro.services.transitions import commit, database

#: For how long a key is remembered.
MEMORY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a client says of its request: the key, within what its caller has sent, and what it asks for. Digests."""

    digest: str
    fingerprint: str

    @classmethod
    def of(cls, caller: str, key: str, content: str) -> "Claim":
        return cls(_digest(f"{caller}\n{key}"), _digest(content))

    def fits(self, stored: IdempotencyKey) -> bool:
        """Return whether the key stands for the same request."""
        return stored.fingerprint == self.fingerprint


def recall(claim: Claim) -> IdempotencyKey | None:
    """Return the key as it was stored in the last ``MEMORY``, with its payment; an older one is forgotten."""
    stored = statements.read(_keys().select_related("payment").filter(digest=claim.digest).first)
    if stored and stored.created_at <= timezone.now() - MEMORY:
        _keys().filter(pk=stored.pk).delete()
        return None
    return stored


def store_payment(payment: Payment, claim: Claim | None = None) -> IdempotencyKey | None:
    """
    Store a payment with its key, in one commit; return another's key where that has been faster, and store nothing.

    Raises ``IntegrityError`` where the database refuses the payment for a reason of its own.
    """
    is_new = payment._state.adding

    def store() -> None:
        if is_new:  # once more, where the database has given up the first try
            payment.pk, payment._state.adding = None, True
        payment.save()
        if claim:
            key = IdempotencyKey(digest=claim.digest, fingerprint=claim.fingerprint, payment=payment)
            key.save(using=database(), force_insert=True)

    try:
        commit(store)
    except IntegrityError:
        winner = recall(claim) if claim else None
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
