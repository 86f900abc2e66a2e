"""Ask the host's issuer for the tax administration's document of a receipt."""

from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from django_paiementpro.conf import conf
from django_paiementpro.receipts.fiscal import FiscalDocument
from django_paiementpro.receipts.models import Receipt


def issue(receipt: Receipt) -> Mapping[str, Any]:
    """Return what to store of the document. The issuer's errors propagate."""
    if receipt.fiscal_reference or conf.fiscal_issuer is None:
        return {}
    document = conf.fiscal_issuer(receipt)
    if not isinstance(document, FiscalDocument):
        raise TypeError(f"PAIEMENTPRO_FISCAL_ISSUER returned {type(document).__name__}, not a FiscalDocument")
    return {
        "fiscal_reference": document.reference,
        "fiscal_url": document.url,
        "fiscal_qr_text": document.qr_text,
        "fiscal_raw": document.raw,
        "fiscal_issued_at": timezone.now(),
    }
