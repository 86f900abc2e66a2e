"""
One POST over the network, as the gateway sends it: the fields in the query string and again in a multipart body.

Redirects are not followed, certificates are verified, and only a bounded part of the answer is read.
"""

import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timezone
from email.utils import parsedate_to_datetime
from enum import Enum

import requests
import urllib3

from django_paiementpro.conf import conf
from django_paiementpro.gateway.connections import Session, call_seconds, read_bounded
from django_paiementpro.gateway.messages import USER_AGENT
from django_paiementpro.gateway.parsing import Fields


class ConnectionFailure(Enum):
    """Why there is no answer."""

    NAME = "name"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    EXPIRED = "expired"
    SELF_SIGNED = "self-signed"
    CHAIN = "chain"
    OTHER_NAME = "other name"
    TLS = "tls"
    HUNG_UP = "hung up"


# By OpenSSL's verification error codes.
CERTIFICATE_FAILURES = {
    9: ConnectionFailure.EXPIRED,  # not yet valid
    10: ConnectionFailure.EXPIRED,
    18: ConnectionFailure.SELF_SIGNED,
    19: ConnectionFailure.SELF_SIGNED,
    20: ConnectionFailure.CHAIN,
    21: ConnectionFailure.CHAIN,
    62: ConnectionFailure.OTHER_NAME,
    64: ConnectionFailure.OTHER_NAME,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. ``sent_at`` and ``seconds`` are by our clock, ``date`` is by the server's."""

    status: int
    headers: dict[str, str]
    content: bytes = field(repr=False)
    sent_at: float
    seconds: float

    @property
    def date(self) -> float | None:
        """The server's clock in whole seconds, or None if the answer has no valid Date header."""
        try:
            moment = parsedate_to_datetime(self.headers.get("date", ""))
        except ValueError:
            return None
        return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()


def post(url: str, fields: Fields) -> Answer | ConnectionFailure:
    """Send the fields, and return the answer or the reason why there is none. Raises ``ImproperlyConfigured``."""
    sent_at, started_at = time.time(), time.monotonic()
    try:
        with (
            Session(**{"User-Agent": USER_AGENT}) as session,
            session.post(
                url,
                params=fields,
                files={name: (None, value) for name, value in fields},
                timeout=conf.timeout,
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            content = read_bounded(response, started_at + call_seconds())
            if content is None:
                return ConnectionFailure.TIMEOUT
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status_code, headers, content, sent_at, time.monotonic() - started_at)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        return _failure(error)


def _failure(error: BaseException) -> ConnectionFailure:
    """Return the root cause of an error."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CERTIFICATE_FAILURES.get(cause.verify_code, ConnectionFailure.TLS)
    kinds: list[tuple[type[BaseException] | tuple[type[BaseException], ...], ConnectionFailure]] = [
        ((ssl.SSLError, requests.exceptions.SSLError), ConnectionFailure.TLS),
        (urllib3.exceptions.NameResolutionError, ConnectionFailure.NAME),
        (ConnectionRefusedError, ConnectionFailure.REFUSED),
        ((requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError), ConnectionFailure.TIMEOUT),
    ]
    found = (failure for kind, failure in kinds if any(isinstance(cause, kind) for cause in causes))
    return next(found, ConnectionFailure.HUNG_UP)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, which requests and urllib3 keep in three places."""
    yield error
    inner = [error.__cause__, error.__context__, getattr(error, "reason", None), *error.args]
    for cause in {id(cause): cause for cause in inner if isinstance(cause, BaseException)}.values():
        yield from _causes(cause)
