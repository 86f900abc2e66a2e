"""
A local stand-in for the gateway, for development, demonstrations and tests: over HTTP, without a network.

It answers, shows pages and notifies as Paiement Pro has been observed to do, edge cases included. It shares no code
with the part of the app that takes payments, so neither can hide the other's mistakes. It notifies the shop while the
customer waits, so the server must handle two requests at once: ``runserver`` does, or two threads or workers.

It runs while DEBUG is on or ``PAIEMENTPRO_SANDBOX = True``, and answers 404 otherwise.
"""
