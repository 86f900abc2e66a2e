"""
The gateway's side of the protocol: its field names, texts and quirks.

It is written from "What is known of the gateway" and its samples, not from the app's own ``messages``, of which it uses
only what parses JSON and cleans text.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.utils.crypto import salted_hmac

from django_paiementpro.conf import conf
from django_paiementpro.gateway.parsing import parse_json_object
from django_paiementpro.gateway.text import clean
from django_paiementpro.return_urls import is_allowed
from django_paiementpro.sandbox.models import SandboxSession

SUCCESS_CODE = "0"
# The only other documented code, for refusals and cancellations alike.
FAILURE_CODE = "-1"

# Whatever the requested currency, the gateway reads the amount as francs.
CURRENCY_NUMBER = "952"

# The gateway's minimum, whatever the host's settings say.
MIN_AMOUNT = 100

# The gateway's limits are unknown; every database takes these.
MAX_REFERENCE = 255
MAX_TEXT = 8000

INITIALIZED = "Initialisation effectuée avec succès"
NOT_INITIALIZED = "Echec de l'initialisation"
REFERENCE_USED = f"{NOT_INITIALIZED} : Référence déjà utilisée"
FIELDS_MISSING = "Veuillez renseigner les champs obligatoire"
UNKNOWN_MERCHANT = "ID marchand inconnu"
AMOUNT_TOO_SMALL = "Le montant minimum est de 100 fr"
URL_NOT_ALLOWED = (
    f"{NOT_INITIALIZED} : URL non autorisée. Le bac à sable n'accepte que celles de ce site (PAIEMENTPRO_SITE_URL, "
    "en https) ou, si DEBUG est actif, de cette machine"
)
NO_TRANSACTION = "Aucune transaction"

# The gateway's name of each column, to be matched exactly. The spelling "customerLastname" is the gateway's.
REQUIRED = {
    "merchant_id": "merchantId",
    "amount": "amount",
    "description": "description",
    "reference": "referenceNumber",
    "customer_email": "customerEmail",
    "customer_first_name": "customerFirstName",
    "customer_last_name": "customerLastname",
    "customer_phone": "customerPhoneNumber",
}
OPTIONAL = {
    "channel": "channel",
    "notification_url": "notificationURL",
    "return_url": "returnURL",
    "return_context": "returnContext",
}

# No user info, backslash, space or control character, which browsers and libraries read differently.
ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:]+\]|[^/?#@:\[\]]+)(?::(?P<port>[0-9]{1,5}))?(?=[/?#]|\Z)",
    re.ASCII | re.IGNORECASE,
)
UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\\]")

Fields = list[tuple[str, str]]


# The SOAP service's codes, which are documented; which of them stands for what else is refused is a guess.
FIELDS_MISSING_CODE = "10"
UNKNOWN_MERCHANT_CODE = "11"
NOT_INITIALIZED_CODE = "-1"


class RefusedError(Exception):
    """A refusal in the gateway's words, with the code of its SOAP service."""

    def __init__(self, message: str, code: str = NOT_INITIALIZED_CODE) -> None:
        super().__init__(message)
        self.code = code


def read_request(content: bytes, request_host: str) -> dict[str, Any]:
    """Return the columns of a new session, from a request in JSON. Raises ``RefusedError``."""
    try:
        request = parse_json_object(content)  # numbers as text
    except ValueError as error:
        raise RefusedError(NOT_INITIALIZED) from error
    return read_fields(request, request_host)


def read_fields(request: Mapping[str, object], request_host: str) -> dict[str, Any]:
    """
    Return the columns of a new session, from the fields of a request. Raises ``RefusedError``.

    ``request_host`` has no port; it is empty if ``ALLOWED_HOSTS`` allows any host.
    """
    values = {column: _text(request.get(name)) for column, name in (REQUIRED | OPTIONAL).items()}
    if not all(values[column] for column in REQUIRED):
        raise RefusedError(FIELDS_MISSING, FIELDS_MISSING_CODE)
    if values["merchant_id"] != conf.merchant_id:
        raise RefusedError(UNKNOWN_MERCHANT, UNKNOWN_MERCHANT_CODE)
    if not re.fullmatch("-?[0-9]{1,18}", values["amount"]):
        raise RefusedError(NOT_INITIALIZED)
    if int(values["amount"]) < MIN_AMOUNT:
        raise RefusedError(AMOUNT_TOO_SMALL)
    if not is_phone(values["customer_phone"]):
        raise RefusedError(NOT_INITIALIZED)
    if len(values["reference"]) > MAX_REFERENCE or any(len(value) > MAX_TEXT for value in values.values()):
        raise RefusedError(NOT_INITIALIZED)
    notification_url, return_url = values["notification_url"], values["return_url"]
    if (notification_url and not may_be_called(notification_url, request_host)) or (
        return_url and not may_be_returned_to(return_url, request_host)
    ):
        raise RefusedError(URL_NOT_ALLOWED)
    # How the gateway treats a channel that the merchant does not have is unknown: here the payer chooses.
    channel = values["channel"] if values["channel"] in conf.channels else ""
    return {**values, "amount": int(values["amount"]), "channel": channel}


