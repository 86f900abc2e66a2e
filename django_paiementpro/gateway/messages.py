"""
What is sent and received, as frozen dataclasses: only this module knows the gateway's field names and codes.

For the facts behind it, see "What is known of the gateway" in the documentation.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from django.http import HttpRequest

from django_paiementpro.enums import Reason
from django_paiementpro.exceptions import InvalidNotification
from django_paiementpro.gateway.parsing import Fields, as_text, read_fields
from django_paiementpro.gateway.text import UNDECODABLE, clean, decode_fully, without_signed_urls

SUCCESS_CODE = "0"
FAILURE_CODE = "-1"

#: The code of a SOAP answer with a session; any other is a refusal.
SESSION_OPENED_CODE = "0"

#: What the status look-up answers about an unknown reference (SEEN).
NO_TRANSACTION = "Aucune transaction"

#: The User-Agent of notifications, as seen in 2026: old enough for some firewalls to refuse it.
USER_AGENT = "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"

DATE_FORMAT = "%Y-%m-%d %H:%M:%S"

MAX_FIELDS = 500
TOO_MANY_FIELDS = f"more than {MAX_FIELDS} fields"

# Fields of requests, notifications and status answers that hold no personal data, in lower case. The customer's session
# at the gateway and the shop's own context are not among them.
_IMPERSONAL = frozenset(
    {
        *("merchantid", "marchant_id", "merchant_id", "referencenumber", "reference"),
        *("amount", "countrycurrencycode", "channel", "payid", "pay_id", "transactiondt", "date"),
        *("responsecode", "success", "hashcode"),
    }
)

# Codes, figures and the gateway's dates: a sender may put other values into these fields.
_CODE = re.compile(r"[A-Za-z0-9_.-]{0,128}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """
    What is sent to the gateway to open a payment page: the thirteen fields of its documentation.

    ``customer_phone`` is the national number in the countries that the gateway serves; ``customer_msisdn`` is the same
    number with its country code, without a ``+``. The ``repr()``, which error reports show, contains neither the
    customer nor the signed URLs.
    """

    merchant_id: str
    amount: int
    description: str = field(repr=False)
    channel: str
    currency_number: str
    reference: str
    customer_email: str = field(repr=False)
    customer_first_name: str = field(repr=False)
    customer_last_name: str = field(repr=False)
    customer_phone: str = field(repr=False)
    notification_url: str = field(repr=False)
    return_url: str = field(repr=False)
    return_context: Mapping[str, Any] = field(default_factory=dict, repr=False)
    # JSON does not send it, so two requests that differ in it alone are alike.
    customer_msisdn: str = field(default="", repr=False, compare=False)

    def as_json(self) -> dict[str, Any]:
        """Return the fields in the gateway's spelling. An empty channel is left out: the payer chooses on the page."""
        fields = {
            "merchantId": self.merchant_id,
            "amount": self.amount,
            "description": self.description,
            "channel": self.channel,
            "countryCurrencyCode": self.currency_number,
            "referenceNumber": self.reference,
            "customerEmail": self.customer_email,
            "customerFirstName": self.customer_first_name,
            "customerLastname": self.customer_last_name,
            "customerPhoneNumber": self.customer_phone,
            "notificationURL": self.notification_url,
            "returnURL": self.return_url,
            "returnContext": encode_context(self.return_context),
        }
        if not self.channel:
            del fields["channel"]
        return fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "PageRequest":
        """Read the output of ``as_json``."""
        return cls(
            merchant_id=fields["merchantId"],
            amount=fields["amount"],
            description=fields["description"],
            channel=fields.get("channel", ""),
            currency_number=fields["countryCurrencyCode"],
            reference=fields["referenceNumber"],
            customer_email=fields["customerEmail"],
            customer_first_name=fields["customerFirstName"],
            customer_last_name=fields["customerLastname"],
            customer_phone=fields["customerPhoneNumber"],
            notification_url=fields["notificationURL"],
            return_url=fields["returnURL"],
            return_context=json.loads(fields["returnContext"]),
        )

    def as_soap(self) -> dict[str, str | int]:
        """
        Return the fields in the order of the SOAP service's description, without the optional ``customerId``.

        The telephone number has its country code. An empty channel is sent: the payer chooses on the page.
        """
        return {
            "merchantId": self.merchant_id,
            "referenceNumber": self.reference,
            "amount": self.amount,
            "channel": self.channel,
            "countryCurrencyCode": self.currency_number,
            "customerFirstName": self.customer_first_name,
            "customerLastname": self.customer_last_name,
            "customerEmail": self.customer_email,
            "customerPhoneNumber": self.customer_msisdn or self.customer_phone,
            "description": self.description,
            "notificationURL": self.notification_url,
            "returnURL": self.return_url,
            "returnContext": encode_context(self.return_context),
        }

    def is_given_away_by(self, url: str) -> bool:
        """Return whether a URL holds the signed part of the notification URL."""
        secret = self.notification_url.rstrip("/").rpartition("/")[2]
        return bool(secret) and secret in decode_fully(url)

    def for_audit(self) -> dict[str, Any]:
        """
        Return the fields without the two URLs: anyone who reads them could notify, or return as the customer.

        ``msisdn`` is the phone number with its country code, which the JSON service does not take.
        """
        fields = {name: value for name, value in self.as_json().items() if name not in {"notificationURL", "returnURL"}}
        return {**fields, "msisdn": self.customer_msisdn}


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """The gateway's answer. ``is_success`` is true only for a JSON ``true``; ``message`` is the gateway's own text."""

    is_success: bool
    is_refusal: bool
    url: str
    message: str

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> "PageAnswer":
        # One of its two services says `message`, the other `error` (SEEN).
        message = clean(without_signed_urls(as_text(answer.get("message")) or as_text(answer.get("error"))))
        is_success = answer.get("success") is True
        url = answer.get("url")
        return cls(
            is_success=is_success,
            is_refusal=not is_success and (answer.get("success") is False or bool(answer.get("error"))),
            url=url if isinstance(url, str) else "",
            message=message,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the answer in the gateway's spelling; a refusal has no URL."""
        answer = {"success": self.is_success, "message": self.message, "url": self.url}
        return answer if self.is_success else {name: value for name, value in answer.items() if name != "url"}


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """The SOAP service's answer. Its session has no URL; ``message`` is the gateway's own text."""

    code: str
    session_id: str
    message: str

    @property
    def is_refusal(self) -> bool:
        return self.code != SESSION_OPENED_CODE

    @classmethod
    def from_fields(cls, fields: Fields) -> "SessionAnswer":
        """Read the fields of an answer. Raises ``ValueError`` unless it opens one session or refuses it."""
        received: dict[str, list[str]] = {}
        for name, value in fields:
            received.setdefault(name, []).append(value.strip())
        codes, session_ids = set(received.get("Code", [])), set(received.get("Sessionid", []))
        answer = cls(
            code=codes.pop() if len(codes) == 1 else "",
            session_id=session_ids.pop() if len(session_ids) == 1 else "",
            message=clean(without_signed_urls(received.get("Description", [""])[0])),
        )
        if not answer.code:
            raise ValueError("no code, or several")
        if not answer.is_refusal and not answer.session_id:
            raise ValueError("a success without a session, or with several")
        return answer


@dataclass(frozen=True, slots=True)
class StatusAnswer:
    """
    The answer of the status look-up. Only a success proves anything: it has denied payments that were made (SEEN).

    ``amount`` is None if it is not a whole number.
    """

    is_success: bool
    merchant_id: str
    reference: str
    amount: int | None
    gateway_id: str
    channel: str
    transaction_date: datetime | None
    data: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> "StatusAnswer":
        text = {
            clean(without_signed_urls(name.lower())): clean(without_signed_urls(as_text(value).strip()))
            for name, value in answer.items()
        }
        return cls(
            is_success=answer.get("success") is True,
            merchant_id=text.get("marchant_id") or text.get("merchant_id", ""),  # its spelling (DOC)
            reference=text.get("reference", ""),
            amount=parse_amount(text.get("amount", "")),
            gateway_id=text.get("pay_id", ""),
            channel=text.get("channel", ""),
            transaction_date=parse_date(text.get("date", "")),
            data=text,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the answer in the gateway's spelling; a failure has no other fields."""
        if not self.is_success:
            return {"success": False, "error": NO_TRANSACTION}
        return {
            "marchant_id": self.merchant_id,
            "pay_id": self.gateway_id,
            "reference": self.reference,
            "amount": self.amount,
            "channel": self.channel,
            "date": format_date(self.transaction_date),
            "success": True,
        }


@dataclass(frozen=True, slots=True)
class Notification:
    """
    What the gateway says about a payment, parsed but not trusted.

    ``amount`` is in whole francs. ``currency_number`` and ``hashcode`` may be empty, ``response_code`` may not.
    ``transaction_date`` is the gateway's clock, read as Abidjan time, or None if it cannot be read. ``data`` holds all
    fields as received, ready to be stored as JSON; a field that was sent with several values has a list of them.
    """

    merchant_id: str
    reference: str
    amount: int
    response_code: str
    currency_number: str = ""
    gateway_id: str = ""
    channel: str = ""
    session_id: str = ""
    transaction_date: datetime | None = None
    return_context: str = field(default="", repr=False)
    hashcode: str = ""
    message: str = field(default="", repr=False)
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_success(self) -> bool:
        return self.response_code == SUCCESS_CODE

    @property
    def is_failure(self) -> bool:
        return self.response_code == FAILURE_CODE

    def as_fields(self) -> dict[str, Any]:
        """Return the fields in the gateway's spelling, in the order in which production sent them in 2026 (SEEN)."""
        is_number = self.response_code in {SUCCESS_CODE, FAILURE_CODE}
        unusual = {"hashcode": self.hashcode, "message": self.message}
        return {
            "merchantId": self.merchant_id,
            "sessionId": self.session_id,
            "payId": self.gateway_id,
            "channel": self.channel,
            "countryCurrencyCode": self.currency_number,
            "referenceNumber": self.reference,
            "amount": self.amount,
            "transactiondt": format_date(self.transaction_date),
            "returnContext": self.return_context,
            "responsecode": int(self.response_code) if is_number else self.response_code,
            **{name: value for name, value in unusual.items() if value},
        }

    def for_return(self) -> dict[str, Any]:
        """Return the fields that the payer's browser sends back (see "What is known of the gateway")."""
        return {name: value for name, value in self.as_fields().items() if name != "payId"}

    @classmethod
    def from_fields(cls, fields: Fields) -> "Notification":
        """
        Return the notification with these fields: names and values, in the order received.

        Names match whatever their case. A decisive field must have one value, in readable text; any other may have
        several. Raises ``InvalidNotification`` (``malformed``).
        """
        received: dict[str, list[str]] = {}
        data: dict[str, Any] = {}
        # Fields that are both in the query and in the body are read once.
        for name, value in dict.fromkeys(map(_without_signed_urls, fields[:MAX_FIELDS])):
            values = received.setdefault(name.strip().lower(), [])
            if value.strip() not in values:
                values.append(value.strip())
                previous = data.get(key := clean(name.strip()))
                data[key] = clean(value) if previous is None else [*_as_list(previous), clean(value)]
        reader = _Reader(received, data)
        if len(fields) > MAX_FIELDS:
            raise reader.malformed(TOO_MANY_FIELDS)
        return cls(
            merchant_id=reader.required("merchantId"),
            reference=reader.required("referenceNumber"),
            amount=reader.amount("amount"),
            response_code=reader.required("responsecode"),
            currency_number=reader.compared("countryCurrencyCode"),
            gateway_id=reader.deciding("payId"),
            channel=reader.optional("channel"),
            session_id=reader.optional("sessionId"),
            transaction_date=parse_date(reader.optional("transactiondt")),
            return_context=reader.optional("returnContext"),
            hashcode=reader.deciding("hashcode"),
            message=reader.optional("message"),
            data=data,
        )


def read_notification(request: HttpRequest) -> Notification:
    """
    Read a notification from the query string and the body of a request. Raises ``InvalidNotification``.

    The body may be a form (urlencoded or multipart) or JSON, whatever its content type says; one that cannot be parsed
    adds no field.
    """
    in_query, in_body = read_fields(request)
    return Notification.from_fields([*in_query, *in_body])


def stored_fields(data: Mapping[str, Any]) -> Fields:
    """Return the fields that an event has stored, as they were received; a list is a field with several values."""
    return [(name, str(value)) for name, values in data.items() for value in _as_list(values)]


def without_personal_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the stored fields that are known to hold no personal data."""
    return {
        name: value
        for name, value in data.items()
        if name.strip().lower() in _IMPERSONAL and all(_CODE.fullmatch(str(text)) for text in _as_list(value))
    }


class _Reader:
    """Fields under their names in lower case; each method raises ``InvalidNotification`` with all that was received."""

    def __init__(self, received: Mapping[str, list[str]], data: Mapping[str, Any]) -> None:
        self.received = received
        self.data = data

    def required(self, name: str) -> str:
        value = self.compared(name)
        if not value or "" in self.received[name.lower()]:
            raise self.malformed(f"no {name}")
        return value

    def amount(self, name: str) -> int:
        amounts = set()
        for text in self.received.get(name.lower(), [""]):
            if (amount := parse_amount(text)) is None:
                raise self.malformed(f"{name} is no whole number" if text else f"no {name}")
            amounts.add(amount)
        if len(amounts) > 1:
            raise self.malformed(f"two values of {name}")
        return amounts.pop()

    def compared(self, name: str) -> str:
        """Return the only value of a field that is compared exactly: each of its characters must be readable."""
        value = self.deciding(name)
        if UNDECODABLE in value:
            raise self.malformed(f"{name} cannot be read")
        return value

    def deciding(self, name: str) -> str:
        """
        Return the only value of a decisive field, or an empty text if the field is absent.

        An empty value counts as absent: it does not contradict another.
        """
        values = [value for value in self.received.get(name.lower(), []) if value] or [""]
        if any(UNDECODABLE in value for value in values):
            raise self.malformed(f"{name} cannot be read")
        if len(values) > 1:
            raise self.malformed(f"two values of {name}")
        return clean(values[0])

    def optional(self, name: str) -> str:
        """Return the first readable value of a field that is not decisive."""
        values = self.received.get(name.lower(), [""])
        return clean(next((value for value in values if UNDECODABLE not in value), values[0]))

    def malformed(self, detail: str) -> InvalidNotification:
        return InvalidNotification(Reason.MALFORMED, detail, self.data)


def parse_amount(text: str) -> int | None:
    """Read whole francs: ASCII digits, with only zeros after a point. Return None for anything else."""
    match = re.fullmatch(r"([0-9]{1,18})(?:\.0{1,18})?", text)
    return int(match[1]) if match else None


def parse_date(text: str) -> datetime | None:
    """Read ``2026-09-25 15:44:25`` as Abidjan time, which is UTC all year. Return None if it cannot be read."""
    try:
        moment = datetime.strptime(text, DATE_FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return moment if 2000 <= moment.year < 2100 else None


def format_date(moment: datetime | None) -> str:
    """Write a moment in the same format; return an empty text for None."""
    return moment.astimezone(timezone.utc).strftime(DATE_FORMAT) if moment else ""


def encode_context(context: Mapping[str, Any]) -> str:
    """Return the shop's context in the form in which it is sent and sent back."""
    return json.dumps(dict(context), ensure_ascii=False, separators=(",", ":"))


def _without_signed_urls(named: tuple[str, str]) -> tuple[str, str]:
    name, value = named
    return without_signed_urls(name), without_signed_urls(value)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
