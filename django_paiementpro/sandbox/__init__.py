"""
The gateway, played on your own machine: for development, demonstrations and tests, over HTTP and without a network.

It answers, shows and notifies as Paiement Pro has been seen to do, the awkward ways included, so that a shop that
behaves here has met them. It shares no code of the app's that takes payments: what the app gets wrong, it does not get
wrong in the same way. It needs a server that can answer while it asks, as the notification of a payment is sent while
the payer waits: ``runserver`` and any server with two threads or workers will do.

It runs while DEBUG is on or ``PAIEMENTPRO_SANDBOX = True``, and answers 404 otherwise.
"""
