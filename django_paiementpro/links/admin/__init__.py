"""The back office of payment links: make, share, print, import and switch them off."""

from django_paiementpro.links.admin.links import PaymentLinkAdmin

__all__ = ["PaymentLinkAdmin"]
