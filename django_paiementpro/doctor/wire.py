"""
One POST over the network, as the gateway sends it: the fields in the query string and again in a multipart body.

No redirect is followed, certificates are verified, and the answer is read up to a bound.
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
from django_paiementpro.gateway.client import Session, call_seconds, read_bounded
from django_paiementpro.gateway.messages import USER_AGENT
from django_paiementpro.gateway.parsing import Fields


class Trouble(Enum):
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


# By what OpenSSL finds wrong with a certificate (its verify(1)).
CERTIFICATE_TROUBLES = {
    9: Trouble.EXPIRED,  # not yet valid
    10: Trouble.EXPIRED,
    18: Trouble.SELF_SIGNED,
    19: Trouble.SELF_SIGNED,
    20: Trouble.CHAIN,
    21: Trouble.CHAIN,
    62: Trouble.OTHER_NAME,
    64: Trouble.OTHER_NAME,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; ``sent_at`` and ``seconds`` are of our own clock, ``date`` of the answering machine's."""

    status: int
    headers: dict[str, str]
    content: bytes = field(repr=False)
    sent_at: float
    seconds: float

    @property
    def date(self) -> float | None:
        """The answering machine's clock, in whole seconds; None where it does not tell."""
        try:
            moment = parsedate_to_datetime(self.headers.get("date", ""))
        except ValueError:
            return None
        return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()


def post(url: str, fields: Fields) -> Answer | Trouble:
    """Send the fields, and return the answer or why there is none. Raises ``ImproperlyConfigured``."""
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
                return Trouble.TIMEOUT
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status_code, headers, content, sent_at, time.monotonic() - started_at)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        return _trouble(error)


def _trouble(error: BaseException) -> Trouble:
    """Return what lies at the bottom of an error."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CERTIFICATE_TROUBLES.get(cause.verify_code, Trouble.TLS)
    kinds: list[tuple[type[BaseException] | tuple[type[BaseException], ...], Trouble]] = [
        ((ssl.SSLError, requests.exceptions.SSLError), Trouble.TLS),
        (urllib3.exceptions.NameResolutionError, Trouble.NAME),
        (ConnectionRefusedError, Trouble.REFUSED),
        ((requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError), Trouble.TIMEOUT),
    ]
    return next((trouble for kind, trouble in kinds if any(isinstance(c, kind) for c in causes)), Trouble.HUNG_UP)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it was raised for: requests and urllib3 keep them in three places."""
    yield error
    inner = [error.__cause__, error.__context__, getattr(error, "reason", None), *error.args]
    for cause in {id(cause): cause for cause in inner if isinstance(cause, BaseException)}.values():
        yield from _causes(cause)
