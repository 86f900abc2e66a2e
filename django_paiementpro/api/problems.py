"""
Errors as problem details (RFC 9457), with a stable ``type`` for each kind.

Only the views of this package use this exception handler.
"""

from collections.abc import Mapping
from http.client import responses
from typing import Any

from django.core.exceptions import (
    NON_FIELD_ERRORS,
    BadRequest,
    PermissionDenied,
    SuspiciousOperation,
    ValidationError,
)
from django.http import Http404, UnreadablePostError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from django_paiementpro.exceptions import (
    GatewayBusyError,
    GatewayRefusedError,
    GatewayUnavailableError,
    TooManyRefusalsError,
)
from django_paiementpro.http import BUSY_SECONDS, UNAVAILABLE_SECONDS
from django_paiementpro.models import Payment

PREFIX = "urn:paiementpro:problem:"

#: Titles by kind, the last part of a problem's ``type``. The documentation shows the comments.
TITLES: dict[str, Any] = {
    #: The body is not JSON, is over 64 KiB, is nested too deeply, or has NUL characters.
    "malformed": _("Malformed request."),
    #: ``errors`` lists the invalid fields: also unknown ones, and those that only the shop decides, such as ``amount``.
    "invalid-request": _("Invalid request."),
    #: The gateway would not take what your factory returned: ``errors``.
    "invalid-payment": _("Invalid payment."),
    #: The ``Idempotency-Key`` is too long, too short, or has other characters than it may have.
    "invalid-key": _("Invalid Idempotency-Key."),
    #: ``PAIEMENTPRO_API_KEY_REQUIRED`` is on, and the request has no key.
    "key-missing": _("Missing Idempotency-Key."),
    #: The key was sent before, with another URL or body.
    "key-reused": _("The Idempotency-Key was used for another request."),
    #: 403 instead if REST framework's first authentication class has no challenge, as with sessions.
    "not-authenticated": _("Authentication required."),
    #: A permission class or your factory refuses.
    "permission-denied": _("Permission denied."),
    #: Also for the payments of other users.
    "not-found": _("Not found."),
    #: Also for a new payment without a factory.
    "method-not-allowed": _("Method not allowed."),
    #: No renderer matches the ``Accept`` header.
    "not-acceptable": _("Not acceptable."),
    #: No parser in REST framework's settings reads the body.
    "unsupported-media-type": _("Unsupported media type."),
    #: A throttle class refuses; ``Retry-After``.
    "throttled": _("Too many requests."),
    #: It is paid, expired or cancelled, or was tried too often.
    "not-payable": _("The payment can no longer be paid."),
    #: The payment is kept: ``reference``, ``checkout_url``, ``status_url``. Its event has the reason.
    "gateway-refused": _("The gateway refused the payment."),
    #: The gateway is not asked again for a while. The payment is kept as above; ``Retry-After``.
    "too-many-refusals": _("The gateway refused the payment several times in a row."),
    #: The payment is kept as above; ``Retry-After``.
    "gateway-unavailable": _("The gateway is unavailable."),
    #: ``PAIEMENTPRO_API_GATEWAY_CALLS`` requests are waiting already. No payment was stored, or it is kept as above;
    #: ``Retry-After``.
    "busy": _("Too many payments are being opened."),
}

#: The HTTP status of each kind.
STATUSES = {
    "malformed": 400,
    "invalid-request": 400,
    "invalid-payment": 400,
    "invalid-key": 400,
    "key-missing": 400,
    "key-reused": 422,
    "not-authenticated": 401,
    "permission-denied": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "not-acceptable": 406,
    "unsupported-media-type": 415,
    "throttled": 429,
    "not-payable": 409,
    "gateway-refused": 502,
    "too-many-refusals": 429,
    "gateway-unavailable": 503,
    "busy": 503,
}

#: The errors of REST framework.
KINDS: tuple[tuple[type[exceptions.APIException], str], ...] = (
    (exceptions.ValidationError, "invalid-request"),
    (exceptions.ParseError, "malformed"),
    (exceptions.NotAuthenticated, "not-authenticated"),
    (exceptions.AuthenticationFailed, "not-authenticated"),
    (exceptions.PermissionDenied, "permission-denied"),
    (exceptions.NotFound, "not-found"),
    (exceptions.MethodNotAllowed, "method-not-allowed"),
    (exceptions.NotAcceptable, "not-acceptable"),
    (exceptions.UnsupportedMediaType, "unsupported-media-type"),
    (exceptions.Throttled, "throttled"),
)


