"""
The gateway over HTTPS: JSON in, JSON out, without models.

Another transport (the gateway's SOAP service, its ``initialize.php``) would replace two functions: ``open_page`` and
``look_up``.
"""

import math
import os
import re
import threading
import time
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import quote

import requests
import urllib3
from django.views.decorators.debug import sensitive_variables

from django_paiementpro import __version__
from django_paiementpro.conf import conf
from django_paiementpro.exceptions import GatewayRefusedError, GatewayUnavailableError
from django_paiementpro.gateway.messages import PageAnswer, PageRequest, StatusAnswer
from django_paiementpro.gateway.parsing import JSONObject, parse_json_object
from django_paiementpro.return_urls import UNSAFE, is_allowed_host

INITIALIZE_PATH = "/webservice/onlinepayment/init/curl-init.php"

# Statuses that mean that the gateway itself is unavailable: too many requests, or a proxy without a server behind it.
AWAY = frozenset({429, 502, 503, 504})

HEADERS = {"Accept": "application/json", "User-Agent": f"django-paiementpro/{__version__}"}

MAX_ANSWER = 64 * 1024
MAX_PAGE_URL = 2000
CHUNK = 4096

# Routers and firewalls drop idle connections silently; a new connection costs less than the time-out that follows.
MAX_IDLE_SECONDS = 30.0

# Scheme and host, as a browser reads them; no label of the host is empty.
_PAGE_URL = re.compile(
    r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:[/?#]|$)", re.IGNORECASE
)


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


@sensitive_variables()
def open_page(request: PageRequest) -> str:
    """
    Ask for a payment page, and return its URL, which is on an allowed host.

    Raises ``GatewayRefusedError`` if the gateway refuses, and ``GatewayUnavailableError`` if it gives no usable answer.
    It may have opened a session even then, so the same reference must not be sent again.
    """
    status, content = _call("POST", conf.gateway_url + INITIALIZE_PATH, json=request.as_json())
    answer = PageAnswer.from_json(_read_json(status, content))
    if answer.is_refusal:
        raise GatewayRefusedError(answer.message)
    if not answer.is_success or status != 200:
        raise GatewayUnavailableError(f"the gateway's answer (HTTP {status}) is neither yes nor no")
    if request.is_given_away_by(answer.url):
        raise GatewayUnavailableError("the gateway gave a page whose URL tells the payer the notification URL")
    return checked_page_url(answer.url)


def look_up(reference: str, patience: float = math.inf) -> StatusAnswer:
    """
    Ask the status service about one ``referenceNumber``. Raises ``GatewayUnavailableError``.

    Neither time-out is longer than ``patience``, in seconds. The service needs no authentication. Its silence proves
    nothing (see "What is known of the gateway").
    """
    status, content = _call("GET", f"{conf.status_url}/{quote(reference, safe='')}", patience=patience)
    answer = _read_json(status, content)
    if status >= 400 and "success" not in answer:
        raise _unusable(f"the gateway does not answer this (HTTP {status})", status)
    return StatusAnswer.from_json(answer)


def call_seconds() -> float:
    """Return how long a call may take, in seconds, according to its time-outs."""
    return sum(conf.timeout)


def checked_page_url(url: str) -> str:
    """
    Return the URL of a payment page if it is certain where a browser would go with it.

    It must use https (except on the host of ``PAIEMENTPRO_GATEWAY_URL``) and an allowed host. Backslashes, control
    characters and user info, which browsers interpret in different ways, are not accepted.
    Raises ``GatewayUnavailableError``, without the URL, since that belongs to the customer.
    """
    match = _PAGE_URL.match(url)
    if not match or len(url) > MAX_PAGE_URL or UNSAFE.search(url):
        raise GatewayUnavailableError("the gateway gave a page whose URL cannot be trusted")
    scheme, host = match[1].lower(), match[2].lower()
    own_scheme, own_host = conf.own_gateway
    is_own = host.strip("[]") == own_host
    if not is_own and not is_allowed_host(host, conf.allowed_redirect_hosts):
        raise GatewayUnavailableError("the gateway gave a page on a host that PAIEMENTPRO_ALLOWED_REDIRECT_HOSTS lacks")
    if scheme != "https" and not (is_own and own_scheme == "http"):
        raise GatewayUnavailableError("the gateway gave a page that is not https")
    return url


def _call(method: str, url: str, json: object = None, patience: float = math.inf) -> tuple[int, bytes]:
    """Return the HTTP status and the body, within the time-outs unless the response headers arrive very slowly."""
    connect, read = (min(seconds, patience) for seconds in conf.timeout)
    deadline = time.monotonic() + connect + read
    try:
        with _connections.get().request(
            method, url, json=json, timeout=(connect, read), allow_redirects=False, stream=True, verify=True
        ) as response:
            # No encoding was asked for, and decoding an answer could take any amount of memory.
            if _is_encoded(response):
                raise _unusable("the gateway's answer is encoded, which was not asked for", response.status_code)
            content = read_bounded(response, deadline)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise GatewayUnavailableError(f"no answer from the gateway ({type(error).__name__})", is_away=True) from error
    if content is None or len(content) > MAX_ANSWER:
        raise GatewayUnavailableError("the gateway's answer is too long, or too slow", is_away=True)
    return response.status_code, content


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


def _read_json(status: int, content: bytes) -> JSONObject:
    """Parse the answer as JSON, whatever its content type says."""
    if status >= 500:
        raise _unusable(f"the gateway is out of order (HTTP {status})", status)
    try:
        return parse_json_object(content)
    except ValueError as error:
        raise _unusable(f"the gateway's answer (HTTP {status}) is no JSON object", status) from error


def _unusable(message: str, status: int) -> GatewayUnavailableError:
    return GatewayUnavailableError(message, is_away=status in AWAY)
