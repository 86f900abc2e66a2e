"""
What crosses the wire, as frozen dataclasses: the only home of the gateway's field names and codes.

For the facts behind it see "What is known of the gateway" in the documentation.
"""

import codecs
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from html import unescape
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, unquote

from django.core.exceptions import SuspiciousOperation
from django.core.handlers.wsgi import LimitedStream
from django.http import UnreadablePostError
from django.http.multipartparser import MultiPartParser, MultiPartParserError

from django_paiementpro.enums import Reason
from django_paiementpro.exceptions import InvalidNotification

SUCCESS_CODE = "0"
FAILURE_CODE = "-1"

#: What the status look-up says of a reference that it knows nothing of (SEEN).
NO_TRANSACTION = "Aucune transaction"

#: As who a notification comes, as seen in 2026: old enough for some firewalls to refuse it.
USER_AGENT = "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"

DATE_FORMAT = "%Y-%m-%d %H:%M:%S"

MAX_BODY = 64 * 1024
MAX_FIELDS = 500
TOO_MANY_FIELDS = f"more than {MAX_FIELDS} fields"

# What a decoder leaves where bytes were no text.
UNDECODABLE = "\N{REPLACEMENT CHARACTER}"

# PostgreSQL stores neither of them, in text as in JSON.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

# How the signed part of a payment's or a probe's URL ends: what was signed, and 256 bits in base64, which may have been
# cut short.
_SIGNED = re.compile(r"(?:-[0-9a-f]{8}|(?<=[0-9a-f]{24})\.\w{5,8})\.[\w-]{24,43}", re.ASCII | re.IGNORECASE)
_SHORTEST_SIGNED = len("-12345678.") + 24
_CUT = "[URL]"

# Soft hyphens and other invisible characters inside a word; a backslash escapes what follows.
_UNSEEN = re.compile("[\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\\\\]")

# The gateway joins its own query to a URL with a `?`, even where one stands already (SEEN); a `?` of a value would
# have come encoded.
_STRAY_QUESTION_MARK = re.compile(r"\?(?=\w+=)", re.ASCII)

# A multipart header, and a field's name, as the gateway's are.
_MULTIPART = re.compile(r"multipart/form-data; boundary=([\w-]{1,70})", re.ASCII)
_NAME = re.compile(r"\w{1,64}", re.ASCII)

Fields = list[tuple[str, str]]

# What tells of a payment and of nobody, in the requests, notifications and status answers, in lower case. Not the
# payer's session at the gateway, nor what the shop has sent along.
_IMPERSONAL = frozenset(
    {
        *("merchantid", "marchant_id", "merchant_id", "referencenumber", "reference"),
        *("amount", "countrycurrencycode", "channel", "payid", "pay_id", "transactiondt", "date"),
        *("responsecode", "success", "hashcode"),
    }
)

