"""What may stand before a site: proxies that pass a request on, altered or not, and those that answer in its place."""

import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit

from tests.server.threads import DEADLINE


class Visitor(BaseHTTPRequestHandler):
    """A request on its way to the site."""

    server: "Front"

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.visitors.append(self)
        with suppress(OSError):
            self.server.play(self)

    def answers(self, body: bytes = b"", status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/html", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def passes_on(self, path: str | None = None, body: bytes | None = None, **headers: str) -> None:
        """Fetch the site's answer; headers are replaced, or taken off where they are empty."""
        body = self.body if body is None else body
        sent = {**self.headers, "Content-Length": str(len(body)), "X-Forwarded-For": "203.0.113.7", **headers}
        connection = HTTPConnection(urlsplit(self.server.site).netloc, timeout=DEADLINE)
        connection.request("POST", path or self.path, body, {name: value for name, value in sent.items() if value})
        response = connection.getresponse()
        location = response.getheader("Location")
        self.answers(
            response.read(),
            response.status,
            **{"Content-Type": response.getheader("Content-Type", "")},
            **({"Location": location} if location else {}),
        )
        connection.close()

    def log_message(self, *args: Any) -> None:
        pass


class Front(ThreadingMixIn, HTTPServer):
    """``play`` says what it does with a request; ``site`` is the base URL of what stands behind it."""

    def __init__(
        self, play: Callable[[Visitor], object], site: str = "", context: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), Visitor)
        self.play = play
        self.site = site
        self.visitors: list[Visitor] = []
        self.closing = threading.Event()
        self.scheme = "http"
        if context:
            self.scheme = "https"
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    @property
    def netloc(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, *args: Any) -> None:
        """Expect visitors who hang up."""

    def shutdown(self) -> None:
        self.closing.set()
        super().shutdown()


def hangs(visitor: Visitor) -> None:
    """Give no answer until the server is closed."""
    visitor.server.closing.wait(DEADLINE)


def hangs_up(visitor: Visitor) -> None:
    """Close the connection without a response."""


def drips(visitor: Visitor) -> None:
    """Answer byte by byte, each of them in time."""
    visitor.send_response(200)
    visitor.end_headers()
    while not visitor.server.closing.wait(0.1):
        visitor.wfile.write(b" ")


def floods(visitor: Visitor) -> None:
    """Answer without an end."""
    visitor.send_response(200)
    visitor.end_headers()
    while True:
        visitor.wfile.write(b" " * 4096)


def redirects_to(url: str) -> Callable[[Visitor], None]:
    """Redirect to a URL, in which ``{path}`` is the path that was asked for."""

    def play(visitor: Visitor) -> None:
        visitor.answers(status=301, Location=url.format(path=visitor.path))

    return play


def strips_body(visitor: Visitor) -> None:
    visitor.passes_on(body=b"", **{"Content-Type": ""})


def strips_query(visitor: Visitor) -> None:
    visitor.passes_on(path=urlsplit(visitor.path).path)


def strips_both(visitor: Visitor) -> None:
    visitor.passes_on(path=urlsplit(visitor.path).path, body=b"", **{"Content-Type": ""})


def strips_context(visitor: Visitor) -> None:
    visitor.passes_on(body=visitor.body.replace(b"returnContext", b"x"))


def cleans(visitor: Visitor) -> None:
    """Take from the body what looks like an attack."""
    visitor.passes_on(body=visitor.body.replace(b"0 %", b"0"))
