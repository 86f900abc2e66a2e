"""
The signed part of the app's URLs: ``Payment.url_key``, which identifies the payment, and a signature by the site's key.

Each kind of URL has its own salt, so knowing one (the payer sees the return URL) reveals nothing about another (only
the gateway gets the notification URL). Old keys are honoured through ``SECRET_KEY_FALLBACKS``.
"""

from datetime import timedelta

from django.core.signing import BadSignature, Signer, TimestampSigner
from django.urls import reverse

from django_paiementpro.conf import conf

CHECKOUT = "checkout"
PAY = "pay"
NOTIFICATION = "notification"
RETURN = "return"
STATUS = "status"

# Proves to the doctor that this site has answered its probe.
PROBE_ANSWER = "probe-answer"

# How long a probe is valid.
PROBE_LIFETIME = timedelta(minutes=5)


def sign(name: str, purpose: str) -> str:
    """Return the signed name. The signature adds only letters, digits, ``.``, ``-`` and ``_``."""
    return _signer(purpose).sign(name)


def unsign(signed: str, purpose: str) -> str | None:
    """Return the name that this site signed for this purpose, or None. Takes constant time."""
    try:
        return _signer(purpose).unsign(signed)
    except BadSignature:
        return None


def path_of(purpose: str, signed: str) -> str:
    """Return the path of a view, in ``PAIEMENTPRO_URL_NAMESPACE``. Raises ``NoReverseMatch``."""
    return reverse(f"{conf.url_namespace}:{purpose}", args=[signed])


def sign_probe(nonce: str) -> str:
    """
    Return a signed nonce that replaces the signed reference in a notification URL, and names no payment.

    It has the same alphabet and its own salt, and is valid for ``PROBE_LIFETIME``.
    """
    return _probe_signer().sign(nonce)


def unsign_probe(signed: str) -> str | None:
    """Return the nonce of a probe that this site has signed recently, or None."""
    if signed.count(".") != 2:
        return None  # a cheap check of its form: a forged URL must not cost a second signature
    try:
        return _probe_signer().unsign(signed, max_age=PROBE_LIFETIME)
    except BadSignature:
        return None


def _probe_signer() -> TimestampSigner:
    return TimestampSigner(sep=".", salt="paiementpro.probe")


def _signer(purpose: str) -> Signer:
    return Signer(sep=".", salt=f"paiementpro.{purpose}")
