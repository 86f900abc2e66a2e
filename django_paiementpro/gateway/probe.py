"""
A notification that a site sends to itself, to find out whether and how it arrives.

It is sent to the notification URL with its own kind of signature (``signing.sign_probe``), which names no payment. The
answer describes nothing but that request.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest

from django_paiementpro import signing
from django_paiementpro.exceptions import InvalidNotification
from django_paiementpro.gateway.messages import FAILURE_CODE
from django_paiementpro.gateway.parsing import Fields, query_fields, read_fields


def fields_of(nonce: str) -> Fields:
    """Return the fields of a production notification of 2026, with values that proxies and firewalls may alter."""
    return [
        ("merchantId", "PP-PROBE"),
        ("sessionId", nonce),
        ("payId", "0"),
        ("channel", "OMCIV2"),
        ("countryCurrencyCode", "952"),
        ("referenceNumber", nonce),
        ("amount", "100"),
        ("transactiondt", "2026-09-25 15:44:25"),
        ("returnContext", '{"order":"Thé & attiéké, 2 × 50 F + 0 %","url":"https://example.com/?a=1"}'),
        # Even if it were accepted, it would pay nothing.
        ("responsecode", FAILURE_CODE),
    ]


def report(request: HttpRequest, signed: str) -> dict[str, Any] | None:
    """
    Return what the app sees of a probe: where it appears to come from, and which fields arrived intact.

    It says how the server works too. Return None if the URL is not that of a recent probe.
    """
    nonce = signing.unsign_probe(signed)
    if nonce is None:
        return None
    try:
        in_query, in_body = read_fields(request)
    except InvalidNotification:
        in_query, in_body = query_fields(request.META.get("QUERY_STRING", "")), []
    try:
        host = request.get_host()
    except DisallowedHost:
        host = ""
    return {
        "proof": signing.sign(nonce, signing.PROBE_ANSWER),
        "scheme": request.scheme,
        "host": host,
        "forwarded_scheme": request.META.get("HTTP_X_FORWARDED_PROTO", ""),
        "forwarded_host": request.META.get("HTTP_X_FORWARDED_HOST", ""),
        "remote_address": request.META.get("REMOTE_ADDR", ""),
        # Servers say so according to PEP 3333. Under ASGI, Django runs each request in a thread of its own.
        "is_multithreaded": bool(request.META.get("wsgi.multithread", True)),
        "is_multiprocess": bool(request.META.get("wsgi.multiprocess", True)),
        "now": time.time(),
        "query": _condition(nonce, in_query),
        "body": _condition(nonce, in_body),
    }


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """
    A report on a probe. ``now`` is the app's clock in seconds; the lists hold names of fields.

    ``is_multithreaded`` is False if each process of the server answers one request at a time, ``is_multiprocess`` if
    there is only one process.
    """

    scheme: str
    host: str
    forwarded_scheme: str
    forwarded_host: str
    remote_address: str
    is_multithreaded: bool
    is_multiprocess: bool
    now: float
    missing_in_query: list[str]
    missing_in_body: list[str]
    altered: list[str]

    @classmethod
    def from_json(cls, nonce: str, answer: Mapping[str, Any]) -> "ProbeReport | None":
        """Return None if the answer is not this site's report on this very probe."""
        if signing.unsign(str(answer.get("proof")), signing.PROBE_ANSWER) != nonce:
            return None
        query, body = answer["query"], answer["body"]
        return cls(
            scheme=answer["scheme"],
            host=answer["host"],
            forwarded_scheme=answer["forwarded_scheme"],
            forwarded_host=answer["forwarded_host"],
            remote_address=answer["remote_address"],
            is_multithreaded=answer["is_multithreaded"],
            is_multiprocess=answer["is_multiprocess"],
            now=float(answer["now"]),
            missing_in_query=query["missing"],
            missing_in_body=body["missing"],
            altered=sorted({*query["altered"], *body["altered"]}),
        )


def _condition(nonce: str, received: Fields) -> dict[str, list[str]]:
    """Compare the fields received in one place with those sent."""
    values: dict[str, list[str]] = {}
    for name, value in received:
        values.setdefault(name, []).append(value)
    sent = fields_of(nonce)
    return {
        "missing": [name for name, _value in sent if name not in values],
        "altered": [name for name, value in sent if values.get(name, [value]) != [value]],
    }