def may_be_called(url: str, request_host: str) -> bool:
    """
    Return whether the sandbox may post to a notification URL, so that strangers cannot reach other servers through it.

    The URL must be this site's, by https: ``PAIEMENTPRO_SITE_URL`` or, where that is not set, the request's host. It
    may also be ``PAIEMENTPRO_SITE_URL`` if that is on the loopback interface and, with DEBUG, anything on it.
    """
    origin = _origin(url)
    if origin is None:
        return False
    scheme, host, _port = origin
    is_this_site = origin == _origin(conf.site_url or f"https://{request_host}")
    return (is_this_site and scheme == "https") or ((is_this_site or settings.DEBUG) and _is_loopback(host))


def may_be_returned_to(url: str, request_host: str) -> bool:
    """
    Return whether the payer may be sent to a return URL.

    It may be whatever may be called, and the https hosts and the apps of ``PAIEMENTPRO_RETURN_HOSTS``.
    """
    is_http = url.lower().startswith("http:")
    return may_be_called(url, request_host) or (not is_http and is_allowed(url, conf.return_hosts))


def _origin(url: str) -> tuple[str, str, int] | None:
    """Return the scheme, host and port of a URL that every browser and library reads alike; None for any other URL."""
    match = ORIGIN.match(url)
    if not match or UNSAFE.search(url):
        return None
    scheme = match["scheme"].lower()
    return scheme, match["host"].lower(), int(match["port"] or (443 if scheme == "https" else 80))


def _is_loopback(host: str) -> bool:
    """Return whether a host is the loopback interface, in one of its usual spellings."""
    if host in {"localhost", "[::1]"}:
        return True
    try:
        return IPv4Address(host).is_loopback
    except ValueError:
        return False


def is_phone(text: str) -> bool:
    return bool(re.fullmatch("[0-9]{8,15}", text))


def initialized(page_url: str) -> dict[str, Any]:
    return {"success": True, "message": INITIALIZED, "url": page_url}


def not_initialized(message: str) -> dict[str, Any]:
    return {"success": False, "message": message}


def status_answer(session: SandboxSession | None) -> dict[str, Any]:
    """Return the status look-up's answer: the details of a paid session, or "no transaction"."""
    if session is None:
        return {"success": False, "error": NO_TRANSACTION}
    return {
        "marchant_id": session.merchant_id,
        "pay_id": session.pay_id,
        "reference": session.reference,
        "amount": session.notified_amount,
        "channel": session.channel,
        # Its purpose is unknown. It must not reveal the session, whose page is the payer's.
        "token": salted_hmac("paiementpro_sandbox.token", session.session_id, algorithm="sha256").hexdigest(),
        "date": session.transaction_date,
        "success": True,
    }


def notification_fields(session: SandboxSession, response_code: str) -> Fields:
    """Return the fields of a notification, in the order seen in production in 2026."""
    return [
        ("merchantId", session.merchant_id),
        ("sessionId", session.session_id),
        ("payId", session.pay_id),
        ("channel", session.channel),
        ("countryCurrencyCode", CURRENCY_NUMBER),
        ("referenceNumber", session.reference),
        ("amount", str(session.notified_amount)),
        ("transactiondt", session.transaction_date),
        ("returnContext", session.return_context),
        ("responsecode", response_code),
    ]


def return_url(session: SandboxSession, response_code: str) -> str:
    """
    Return the URL that the payer returns to, or "" if the shop gave none.

    The gateway joins its fields with a ``?`` even if the URL already has one (see "What is known of the gateway").
    """
    fields = [field for field in notification_fields(session, response_code) if field[0] != "payId"]
    return f"{session.return_url}?{urlencode(fields)}" if session.return_url else ""


def forged_url(url: str) -> str:
    """Return the URL with a changed last character, as if a signature had been guessed."""
    match = re.fullmatch(r"(https?://[^/?#]+[/?#].*)([A-Za-z0-9])([^A-Za-z0-9]*)", url, re.DOTALL)
    return f"{match[1]}{'B' if match[2] == 'A' else 'A'}{match[3]}" if match else url


def _text(value: object) -> str:
    return clean(value) if isinstance(value, str) else ""