# Codes, figures and the gateway's dates: under those names, too, somebody may send something else.
_CODE = re.compile(r"[A-Za-z0-9_.-]{0,128}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """
    What is sent to the gateway to open a payment page: the thirteen fields of its documentation.

    Error reports show the ``repr()``, which has neither the customer nor the signed URLs.
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
        """Read what ``as_json`` has made."""
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

    def is_given_away_by(self, url: str) -> bool:
        """Return whether a URL holds the signed part of the notification URL."""
        secret = self.notification_url.rstrip("/").rpartition("/")[2]
        return bool(secret) and secret in decode_fully(url)

    def for_audit(self) -> dict[str, Any]:
        """Return the fields without the two URLs: whoever reads them could notify, or return, in the payer's place."""
        return {name: value for name, value in self.as_json().items() if name not in {"notificationURL", "returnURL"}}


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """What the gateway answers. ``is_success`` is the JSON ``true`` alone; ``message`` is its own text."""

    is_success: bool
    is_refusal: bool
    url: str
    message: str

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> "PageAnswer":
        # One of its two services says `message`, the other `error` (SEEN).
        message = clean(without_signed_urls(_as_text(answer.get("message")) or _as_text(answer.get("error"))))
        is_success = answer.get("success") is True
        url = answer.get("url")
        return cls(
            is_success=is_success,
            is_refusal=not is_success and (answer.get("success") is False or bool(answer.get("error"))),
            url=url if isinstance(url, str) else "",
            message=message,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the answer in the gateway's spelling; a refusal has no page."""
        answer = {"success": self.is_success, "message": self.message, "url": self.url}
        return answer if self.is_success else {name: value for name, value in answer.items() if name != "url"}


@dataclass(frozen=True, slots=True)
class StatusAnswer:
    """
    What the status look-up answers. Only a success proves anything: it has denied payments that were made (SEEN).

    ``amount`` is None where it is no whole number.
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
            clean(without_signed_urls(name.lower())): clean(without_signed_urls(_as_text(value).strip()))
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
        """Return the answer in the gateway's spelling; one that is no success says no more than that."""
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
    What the gateway says of a payment, read but not believed.

    ``amount`` is in whole francs, ``currency_number`` and ``hashcode`` may be empty, ``response_code`` never is;
    ``transaction_date`` is the gateway's clock read as Abidjan's, None where it cannot be read. ``data`` holds all
    fields as received, fit to be stored as JSON; a field that came with several values has a list of them.
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
        """Return those of them that the payer's browser brings back (see "What is known of the gateway")."""
        return {name: value for name, value in self.as_fields().items() if name != "payId"}

    @classmethod
    def from_request(cls, query: str, content_type: str, body: bytes) -> "Notification":
        """
        Read the fields of a query string and of a body in any form that the gateway has been seen to use.

        The body may be a form (urlencoded or multipart) or JSON, whatever its content type says; one that cannot be
        read adds no field. Names match whatever their case. A decisive field must have one value, in readable text; any
        other may have several. Raises ``InvalidNotification`` (``malformed``).
        """
        in_query = query_fields(query)
        return cls.from_fields([*in_query, *body_fields(content_type, body, in_query)])

    @classmethod
    def from_fields(cls, fields: Fields) -> "Notification":
        """Do the same with fields that have been read already: names and values, in the order received."""
        received: dict[str, list[str]] = {}
        data: dict[str, Any] = {}
        # What stands in the query and again in the body is read once.
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


def stored_fields(data: Mapping[str, Any]) -> Fields:
    """Return the fields that an event has stored, as they were received; a list is a field with several values."""
    return [(name, str(value)) for name, values in data.items() for value in _as_list(values)]


def without_personal_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return of the fields that an event has stored those that tell of nobody; an unknown one may tell of somebody."""
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
        if not value:
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
        """Return the one value of a field that is compared exactly: each of its characters must be readable."""
        value = self.deciding(name)
        if UNDECODABLE in value:
            raise self.malformed(f"{name} cannot be read")
        return value

    def deciding(self, name: str) -> str:
        """Return the one value of a decisive field, or an empty text if the field is absent."""
        values = self.received.get(name.lower(), [""])
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


def query_fields(query: str) -> Fields:
    """Read a query string, as WSGI has it (each character a byte) or as ASGI has it (read as UTF-8 already)."""
    with suppress(UnicodeEncodeError):
        query = query.encode("latin-1").decode("utf-8", "replace")
    return _form_fields(_STRAY_QUESTION_MARK.sub("&", query, count=1))


def read_body(request: Any) -> bytes | None:
    """
    Return the body, or None if it has more than ``MAX_BODY`` bytes, of which no more are read.

    A chunked body has no length, and Django finds it empty under WSGI: it is read from the server's own stream, if the
    server says that this stream ends. Raises what ``request.body`` raises, and ``ValueError`` if the length is not a
    number.
    """
    length = request.META.get("CONTENT_LENGTH")
    if length and int(length) > MAX_BODY:
        return None
    stream = request.META.get("wsgi.input")
    if stream is None and not request._read_started:
        # Under ASGI the stream ends, wherever the length says that it does.
        request._stream = LimitedStream(request._stream, MAX_BODY + 1)
    content = b""
    if stream is not None and not length and request.META.get("wsgi.input_terminated"):
        content = _read_chunks(stream)
    # The host's middleware may have read the stream.
    content = content or request.body
    return content if len(content) <= MAX_BODY else None


def _read_chunks(stream: Any) -> bytes:
    content = bytearray()
    try:
        while chunk := stream.read(MAX_BODY + 1 - len(content)):
            content += chunk
    except Exception as error:  # each server has errors of its own for a chunk that cannot be read
        raise UnreadablePostError(*error.args) from error
    return bytes(content)


def body_fields(content_type: str, body: bytes, in_query: Fields) -> Fields:
    """
    Return the fields of a body, by what it looks like rather than by what its header says.

    One that has the query's fields once more, in their order and as curl writes them, is known by its bytes and not
    parsed. In which order production sends them is not known; in another order they are parsed.
    """
    if not body:
        return []
    if body.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{"):
        return _json_fields(body)
    if content_type.lower().startswith("multipart/"):
        return in_query if _repeats(in_query, content_type, body) else _multipart_fields(content_type, body)
    return _form_fields(_decoded(body))


def parse_amount(text: str) -> int | None:
    """Read whole francs: ASCII digits, with nothing but noughts behind a point. None for anything else."""
    match = re.fullmatch(r"([0-9]{1,18})(?:\.0{1,18})?", text)
    return int(match[1]) if match else None


def parse_date(text: str) -> datetime | None:
    """Read ``2026-09-25 15:44:25`` as Abidjan's clock, which is UTC all the year. None for what cannot be read."""
    try:
        moment = datetime.strptime(text, DATE_FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return moment if 2000 <= moment.year < 2100 else None


def format_date(moment: datetime | None) -> str:
    """Write it likewise; nothing where there is none."""
    return moment.astimezone(timezone.utc).strftime(DATE_FORMAT) if moment else ""


def encode_context(context: Mapping[str, Any]) -> str:
    """Return the shop's context as it is sent, and comes back."""
    return json.dumps(dict(context), ensure_ascii=False, separators=(",", ":"))


class JSONObject(dict[str, Any]):
    """A JSON object that remembers its names and values in order, names that stand twice included."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def parse_json_object(content: bytes) -> JSONObject:
    """
    Read a JSON object by its bytes, its numbers as text.

    Raises ``ValueError`` for anything else, however deep or long.
    """
    try:
        answer = json.loads(
            content.decode("utf-8-sig", "replace"),
            object_pairs_hook=JSONObject,
            parse_int=str,
            parse_float=str,
            parse_constant=str,
        )
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error
    if not isinstance(answer, JSONObject):
        raise ValueError("no JSON object")
    return answer


def clean(text: str) -> str:
    """Return the text without what some databases cannot store: NUL and lone surrogates."""
    return _UNSTORABLE.sub(UNDECODABLE, text)


def without_signed_urls(text: str) -> str:
    """
    Return text from outside without the signatures of this site's URLs.

    The gateway knows the notification URL and may quote it, in any encoding; anyone who reads it could notify.
    """
    if len(text) < _SHORTEST_SIGNED:
        return text
    text = _SIGNED.sub(_CUT, text)
    decoded = decode_fully(text)
    return _SIGNED.sub(_CUT, decoded) if decoded != text and _SIGNED.search(decoded) else text


def decode_fully(text: str) -> str:
    """Return text without percent-encoding, HTML entities, backslashes and invisible characters, as it may be read."""
    for _layer in range(3):
        text = _UNSEEN.sub("", unescape(unquote(text)))
    return text


def _without_signed_urls(named: tuple[str, str]) -> tuple[str, str]:
    name, value = named
    return without_signed_urls(name), without_signed_urls(value)


def escape(value: Any, encoding: str) -> Any:
    """Return a text, or JSON of texts, with backslash escapes for the characters that an encoding lacks."""
    if isinstance(value, Mapping):
        return {escape(name, encoding): escape(each, encoding) for name, each in value.items()}
    if isinstance(value, list):
        return [escape(each, encoding) for each in value]
    if isinstance(value, str):
        return clean(value).encode(encoding, "backslashreplace").decode(encoding)
    return value


def _form_fields(text: str) -> Fields:
    return parse_qsl(text, keep_blank_values=True)


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _repeats(fields: Fields, content_type: str, body: bytes) -> bool:
    """Return whether a multipart body is these very fields, as curl writes them. If not, it may be so all the same."""
    if not (header := _MULTIPART.fullmatch(content_type)):
        return False
    boundary = f"--{header[1]}"
    parts = [
        f'{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    ]
    return (
        body == f"{''.join(parts)}{boundary}--\r\n".encode("utf-8", "replace")
        # What a parser would read otherwise: a name that ends before its end, and a boundary in a value.
        and all(_NAME.fullmatch(name) for name, _value in fields)
        and body.count(boundary.encode()) == len(fields) + 1
    )


def _multipart_fields(content_type: str, body: bytes) -> Fields:
    meta = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": len(body)}
    try:
        form, _files = MultiPartParser(meta, BytesIO(body), [], "utf-8").parse()
    except (MultiPartParserError, SuspiciousOperation, LookupError, ValueError):
        return [("body", _decoded(body))]
    return [(name, value) for name, values in form.lists() for value in values]


def _json_fields(body: bytes) -> Fields:
    """Read the names and values of an object, names that stand twice included."""
    try:
        return [(name, _as_text(value)) for name, value in parse_json_object(body).pairs]
    except ValueError:
        return [("body", _decoded(body))]


def _as_text(value: object) -> str:
    """Return a JSON value as text: ``false`` is no 0, and what is nested is shown but decides nothing."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return UNDECODABLE


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
