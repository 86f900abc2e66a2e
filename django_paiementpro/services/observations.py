"""How the requests about a verification payment arrive, for the report of ``paiementpro_verify_account``."""

import re
from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest

from django_paiementpro import log
from django_paiementpro.db.connections import database
from django_paiementpro.exceptions import InvalidNotification
from django_paiementpro.gateway.parsing import query_fields, read_fields
from django_paiementpro.models import Observation, Payment

NOTIFICATION, RETURN = "notification", "return"

#: How many requests about a payment are recorded: a stranger who has its return URL could send any number.
MAX_OBSERVATIONS = 50

#: The forms of values, the first that matches.
_FORMS = (
    ("empty", ""),
    ("-1 or 0", "-1|0"),
    ("YYYY-MM-DD HH:MM:SS", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    ("digits({length})", r"\d+"),
    ("decimal", r"-?\d+[.,]\d+"),
    ("hex({length})", "[0-9a-f]{16,}"),
    ("JSON object", r"(?s)\{.*\}"),
    ("e-mail", r"\S+@\S+"),
    ("letters and digits({length})", r"\w+"),
)


def form_of(value: str) -> str:
    """Return the form of a value: ``digits(10)``, ``hex(64)``. It says nothing about a person."""
    for name, pattern in _FORMS:
        if re.fullmatch(pattern, value, re.ASCII):
            return name.format(length=len(value))
    return f"text({len(value)})"


def observe(request: HttpRequest, payment: Payment, kind: str, refused: str = "") -> None:
    """Record how a request arrived. What goes wrong here changes nothing about the payment."""
    observations = Observation.objects.using(database()).filter(payment=payment)
    try:
        if observations.count() < MAX_OBSERVATIONS:
            data = describe(request, kind) | ({"refused": refused} if refused else {})
            observations.create(payment=payment, kind=kind, data=data)
    except Exception as error:  # noqa: BLE001  logged
        log.write("observation_lost", payment, raised=error)


def describe(request: HttpRequest, kind: str) -> dict[str, Any]:
    """
    Return the method, the encoding, and the names and forms of the fields.

    A notification's address is the gateway's; that of a payer is left out.
    """
    query = request.META.get("QUERY_STRING", "")
    try:
        in_query, in_body = read_fields(request)
    except InvalidNotification:
        in_query, in_body = query_fields(query), []
    content_type = request.META.get("CONTENT_TYPE", "")
    sender = {}
    if kind == NOTIFICATION:
        sender = {
            "user_agent": request.headers.get("User-Agent", "")[:200],
            "remote_address": request.META.get("REMOTE_ADDR", ""),
            "forwarded_for": request.headers.get("X-Forwarded-For", "")[:200],
        }
    return {
        **sender,
        "method": request.method,
        # The development server gives a GET one too.
        "content_type": content_type.partition(";")[0].strip().lower() if request.method == "POST" else "",
        "charset": (request.content_params or {}).get("charset", ""),
        "is_chunked": "chunked" in request.headers.get("Transfer-Encoding", ""),
        # The gateway joins its own query with a literal "?".
        "has_second_question_mark": "?" in query,
        "query": _forms(in_query),
        "body": _forms(in_body),
    }


def _forms(fields: Iterable[tuple[str, str]]) -> list[list[str]]:
    return [[_shown(name), form_of(value.strip())] for name, value in fields][:100]


def _shown(name: str) -> str:
    """Return the name of a field, or its form if it is none: what stands in its place may be a person's data."""
    return name if re.fullmatch("[A-Za-z_]{1,40}", name) else form_of(name)


def without_persons(text: str) -> str:
    """Return the gateway's words without what may be a person's: e-mail addresses, and long numbers."""
    return re.sub(r"\S+@\S+|\d(?:[\s.-]?\d){5,}", "…", text)