class Problem(exceptions.APIException):
    """A problem of one of the kinds in ``TITLES``, with additional ``members``."""

    def __init__(
        self,
        kind: str,
        detail: Any,
        *,
        errors: Mapping[str, Any] | None = None,
        wait: int | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status_code = STATUSES[kind]
        self.errors = errors
        self.wait = wait
        self.members = dict(members or {})


class ProblemRenderer(JSONRenderer):
    media_type = "application/problem+json"
    format = "problem"


def answer_problem(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Return the answer to an error of the client or the gateway, or None for any other, which Django handles."""
    raised = _translate(error)
    if raised is None:
        return None
    kind = _kind_of(raised)
    data: dict[str, Any] = {
        "type": f"{PREFIX}{kind}" if kind else "about:blank",
        "title": str(TITLES[kind]) if kind else responses.get(raised.status_code, ""),
        "status": raised.status_code,
        "detail": _detail_of(raised),
    }
    if errors := _errors_of(raised):
        data["errors"] = errors
    data |= getattr(raised, "members", {})
    headers = {}
    if auth_header := getattr(raised, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    if wait := getattr(raised, "wait", None) or (BUSY_SECONDS if kind == "throttled" else None):
        headers["Retry-After"] = str(int(wait))
    return Response(data, status=raised.status_code, headers=headers, content_type=ProblemRenderer.media_type)


def gateway_problem(error: GatewayRefusedError | GatewayUnavailableError, members: Mapping[str, Any]) -> Problem:
    """Return the problem for the client. The gateway's own words, which may quote the customer, stay in the event."""
    if isinstance(error, TooManyRefusalsError):
        detail = gettext("The payment is kept. Please try again later.")
        return Problem("too-many-refusals", detail, wait=error.retry_after, members=members)
    if isinstance(error, GatewayRefusedError):
        return Problem("gateway-refused", gettext("The payment is kept. The shop knows the reason."), members=members)
    if isinstance(error, GatewayBusyError):
        return Problem("busy", gettext("Please try again in a few seconds."), wait=BUSY_SECONDS, members=members)
    return Problem(
        "gateway-unavailable",
        gettext("The payment is kept. Please try again in a moment."),
        wait=UNAVAILABLE_SECONDS,
        members=members,
    )


def invalid_payment(error: ValidationError, members: Mapping[str, Any] | None = None) -> Problem:
    """Return the problem of a payment whose data or state keep it from being taken to the gateway."""
    if not hasattr(error, "error_dict"):
        # As a UUIDField of the host raises it for an invalid key.
        if getattr(error, "code", None) == "invalid":
            return Problem("invalid-request", " ".join(error.messages), members=members)
        return Problem("not-payable", " ".join(error.messages), members=members)
    errors = {_field(name): texts for name, texts in error.message_dict.items()}
    return Problem("invalid-payment", gettext("Some of its data are invalid."), errors=errors, members=members)


def _field(name: str) -> str:
    return "non_field_errors" if name == NON_FIELD_ERRORS else name


def _translate(error: Exception) -> exceptions.APIException | None:
    """Return an error of Django as one of REST framework, or None if the client did not cause it."""
    if isinstance(error, exceptions.APIException):
        return error
    if isinstance(error, (Http404, Payment.DoesNotExist)):
        return exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(error, ValidationError):
        return invalid_payment(error)
    if isinstance(error, GatewayBusyError):  # before anything was stored
        return gateway_problem(error, {})
    if isinstance(error, (SuspiciousOperation, BadRequest, UnreadablePostError)):
        return exceptions.ParseError()
    return None


def _kind_of(error: exceptions.APIException) -> str:
    if isinstance(error, Problem):
        return error.kind
    return next((kind for known, kind in KINDS if isinstance(error, known)), "")


def _detail_of(error: exceptions.APIException) -> str:
    if isinstance(error.detail, str):
        return error.detail
    return gettext("Some fields are invalid.")


def _errors_of(error: exceptions.APIException) -> Any:
    if isinstance(error, Problem):
        return error.errors
    if isinstance(error.detail, list):
        return {"non_field_errors": error.detail}
    return error.detail if isinstance(error.detail, dict) else None
