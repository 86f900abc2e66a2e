"""The address that the gateway is given, before anything is sent there."""

import socket
from collections.abc import Iterator
from urllib.request import getproxies, proxy_bypass

from django.conf import settings
from django.utils.translation import gettext as _

from django_paiementpro.doctor.findings import Finding, failure, passed, warning
from django_paiementpro.doctor.visits import Visit, is_private


def findings(visit: Visit) -> Iterator[Finding]:
    if not visit.base_url:
        verdict = warning if settings.DEBUG else failure
        yield verdict(
            _("PAIEMENTPRO_SITE_URL is not set: the URLs for the gateway name whatever host the payer asked for."),
            _('Write the public base of this site, like "https://example.com".'),
        )
        return
    if visit.is_local:
        yield passed(
            _("The gateway is a local one, and so may %(url)s be: this is for development.") % {"url": visit.base_url}
        )
        return
    yield _host_finding(visit)
    if visit.parts.scheme != "https":
        yield failure(
            _("%(url)s is not https: payers and notifications would travel in the open.") % {"url": visit.base_url},
            _("Get a certificate, and write https in PAIEMENTPRO_SITE_URL."),
        )


def addresses_of(host: str) -> list[str]:
    """Return the addresses that this machine knows for a host; none where the name is unknown."""
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return []


def _host_finding(visit: Visit) -> Finding:
    if is_private(visit.host):
        return failure(
            _("%(host)s is a name or an address of this network alone: the gateway cannot send anything there.")
            % {"host": visit.host},
            _('Write the public base of this site, like "https://example.com".'),
        )
    if visit.parts.scheme in getproxies() and not proxy_bypass(visit.host):
        return passed(
            _("%(host)s is reached by way of the environment’s proxy, which knows its address.") % {"host": visit.host}
        )
    addresses = addresses_of(visit.host)
    if not addresses:
        return failure(
            _("The name %(host)s is not known here: no address belongs to it.") % {"host": visit.host},
            _("Correct PAIEMENTPRO_SITE_URL, or have the name entered into the DNS."),
        )
    shown = {"host": visit.host, "addresses": ", ".join(addresses)}
    if all(map(is_private, addresses)):
        return warning(
            _(
                "%(host)s is %(addresses)s here, which the Internet cannot reach: what follows is not seen as the "
                "gateway sees it."
            )
            % shown,
            _("Run this command once more where the name has its public address."),
        )
    return passed(_("%(host)s is a public name (%(addresses)s).") % shown)
