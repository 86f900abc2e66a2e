from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning

VALIDATOR = "django_paiementpro.contrib.getpaid.validators.payable"


def check_validators(**kwargs: Any) -> list[CheckMessage]:
    """Check that the validator is set: without it, a wrong amount causes a 500 error and blocks its order for good."""
    backends = getattr(settings, "GETPAID_BACKEND_SETTINGS", {})
    listed = [*getattr(settings, "GETPAID", {}).get("VALIDATORS", [])]
    listed += backends.get("paiementpro", {}).get("VALIDATORS", [])
    if VALIDATOR in listed:
        return []
    return [
        Warning(
            "GETPAID_BACKEND_SETTINGS does not have the validator of Paiement Pro.",
            hint=f'Write GETPAID_BACKEND_SETTINGS = {{"paiementpro": {{"VALIDATORS": ["{VALIDATOR}"]}}}}.',
            id="paiementpro_getpaid.W001",
        )
    ]
