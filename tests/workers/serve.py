"""The host's site, in a process of its own."""

import django

from tests.server.site import Site

django.setup()
server = Site()
print(server.url, flush=True)  # noqa: T201  for the test
server.serve_forever()
