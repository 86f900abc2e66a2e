"""Which site is examined, and where it stands."""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from django_paiementpro.conf import conf

# Names that no public DNS knows, by their last part.
LOCAL_DOMAINS = frozenset({"corp", "home", "internal", "lan", "local", "localdomain", "localhost", "test"})


@dataclass(frozen=True, slots=True)
class Visit:
    """One check-up. ``url`` takes the place of ``PAIEMENTPRO_SITE_URL``; ``asks_gateway`` also calls the gateway."""

    url: str = ""
    asks_gateway: bool = False

    @property
    def base_url(self) -> str:
        """The public base of the site; empty where nothing tells it. Raises ``ImproperlyConfigured``."""
        return self.url or conf.site_url or ""

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.base_url)

    @property
    def host(self) -> str:
        return self.parts.hostname or ""

    @property
    def authority(self) -> str:
        """Host and port as a client names them in its Host header."""
        default = {"http": 80, "https": 443}.get(self.parts.scheme)
        netloc = self.parts.netloc.lower()
        return netloc.removesuffix(f":{default}") if self.parts.port == default else netloc

    @property
    def is_local(self) -> bool:
        """Whether the gateway stands on this machine or network as well, as it does in development."""
        return is_private(conf.own_gateway[1])


def is_private(host: str) -> bool:
    """Whether the Internet cannot find a host of this name or address; of no name it is not said."""
    if not host:
        return False
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host.rstrip(".") or host.rstrip(".").rpartition(".")[2] in LOCAL_DOMAINS
