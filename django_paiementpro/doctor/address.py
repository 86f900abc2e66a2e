"""The address that the gateway is given, before anything is sent there."""

import socket
from collections.abc import Iterator
from urllib.request import getproxies, proxy_bypass

from django.conf import settings
from django.utils.translation import gettext as _

from django_paiementpro.doctor.results import Result, failure, passed, warning
from django_paiementpro.doctor.target import Target, is_private


def examine(target: Target) -> Iterator[Result]:
    if not target.base_url:
        level = warning if settings.DEBUG else failure
        yield level(
            _("PAIEMENTPRO_SITE_URL is not set: URLs sent to the gateway use whatever host the customer requested."),
            _('Write the public base URL of this site, like "https://example.com".'),
        )
        return
    if target.is_local:
        yield passed(
            _("The gateway is local, so %(url)s may be local too: this is a development setup.")
            % {"url": target.base_url}
        )
        return
    yield _examine_host(target)
    if target.parts.scheme != "https":
        yield failure(
            _("%(url)s is not https: customers’ data and notifications would travel unencrypted.")
            % {"url": target.base_url},
            _("Get a certificate, and use https in PAIEMENTPRO_SITE_URL."),
        )


def addresses_of(host: str) -> list[str]:
    """Return the addresses that this machine finds for a host; none if the name is unknown."""
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return []


def _examine_host(target: Target) -> Result:
    if is_private(target.host):
        return failure(
            _("%(host)s is a private name or address: the gateway cannot reach it.") % {"host": target.host},
            _('Write the public base URL of this site, like "https://example.com".'),
        )
    if target.parts.scheme in getproxies() and not proxy_bypass(target.host):
        return passed(
            _("%(host)s is reached through the proxy set in the environment, which resolves its name.")
            % {"host": target.host}
        )
    addresses = addresses_of(target.host)
    if not addresses:
        return failure(
            _("%(host)s cannot be resolved: no address is known for it.") % {"host": target.host},
            _("Correct PAIEMENTPRO_SITE_URL, or add the name to the DNS."),
        )
    params = {"host": target.host, "addresses": ", ".join(addresses)}
    if all(map(is_private, addresses)):
        return warning(
            _(
                "%(host)s resolves to a private address here (%(addresses)s): the next tests do not take the path that "
                "the gateway takes."
            )
            % params,
            _("Run this command again where the name resolves to its public address."),
        )
    return passed(_("%(host)s is a public name (%(addresses)s).") % params)
