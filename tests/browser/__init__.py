"""
The demonstration, as people use it: a real Chromium, the real server, and the gateway that it plays.

Each page that is come to is looked at in the same way, by ``Person.sees``. Nothing here touches Django's ORM, which
does not run beside Playwright's event loop: what the shop has stored is read from its SQLite file.
"""
