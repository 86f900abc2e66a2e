"""Read the fields of a notification from a request, in any form that the gateway has been seen to use."""

import codecs
import json
import re
from contextlib import suppress
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.handlers.wsgi import LimitedStream
from django.http import HttpRequest, UnreadablePostError
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.http.request import RawPostDataException

from django_paiementpro.enums import Reason
from django_paiementpro.exceptions import InvalidNotification
from django_paiementpro.gateway.text import UNDECODABLE, clean, without_signed_urls

MAX_BODY = 64 * 1024

# The gateway appends its own query to a URL with a `?`, even if the URL has one already (SEEN); a `?` in a value would
# be encoded.
_STRAY_QUESTION_MARK = re.compile(r"\?(?=\w+=)", re.ASCII)

# A multipart header, and a field name, in the form the gateway uses.
_MULTIPART = re.compile(r"multipart/form-data; boundary=([\w-]{1,70})", re.ASCII)
_NAME = re.compile(r"\w{1,64}", re.ASCII)

Fields = list[tuple[str, str]]


def query_fields(query: str) -> Fields:
    """Parse a query string, from WSGI (each character is a byte) or from ASGI (already decoded as UTF-8)."""
    with suppress(UnicodeEncodeError):
        query = query.encode("latin-1").decode("utf-8", "replace")
    return _form_fields(_STRAY_QUESTION_MARK.sub("&", query, count=1))


def read_body(request: Any) -> bytes | None:
    """
    Return the body, or None if it is longer than ``MAX_BODY`` bytes; no more than that is read.

    A chunked body has no length, and Django treats it as empty under WSGI: it is read from the server's own stream, if
    the server guarantees that this stream ends. Raises what ``request.body`` raises, and ``ValueError`` if the length
    is not a number.
    """
    length = request.META.get("CONTENT_LENGTH")
    if length and int(length) > MAX_BODY:
        return None
    stream = request.META.get("wsgi.input")
    if stream is None and not request._read_started:
        # Under ASGI the stream ends even if the length says otherwise.
        request._stream = LimitedStream(request._stream, MAX_BODY + 1)
    content = b""
    if stream is not None and not length and request.META.get("wsgi.input_terminated"):
        content = _read_chunks(stream)
    # The host's middleware may have read the stream already.
    content = content or request.body
    return content if len(content) <= MAX_BODY else None


def _read_chunks(stream: Any) -> bytes:
    content = bytearray()
    try:
        while chunk := stream.read(MAX_BODY + 1 - len(content)):
            content += chunk
    except Exception as error:  # each server has its own errors for an unreadable chunk
        raise UnreadablePostError(*error.args) from error
    return bytes(content)


def read_fields(request: HttpRequest) -> tuple[Fields, Fields]:
    """Return the fields of the query and of the body, whose size is limited. Raises ``InvalidNotification``."""
    query = request.META.get("QUERY_STRING", "")
    content_type = request.META.get("CONTENT_TYPE", "")
    try:
        body = read_body(request)
        if body is None:
            raise _malformed(query, f"a body of more than {MAX_BODY} bytes")
        in_query = query_fields(query)
        return in_query, body_fields(content_type, body, in_query)
    except (RequestDataTooBig, UnreadablePostError, ValueError) as error:
        raise _malformed(query, "a body that cannot be read") from error
    except RawPostDataException:
        # The host's middleware has parsed the body already.
        form = [(name, value) for name, values in request.POST.lists() for value in values]
        return query_fields(query), form


def _malformed(query: str, detail: str) -> InvalidNotification:
    return InvalidNotification(Reason.MALFORMED, detail, {"query": clean(without_signed_urls(query))})


def body_fields(content_type: str, body: bytes, in_query: Fields) -> Fields:
    """
    Return the fields of a body: JSON is recognized by its content, multipart by its header, the rest is a form.

    A body that repeats the query's fields, in the same order and as curl writes them, is recognized by its bytes and
    not parsed. The order that production uses is unknown; fields in any other order are parsed.
    """
    if not body:
        return []
    if body.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{"):
        return _json_fields(body)
    if content_type.lower().startswith("multipart/"):
        return in_query if _repeats(in_query, content_type, body) else _multipart_fields(content_type, body)
    return _form_fields(_decoded(body))


class JSONObject(dict[str, Any]):
    """A JSON object that keeps its pairs of names and values in order, duplicate names included."""

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
    """Return the pairs of names and values of a JSON object, duplicate names included."""
    try:
        return [(name, as_text(value)) for name, value in parse_json_object(body).pairs]
    except ValueError:
        return [("body", _decoded(body))]


def as_text(value: object) -> str:
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
