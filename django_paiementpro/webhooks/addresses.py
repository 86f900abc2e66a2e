"""
Where outgoing webhooks may go: to public addresses, by https.

Staff choose the URL, and the server that sends the webhook can reach what they cannot: the server itself, its network,
and the metadata service of its cloud. A name is resolved once, and the connection goes to the addresses that were
checked, so a name that resolves differently a moment later gains nothing.
"""

import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from django_paiementpro.conf import conf
from django_paiementpro.return_urls import UNSAFE

Address = IPv4Address | IPv6Address

MAX_URL = 500
MAX_NAME = 253

#: How many seconds a name may take to resolve.
RESOLVE_SECONDS = 5.0

HTTP_PORT = 80
HTTPS_PORT = 443
LAST_PORT = 65535

# Other ports below it belong to services that are no business of a webhook, such as mail and SSH.
FIRST_FREE_PORT = 1024

_URL = re.compile(r"(https?)://(\[[^\]/?]*\]|[^/?:\[\]]*)(?::([0-9]{1,5}))?((?:[/?].*)?)", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)

# What browsers, and the C library, take for a number: 2130706433, 0x7f.1, 0177.0.0.1.
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)

# The IANA registries of special-purpose addresses, multicast, and what is reserved.
_NOT_PUBLIC_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",  # the metadata service of Azure has a public address
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
        ),
    )
)

# All public addresses but those of NAT64; IPv4-mapped, unique local, link-local and multicast ones are outside of it.
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Teredo, benchmarks, ORCHID
            "2001:db8::/32",
            "2002::/16",  # 6to4
            "3fff::/20",
        ),
    )
)

# Where a network has no IPv4, its resolver maps public IPv4 addresses into this prefix.
_NAT64 = IPv6Network("64:ff9b::/96")


class RefusedURLError(ValidationError):
    """A webhook must not go there. The message says why."""


class UnresolvedError(RefusedURLError):
    """The name cannot be resolved, now."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL, taken apart."""

    scheme: str
    #: A name, or an address without brackets.
    host: str
    port: int
    #: With the query.
    path: str

    @property
    def is_secure(self) -> bool:
        return self.scheme == "https"


@dataclass(frozen=True, slots=True)
class Place:
    """An address to connect to, in the form that sockets take."""

    family: int
    address: tuple[Any, ...]


def validate_url(url: str) -> None:
    """Check that webhooks may go to a URL, and that its name resolves now. Raises ``ValidationError``."""
    resolve(parse(url))


def parse(url: str) -> Target:
    """Take a URL apart that can be read in one way only. Raises ``RefusedURLError``."""
    match = _URL.fullmatch(url)
    if not match or len(url) > MAX_URL or UNSAFE.search(url) or "#" in url:
        raise RefusedURLError(
            _("Enter a complete URL in ASCII characters, like https://example.com/webhook."), code="invalid"
        )
    scheme, host, port, path = match[1].lower(), match[2], match[3], match[4]
    target = Target(scheme, _host(host), int(port or (HTTPS_PORT if scheme == "https" else HTTP_PORT)), _path(path))
    if not 1 <= target.port <= LAST_PORT:
        raise RefusedURLError(_("Enter a port from 1 to 65535."), code="port")
    if conf.webhooks_allow_private:
        return target
    if not target.is_secure:
        raise RefusedURLError(_("Enter an https URL."), code="insecure")
    if target.port != HTTPS_PORT and target.port < FIRST_FREE_PORT:
        raise RefusedURLError(_("Use port 443, or one from 1024 to 65535."), code="port")
    return target


def resolve(target: Target) -> list[Place]:
    """
    Return where to connect to. Raises ``RefusedURLError`` if any of the addresses is not public.

    A name that has public addresses and others is a mistake, or an attack.
    """
    found = _look_up(target.host, target.port)
    if not conf.webhooks_allow_private and not all(is_public(ip_address(place.address[0])) for place in found):
        raise RefusedURLError(_("%(host)s is not a public address.") % {"host": target.host}, code="private")
    return found


def is_public(address: Address) -> bool:
    """Return whether an address belongs to the public internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)


def _host(text: str) -> str:
    """Return a name, or an address in its usual form. Raises ``RefusedURLError``."""
    labels = text.split(".")
    with suppress(ValueError):
        if text.startswith("[") and "%" not in text:  # which would name an interface of this machine
            return str(IPv6Address(text[1:-1]))
        if _NUMERIC.fullmatch(labels[-1]):
            return str(IPv4Address(text))
        if len(text) <= MAX_NAME and all(map(_LABEL.fullmatch, labels)):
            return text.lower()
    raise RefusedURLError(_("Enter a URL with a valid name or address."), code="invalid")


def _path(text: str) -> str:
    return text if text.startswith("/") else f"/{text}"


def _look_up(host: str, port: int) -> list[Place]:
    """Resolve a name, in a bounded time: the system's resolver has no time-out of its own."""
    answers: SimpleQueue[Sequence[Place] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answers.put(error)
        else:
            families = {socket.AF_INET, socket.AF_INET6}
            places = (Place(family, address) for family, _type, _proto, _name, address in found if family in families)
            answers.put(list(dict.fromkeys(places)))

    Thread(target=ask, name="paiementpro-resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=RESOLVE_SECONDS)
    except Empty:
        answer = []
    if isinstance(answer, Exception) or not answer:
        raise UnresolvedError(_("%(host)s cannot be resolved.") % {"host": host}, code="unresolved")
    return list(answer)
