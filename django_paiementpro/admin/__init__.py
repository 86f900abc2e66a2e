"""
The back office: where a shop's staff look at payments, and do what no gateway does for them.

All of it stands on the standard ``ModelAdmin`` and its templates. Nothing here writes: what staff do is in
``services``, with their name and their reason in the audit trail.
"""

from django_paiementpro.admin.inlines import PaymentInline
from django_paiementpro.admin.payments import PaymentAdmin

__all__ = ["PaymentAdmin", "PaymentInline"]
