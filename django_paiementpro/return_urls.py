"""Where a payer may be sent to, beyond this site: to hosts, origins and apps that the settings allow."""

import re
from collections.abc import Iterable

# As a browser reads it: no user info, no backslash, nothing that is not printed.
TARGET = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:(?P<host>[a-z0-9.-]+)(?P<port>:[0-9]{1,5})?(?=[/?#]|$))?", re.IGNORECASE
)
UNSAFE = re.compile(r'[^!-~]|[\\"<>^`{|}]')


def is_allowed(url: str, listed: Iterable[str]) -> bool:
    """
    Return whether ``PAIEMENTPRO_RETURN_HOSTS`` allows a URL.

    A host, with a leading dot to include its subdomains, is allowed over https only; an origin
    (``http://localhost:5173``) exactly as written; an app's scheme (``maboutique://``) with any path.
    """
    match = TARGET.match(url)
    if not match or UNSAFE.search(url):
        return False
    entries = list(listed)
    scheme, host = match["scheme"].lower(), (match["host"] or "").lower()
    if scheme not in {"http", "https"}:
        return f"{scheme}://" in entries
    if not host:
        return False
    if f"{scheme}://{host}{match['port'] or ''}" in entries:
        return True
    return scheme == "https" and match["port"] in {None, ":443"} and is_allowed_host(host, entries)


def is_allowed_host(host: str, allowed: Iterable[str]) -> bool:
    """Return whether a host, in lower case, is in a list that is read as ``ALLOWED_HOSTS`` is."""
    return any(
        pattern in {"*", host} or (pattern.startswith(".") and f".{host}".endswith(pattern))
        for pattern in map(str.lower, allowed)
    )


def is_app_link(url: str) -> bool:
    """Return whether an allowed URL opens an app rather than a page."""
    return "://" in url and not url.lower().startswith(("http://", "https://"))
