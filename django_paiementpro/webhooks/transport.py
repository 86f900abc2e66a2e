"""
One POST to an endpoint, in a bounded time.

The connection goes to an address that has been checked, with the name of the URL for TLS and ``Host``. Redirects are
not followed, proxies of the environment are ignored, and only the beginning of the answer is read. A deadline holds for
the whole exchange, however slowly the other side sends.
"""

import http.client
import io
import os
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from django_paiementpro.gateway.text import clean
from django_paiementpro.webhooks.addresses import Place, RefusedURLError, Target, UnresolvedError, parse, resolve
from django_paiementpro.webhooks.enums import Failure

#: How many seconds each address has for the connection, and the whole exchange with TLS, once the name is resolved.
CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0

#: How much of an answer is kept, in bytes.
MAX_ANSWER = 2048

#: How many addresses of a name are tried.
MAX_ADDRESSES = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answered, or why it did not."""

    #: The HTTP status; None without an answer.
    status: int | None = None
    #: The beginning of the body.
    text: str = ""
    failure: Failure | None = None
    seconds: float = 0.0

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send a body, and return the answer. Never raises because of the other side."""
    started_at = time.monotonic()
    status, text, failure = None, "", None
    try:
        target = parse(url)
        places = resolve(target)
        deadline = time.monotonic() + TOTAL_SECONDS
        with _connect(target, places[:MAX_ADDRESSES], deadline) as sock:
            status, text = _exchange(sock, target, body, headers, deadline)
    except UnresolvedError:
        failure = Failure.NAME
    except RefusedURLError:
        failure = Failure.URL
    except (OSError, http.client.HTTPException, ValueError) as error:
        failure = _failure(error)
    return Answer(status, text, failure, time.monotonic() - started_at)


def _connect(target: Target, places: Sequence[Place], deadline: float) -> socket.socket:
    """Connect to the first address that accepts."""
    *others, last = places
    for place in others:
        with suppress(OSError):
            return _secured(_open(place, deadline), target, deadline)
    return _secured(_open(last, deadline), target, deadline)


def _open(place: Place, deadline: float) -> socket.socket:
    sock = socket.socket(place.family, socket.SOCK_STREAM)
    try:
        sock.settimeout(min(CONNECT_SECONDS, _left(deadline)))
        sock.connect(place.address)
    except BaseException:
        sock.close()
        raise
    return sock


def _secured(sock: socket.socket, target: Target, deadline: float) -> socket.socket:
    if not target.is_secure:
        return sock
    try:
        # The handshake as a whole has that time.
        sock.settimeout(_left(deadline))
        return _tls_context(_certificates()).wrap_socket(sock, server_hostname=target.host)
    except BaseException:
        sock.close()
        raise


def _exchange(
    sock: socket.socket, target: Target, body: bytes, headers: Mapping[str, str], deadline: float
) -> tuple[int, str]:
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.default_port = 443 if target.is_secure else 80  # left out of the Host header
    connection.sock = _Bounded(sock, deadline)
    fixed = {"Accept-Encoding": "identity", "Connection": "close"}
    connection.request("POST", target.path, body, {**headers, **fixed})
    with connection.getresponse() as response:
        return response.status, _beginning_of(response)


def _beginning_of(response: http.client.HTTPResponse) -> str:
    """Return the beginning of the body, as far as it arrives in time: the status has already decided."""
    content = bytearray()
    with suppress(OSError, http.client.HTTPException, ValueError):
        while len(content) < MAX_ANSWER and (chunk := response.read1(MAX_ANSWER - len(content))):
            content += chunk
    return clean(content.decode("utf-8", "replace"))


class _Bounded:
    """A socket as ``http.client`` uses it, each of whose steps ends at the deadline."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: Any) -> None:
        self._sock.settimeout(_left(self._deadline))
        self._sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Stream(self._sock, self._deadline))

    def close(self) -> None:
        """Leave that to the caller."""


class _Stream(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)


def _left(deadline: float) -> float:
    """Return how many seconds are left. Raises ``TimeoutError``."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _certificates() -> str:
    """Return the bundle of certificate authorities that ``requests`` uses too."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH


@lru_cache(maxsize=4)
def _tls_context(bundle: str) -> ssl.SSLContext:
    """Return a context that verifies certificate and name. Loading a bundle takes tens of milliseconds."""
    is_folder = Path(bundle).is_dir()
    return ssl.create_default_context(cafile=None if is_folder else bundle, capath=bundle if is_folder else None)


def _failure(error: Exception) -> Failure:
    if isinstance(error, TimeoutError):
        return Failure.TIMEOUT
    if isinstance(error, ssl.SSLError):
        return Failure.TLS
    if isinstance(error, OSError) and not isinstance(error, http.client.RemoteDisconnected):
        return Failure.CONNECTION
    return Failure.PROTOCOL
