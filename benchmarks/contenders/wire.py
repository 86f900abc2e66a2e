"""Requests: the gateway's notification as seen in production, and others of the same size."""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django_paiementpro.gateway.messages import USER_AGENT

MERCHANT = "PP-F324"
AMOUNT = 12500
HOST = "127.0.0.1"
BOUNDARY = "------------------------a1b2c3"


@dataclass(frozen=True)
class Request:
    """A request, by default a POST."""

    path: str
    body: bytes
    content_type: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"

    def to(self, path: str) -> "Request":
        """Return the same request to another path."""
        return replace(self, path=path)

    def reordered(self) -> "Request":
        """Return the same request with the fields of its body in another order than those of its query."""
        return replace(self, body=multipart(reversed(parse_qsl(self.query, keep_blank_values=True))))

    def with_header(self, name: str, value: str) -> "Request":
        return replace(self, headers={**self.headers, name: value})

    def environ(self) -> dict[str, Any]:
        """Return it as a WSGI environment, for one use, since its body is read."""
        return {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path,
            "QUERY_STRING": self.query,
            "SERVER_NAME": HOST,
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": HOST,
            "CONTENT_TYPE": self.content_type,
            "CONTENT_LENGTH": str(len(self.body)),
            "HTTP_HOST": HOST,
            "HTTP_USER_AGENT": USER_AGENT,
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()},
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(self.body),
            "wsgi.errors": BytesIO(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }


def notification(path: str, reference: str, **others: Any) -> Request:
    """Return a notification of success, as the gateway sends it: the fields in the query, and again in the body."""
    fields = {
        "merchantId": MERCHANT,
        "sessionId": secrets.token_hex(16),
        "payId": str(secrets.randbelow(10**13)),
        "channel": "OMCIV2",
        "countryCurrencyCode": "952",
        "referenceNumber": reference,
        "amount": str(AMOUNT),
        "transactiondt": "2026-09-25 15:44:25",
        "returnContext": "",
        "responsecode": "0",
        **others,
    }
    return Request(path, multipart(fields.items()), f"multipart/form-data; boundary={BOUNDARY}", urlencode(fields))


def multipart(fields: Iterable[tuple[str, str]]) -> bytes:
    parts = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    )
    return ("".join(parts) + f"--{BOUNDARY}--\r\n").encode()


def json_of_size(content: dict[str, Any], size: int) -> bytes:
    """Return JSON, padded to that many bytes."""
    short = json.dumps({**content, "padding": ""})
    return json.dumps({**content, "padding": "x" * max(0, size - len(short))}).encode()
