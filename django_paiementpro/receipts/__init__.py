"""Receipts: numbered papers that say what was paid, and what was returned. Importing this module loads no models."""

from typing import TYPE_CHECKING

from django.apps import apps as registry  # "apps" is a module of this package
from django.db.models import Model

from django_paiementpro.receipts.fiscal import FiscalDocument

if TYPE_CHECKING:
    from django_paiementpro.receipts.models import ReceiptQuerySet

__all__ = ["FiscalDocument", "receipts_of"]


def receipts_of(obj: Model) -> "ReceiptQuerySet":
    """Return all receipts of one of the host's objects, or of a payment, in the order of issue."""
    receipts: ReceiptQuerySet = registry.get_model("paiementpro_receipts", "Receipt").objects.all()
    return receipts.for_object(obj)
