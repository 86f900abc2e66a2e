"""
Paiement Pro for Django: mobile money and cards of West Africa, from checkout to a paid order.

A host creates a ``Payment``, redirects the payer to it, and listens to ``payment_succeeded``. Everything between is
here: the page is asked for once, the gateway's unsigned notifications are believed only where they prove something,
and no signal is lost. Start with README.rst.
"""

__version__ = "0.1.0"
