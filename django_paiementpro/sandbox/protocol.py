"""
The gateway's side of the protocol: its field names, texts and quirks.

It is written from "What is known of the gateway" and its samples, not from the app's own ``messages``, of which it uses
only what parses JSON and cleans text.
"""

import re
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from django.conf import settings
from django.utils.crypto import salted_hmac

from django_paiementpro.conf import conf
from django_paiementpro.messages import clean, parse_json_object
from django_paiementpro.returns import is_app_link, is_listed
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
URL_NOT_ALLOWED = f"{NOT_INITIALIZED} : URL non autorisée"
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

Fields = list[tuple[str, str]]


class RefusedError(Exception):
    """A refusal in the gateway's words."""


def read_request(content: bytes) -> dict[str, Any]:
    """Return the columns of a new session. Raises ``RefusedError``."""
    try:
        request = parse_json_object(content)  # numbers as text
    except ValueError as error:
        raise RefusedError(NOT_INITIALIZED) from error
    values = {column: _text(request.get(name)) for column, name in (REQUIRED | OPTIONAL).items()}
    if not all(values[column] for column in REQUIRED):
        raise RefusedError(FIELDS_MISSING)
    if values["merchant_id"] != conf.merchant_id:
        raise RefusedError(UNKNOWN_MERCHANT)
    if not re.fullmatch("-?[0-9]{1,18}", values["amount"]):
        raise RefusedError(NOT_INITIALIZED)
    if int(values["amount"]) < MIN_AMOUNT:
        raise RefusedError(AMOUNT_TOO_SMALL)
    if not is_phone(values["customer_phone"]):
        raise RefusedError(NOT_INITIALIZED)
    if len(values["reference"]) > MAX_REFERENCE or any(len(value) > MAX_TEXT for value in values.values()):
        raise RefusedError(NOT_INITIALIZED)
    notification_url, return_url = values["notification_url"], values["return_url"]
    if (notification_url and not may_be_called(notification_url)) or (
        return_url and not may_be_returned_to(return_url)
    ):
        raise RefusedError(URL_NOT_ALLOWED)
    # How the gateway treats a channel that the merchant does not have is unknown: here the payer chooses.
    channel = values["channel"] if values["channel"] in conf.channels else ""
    return {**values, "amount": int(values["amount"]), "channel": channel}


def may_be_called(url: str) -> bool:
    """
    Return whether the sandbox may post to a notification URL.

    It must be https, or on the host of ``PAIEMENTPRO_SITE_URL``: on a public server, strangers must not reach internal
    services through it. With DEBUG, any http:// URL will do.
    """
    parts = _split(url)
    is_allowed_http = settings.DEBUG or parts.netloc == _split(conf.site_url or "").netloc
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and is_allowed_http))


def may_be_returned_to(url: str) -> bool:
    """Return whether the payer may be sent to a return URL: likewise, or to an app of ``PAIEMENTPRO_RETURN_HOSTS``."""
    return may_be_called(url) or (is_app_link(url) and is_listed(url, conf.return_hosts))


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


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
