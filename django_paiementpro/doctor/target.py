from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from django_paiementpro.conf import conf

# Last parts of host names that no public DNS resolves.
LOCAL_DOMAINS = frozenset({"corp", "home", "internal", "lan", "local", "localdomain", "localhost", "test"})


@dataclass(frozen=True, slots=True)
class Target:
    """The site to examine. ``url`` overrides ``PAIEMENTPRO_SITE_URL``; ``asks_gateway`` allows calls to the gateway."""

    url: str = ""
    asks_gateway: bool = False

    @property
    def base_url(self) -> str:
        """The public base URL of the site, or "" if it is unknown. Raises ``ImproperlyConfigured``."""
        return self.url or conf.site_url or ""

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.base_url)

    @property
    def host(self) -> str:
        return self.parts.hostname or ""

    @property
    def authority(self) -> str:
        """Host and port as clients write them in the Host header."""
        default = {"http": 80, "https": 443}.get(self.parts.scheme)
        netloc = self.parts.netloc.lower()
        return netloc.removesuffix(f":{default}") if self.parts.port == default else netloc

    @property
    def is_local(self) -> bool:
        """Whether the gateway, too, is on this machine or network, as in development."""
        return is_private(conf.own_gateway[1])


def is_private(host: str) -> bool:
    """Return whether a host is known, by its name or address alone, to be unreachable from the Internet."""
    if not host:
        return False
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host.rstrip(".") or host.rstrip(".").rpartition(".")[2] in LOCAL_DOMAINS
