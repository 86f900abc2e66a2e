"""
The back office for a shop's staff, a standard ``ModelAdmin`` with its templates.

Nothing here writes payments: staff actions call the services, which record the user's name and reason.
"""

from django_paiementpro.admin.inlines import PaymentInline
from django_paiementpro.admin.payments import PaymentAdmin

__all__ = ["PaymentAdmin", "PaymentInline"]
