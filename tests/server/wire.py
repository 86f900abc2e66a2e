"""What payers and the gateway send to the site, byte for byte."""

import socket
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django_paiementpro.gateway.messages import USER_AGENT
from django_paiementpro.testing.notifications import prepare_notification
from tests.server.threads import DEADLINE


class Answer(NamedTuple):
    status: int
    location: str | None
    body: bytes


def send(url: str, request: bytes) -> Answer:
    """Send bytes to the server of a URL, and read its answer."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=DEADLINE) as connection:
        connection.sendall(request)
        with closing(HTTPResponse(connection)) as response:
            response.begin()
            return Answer(response.status, response.getheader("Location"), response.read())


def get(url: str) -> Answer:
    """Ask for a page as a payer's browser does."""
    parts = urlsplit(url)
    return send(url, _request(f"GET {parts.path}", f"Host: {parts.netloc}", "Accept: text/html", "Accept-Language: en"))


def post(url: str, body: bytes, content_type: str = "", query: str = "") -> Answer:
    """Notify as the gateway does, in a form that the test chooses."""
    parts = urlsplit(url)
    head = [f"Host: {parts.netloc}", f"User-Agent: {USER_AGENT}", f"Content-Length: {len(body)}"]
    if content_type:
        head.append(f"Content-Type: {content_type}")
    return send(url, _request(f"POST {parts.path}{query and '?'}{query}", *head) + body)


def post_chunks(url: str, content: bytes, content_type: str = "") -> Answer:
    """Notify in chunks, without a length; ``content`` is as it crosses the wire."""
    parts = urlsplit(url)
    head = [f"Host: {parts.netloc}", "Transfer-Encoding: chunked", f"Content-Type: {content_type}"]
    return send(url, _request(f"POST {parts.path}", *head) + content)


def chunked(body: bytes, size: int = 7) -> bytes:
    """Return the body in chunks, each of this many bytes at most."""
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])


def notify(url: str, fields: Mapping[str, Any]) -> Answer:
    """Notify as production does: the fields in the query, and again in a multipart body."""
    request = prepare_notification(url, fields)
    return post(url, request.body, request.headers["Content-Type"], urlsplit(request.url).query)


def _request(line: str, *head: str) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", *head, "", ""]).encode()
