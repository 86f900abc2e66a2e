"""
The back office for a shop's staff, a standard ``ModelAdmin`` with its templates.

Nothing here writes payments: staff actions call the services, which record the user's name and reason.
"""

from django.apps import apps

# Other modules of this package serve sites without Django's admin too, where nothing can be registered.
if apps.is_installed("django.contrib.admin"):
    from django_paiementpro.admin.inlines import PaymentInline
    from django_paiementpro.admin.payments import PaymentAdmin
    from django_paiementpro.admin.statements.pages import StatementAdmin

__all__ = ["PaymentAdmin", "PaymentInline", "StatementAdmin"]
