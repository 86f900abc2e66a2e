"""
Paiement Pro for Django: mobile money and cards of West Africa, from checkout to a paid order.

A host creates a ``Payment``, redirects the payer to it, and listens to ``payment_succeeded``. The app does the rest: it
requests the page once, trusts the gateway's unsigned notifications only if they prove something, and loses no signal.
Start with README.rst.
"""

__version__ = "0.1.0"
