"""
The signed part of the app's URLs: what names the payment (``Payment.url_key``) and a signature by the site's key.

Each URL has a salt of its own, so that knowing one (the payer sees the return URL) tells nothing of another (only
the gateway is told the notification URL). Old keys are honoured through ``SECRET_KEY_FALLBACKS``.
"""

from datetime import timedelta

from django.core.signing import BadSignature, Signer, TimestampSigner

CHECKOUT = "checkout"
NOTIFICATION = "notification"
RETURN = "return"
STATUS = "status"

# What proves to the doctor that this site has answered its probe.
PROBE_ANSWER = "probe-answer"

# How long a probe is recognised.
PROBE_LIFETIME = timedelta(minutes=5)


def sign(name: str, purpose: str) -> str:
    """Return the signed name, of the name's own characters and letters, digits, ``.``, ``-`` and ``_``."""
    return _signer(purpose).sign(name)


def unsign(signed: str, purpose: str) -> str | None:
    """Return the name that this site signed for this purpose; None where it did not. Takes constant time."""
    try:
        return _signer(purpose).unsign(signed)
    except BadSignature:
        return None


def sign_probe(nonce: str) -> str:
    """
    Return what stands in a notification URL in place of a signed reference, and names no payment.

    It is of the same letters, has a salt of its own, and is recognised for ``PROBE_LIFETIME``.
    """
    return _probe_signer().sign(nonce)


def unsign_probe(signed: str) -> str | None:
    """Return the nonce of a probe that this site has signed of late; None where it has not."""
    if signed.count(".") != 2:
        return None  # by its look alone: a stranger is not to cost a second signature
    try:
        return _probe_signer().unsign(signed, max_age=PROBE_LIFETIME)
    except BadSignature:
        return None


def _probe_signer() -> TimestampSigner:
    return TimestampSigner(sep=".", salt="paiementpro.probe")


def _signer(purpose: str) -> Signer:
    return Signer(sep=".", salt=f"paiementpro.{purpose}")
