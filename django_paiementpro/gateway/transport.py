"""How a page is opened and a payment looked up: the contract of ``PAIEMENTPRO_TRANSPORT``."""

import math
from collections.abc import Mapping
from urllib.parse import quote

from django_paiementpro.conf import conf
from django_paiementpro.gateway.connections import call, unusable
from django_paiementpro.gateway.messages import PageRequest, StatusAnswer
from django_paiementpro.gateway.parsing import JSONObject, parse_json_object

JSON_HEADERS: Mapping[str, str] = {"Accept": "application/json"}


class Transport:
    """
    A way to speak to the gateway, instantiated without arguments for each call.

    The caller checks the URL of the page.
    """

    def open_page(self, request: PageRequest) -> str:
        """
        Ask for a payment page, and return its URL.

        Raises ``GatewayRefusedError`` if the gateway refuses, with its own text, and ``GatewayUnavailableError`` if it
        gives no usable answer. A reference is sent once: the gateway may have opened a session even then.
        """
        raise NotImplementedError

    def look_up(self, reference: str, patience: float = math.inf) -> StatusAnswer:
        """
        Ask the status service about one ``referenceNumber``. Raises ``GatewayUnavailableError``.

        It takes no longer than ``patience``, in seconds, and the time-outs. The gateway has one status service for all
        transports; it needs no authentication.
        """
        url = f"{conf.status_url}/{quote(reference, safe='')}"
        status, content = call("GET", url, JSON_HEADERS, patience=patience)
        answer = read_json(status, content)
        if status >= 400 and "success" not in answer:
            raise unusable(f"the gateway does not answer this (HTTP {status})", status)
        return StatusAnswer.from_json(answer)


def read_json(status: int, content: bytes) -> JSONObject:
    """Parse an answer as JSON, whatever its content type says. Raises ``GatewayUnavailableError``."""
    if status >= 500:
        raise unusable(f"the gateway is out of order (HTTP {status})", status)
    try:
        return parse_json_object(content)
    except ValueError as error:
        raise unusable(f"the gateway's answer (HTTP {status}) is no JSON object", status) from error
