"""
The signed part of the app's URLs: the payment's reference and a signature by the site's key.

Each URL has a salt of its own, so that knowing one (the payer sees the return URL) tells nothing of another (only
the gateway is told the notification URL). Old keys are honoured through ``SECRET_KEY_FALLBACKS``.
"""

from django.core.signing import BadSignature, Signer

CHECKOUT = "checkout"
NOTIFICATION = "notification"
RETURN = "return"
STATUS = "status"


def sign(reference: str, purpose: str) -> str:
    """Return the signed reference: letters, digits, ``.``, ``-`` and ``_`` alone."""
    return _signer(purpose).sign(reference)


def unsign(signed: str, purpose: str) -> str | None:
    """Return the reference that this site signed for this purpose; None where it did not. Takes constant time."""
    try:
        return _signer(purpose).unsign(signed)
    except BadSignature:
        return None


def _signer(purpose: str) -> Signer:
    return Signer(sep=".", salt=f"paiementpro.{purpose}")
