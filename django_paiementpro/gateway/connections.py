"""HTTP to the gateway: certificates are verified, redirects ignored, and no more is read than an answer needs."""

import math
import os
import threading
import time
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy

import requests
import urllib3

from django_paiementpro import __version__
from django_paiementpro.conf import conf
from django_paiementpro.exceptions import GatewayUnavailableError

# Statuses that mean that the gateway itself is unavailable: too many requests, or a proxy without a server behind it.
AWAY = frozenset({429, 502, 503, 504})

HEADERS = {"User-Agent": f"django-paiementpro/{__version__}"}

MAX_ANSWER = 64 * 1024
CHUNK = 4096

# Routers and firewalls drop idle connections silently; a new connection costs less than the time-out that follows.
MAX_IDLE_SECONDS = 30.0


class Session(requests.Session):
    """
    A pool of connections that shares nothing else between calls.

    Proxies and certificate bundles of the environment are honoured, as usual in ``requests``. Cookies, which belong to
    one customer's session, and passwords of a ``.netrc`` file are ignored.
    """

    def __init__(self, **headers: str) -> None:
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.auth = _anonymous
        self.headers.update({"Accept-Encoding": "identity", **headers})

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Ignore redirects: even if they are not followed, ``requests`` would read the target of the next one."""


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class _Connections(threading.local):
    """One session for each process and thread: a new HTTPS connection costs 28 ms of CPU, a kept one 1 ms."""

    session: Session | None = None
    process = 0
    used_at = 0.0

    def get(self) -> Session:
        is_usable = self.process == os.getpid() and time.monotonic() - self.used_at < MAX_IDLE_SECONDS
        if self.session is None or not is_usable:
            self.session = Session(**HEADERS)
            self.process = os.getpid()
        self.used_at = time.monotonic()
        return self.session


_connections = _Connections()


def call(
    method: str,
    url: str,
    headers: Mapping[str, str],
    content: bytes | None = None,
    *,
    patience: float = math.inf,
) -> tuple[int, bytes]:
    """
    Return the HTTP status and the body, of which little more than ``MAX_ANSWER`` bytes are read.

    The call ends within the time-outs, neither of which is longer than ``patience``, in seconds, unless the response
    headers arrive very slowly. Raises ``GatewayUnavailableError``.
    """
    connect, read = (min(seconds, patience) for seconds in conf.timeout)
    deadline = time.monotonic() + connect + read
    try:
        with _connections.get().request(
            method,
            url,
            headers=headers,
            data=content,
            timeout=(connect, read),
            allow_redirects=False,
            stream=True,
            verify=True,
        ) as response:
            # No encoding was asked for, and decoding an answer could take any amount of memory.
            if _is_encoded(response):
                raise unusable("the gateway's answer is encoded, which was not asked for", response.status_code)
            body = read_bounded(response, deadline)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise GatewayUnavailableError(f"no answer from the gateway ({type(error).__name__})", is_away=True) from error
    if body is None or len(body) > MAX_ANSWER:
        raise GatewayUnavailableError("the gateway's answer is too long, or too slow", is_away=True)
    return response.status_code, body


def call_seconds() -> float:
    """Return how long a call may take, in seconds, according to its time-outs."""
    return sum(conf.timeout)


def _is_encoded(response: requests.Response) -> bool:
    encodings = response.headers.get("Content-Encoding", "").split(",")
    return not {encoding.strip().lower() for encoding in encodings} <= {"", "identity"}


def read_bounded(response: requests.Response, deadline: float) -> bytes | None:
    """
    Return the body, cut soon after ``MAX_ANSWER`` bytes, or None if it has not ended by the deadline.

    It is not decoded. The deadline is on the clock of ``time.monotonic()``.
    """
    content = bytearray()
    # Read what has arrived: waiting for a full chunk would let a slow response take for ever.
    while len(content) <= MAX_ANSWER and (chunk := response.raw.read1(CHUNK, decode_content=False)):
        content += chunk
        if time.monotonic() > deadline:
            return None
    return bytes(content)


def unusable(message: str, status: int) -> GatewayUnavailableError:
    """Return the error for an answer of this HTTP status that cannot be used."""
    return GatewayUnavailableError(message, is_away=status in AWAY)
