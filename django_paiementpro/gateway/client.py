"""
The gateway, over the transport of ``PAIEMENTPRO_TRANSPORT``, without models.

Whatever the transport, customers are sent to allowed hosts only.
"""

import math
import re

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_variables

from django_paiementpro.conf import conf
from django_paiementpro.exceptions import GatewayRefusedError, GatewayUnavailableError
from django_paiementpro.gateway.messages import PageRequest, StatusAnswer
from django_paiementpro.gateway.text import clean, without_signed_urls
from django_paiementpro.gateway.transport import Transport
from django_paiementpro.return_urls import UNSAFE, is_allowed_host

#: The classes behind the names that ``PAIEMENTPRO_TRANSPORT`` may have; each is imported when it is used.
TRANSPORTS = {
    "json": "django_paiementpro.gateway.json.JSONTransport",
    "soap": "django_paiementpro.gateway.soap.SOAPTransport",
}

MAX_PAGE_URL = 2000

# Scheme and host, as a browser reads them; no label of the host is empty.
_PAGE_URL = re.compile(
    r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:[/?#]|$)", re.IGNORECASE
)


@sensitive_variables()
def open_page(request: PageRequest, transport: str = "") -> str:
    """
    Ask for a payment page, and return its URL, which is on an allowed host.

    ``transport`` is that of ``PAIEMENTPRO_TRANSPORT`` unless it is given.

    Raises ``GatewayRefusedError`` if the gateway refuses, and ``GatewayUnavailableError`` if it gives no usable answer.
    It may have opened a session even then, so the same reference must not be sent again.
    """
    try:
        url = get_transport(transport).open_page(request)
    except GatewayRefusedError as error:
        raise GatewayRefusedError(clean(without_signed_urls(error.message))) from None
    if request.is_given_away_by(url):
        raise GatewayUnavailableError("the gateway gave a page whose URL tells the payer the notification URL")
    return checked_page_url(url)


def look_up(reference: str, patience: float = math.inf) -> StatusAnswer:
    """
    Ask the status service about one ``referenceNumber``. Raises ``GatewayUnavailableError``.

    Neither time-out is longer than ``patience``, in seconds. The service's silence proves nothing (see "What is known
    of the gateway").
    """
    return get_transport().look_up(reference, patience)


def get_transport(name: str = "") -> Transport:
    """Return a new instance of the transport's class. Raises ``ImproperlyConfigured`` if it cannot be imported."""
    name = name or conf.transport
    try:
        transport: Transport = import_string(TRANSPORTS.get(name, name))()
    except ImportError as error:
        raise ImproperlyConfigured(f"PAIEMENTPRO_TRANSPORT: {error}") from error
    return transport


def checked_page_url(url: str) -> str:
    """
    Return the URL of a payment page if it is certain where a browser would go with it.

    It must use https (except on the host of ``PAIEMENTPRO_GATEWAY_URL``) and an allowed host. Backslashes, control
    characters and user info, which browsers interpret in different ways, are not accepted.
    Raises ``GatewayUnavailableError``, without the URL, since that belongs to the customer.
    """
    match = _PAGE_URL.match(url)
    if not match or len(url) > MAX_PAGE_URL or UNSAFE.search(url):
        raise GatewayUnavailableError("the gateway gave a page whose URL cannot be trusted")
    scheme, host = match[1].lower(), match[2].lower()
    own_scheme, own_host = conf.own_gateway
    is_own = host.strip("[]") == own_host
    if not is_own and not is_allowed_host(host, conf.allowed_redirect_hosts):
        raise GatewayUnavailableError("the gateway gave a page on a host that PAIEMENTPRO_ALLOWED_REDIRECT_HOSTS lacks")
    if scheme != "https" and not (is_own and own_scheme == "http"):
        raise GatewayUnavailableError("the gateway gave a page that is not https")
    return url
