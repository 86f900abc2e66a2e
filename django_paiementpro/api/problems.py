"""
Errors as problem details (RFC 9457), whose ``type`` a client can rely on.

The handler is for the views of this package alone: the host's own views keep theirs.
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

from django_paiementpro.exceptions import GatewayRefusedError, GatewayUnavailableError, TooManyRefusalsError
from django_paiementpro.http import UNAVAILABLE_SECONDS
from django_paiementpro.models import Payment

PREFIX = "urn:paiementpro:problem:"

#: After how many seconds it is worth knocking at a site that is busy.
BUSY_SECONDS = 5

#: The problems by the last part of their ``type``, with the title of each; the documentation has their comments.
TITLES: dict[str, Any] = {
    #: The body is no JSON, over 64 KiB, nested too deeply, or has NUL characters.
    "malformed": _("The request cannot be read."),
    #: ``errors`` says which fields are wrong; ``amount`` is one that no client may send.
    "invalid-request": _("The request is not valid."),
    #: What your factory made cannot be taken to the gateway: ``errors``.
    "invalid-payment": _("The payment cannot be taken to the gateway as it is."),
    #: The ``Idempotency-Key`` is none.
    "invalid-key": _("The Idempotency-Key is not valid."),
    #: ``PAIEMENTPRO_API_KEY_REQUIRED`` is on, and there is no key.
    "key-missing": _("The Idempotency-Key is missing."),
    #: The key was sent with another URL or body.
    "key-reused": _("The Idempotency-Key stands for another request."),
    #: 403 where REST framework's first authentication has no challenge, as sessions have none.
    "not-authenticated": _("Nobody is signed in."),
    #: A permission of REST framework's, or your factory, says no.
    "permission-denied": _("This is not permitted."),
    #: Also what is another's.
    "not-found": _("There is no such thing."),
    #: Also where a payment is to be opened and there is no factory.
    "method-not-allowed": _("The method is not allowed."),
    #: The ``Accept`` header wants what there is not.
    "not-acceptable": _("No answer can be had in this form."),
    #: No parser of REST framework's settings reads the body.
    "unsupported-media-type": _("The form of the body is not supported."),
    #: A throttle of REST framework's says no; ``Retry-After``.
    "throttled": _("There were too many requests."),
    #: It is paid, expired or cancelled, or was tried too often.
    "not-payable": _("The payment can no longer be paid."),
    #: The payment is kept: ``reference``, ``checkout_url``, ``status_url``. Why is in its event.
    "gateway-refused": _("The gateway has refused the payment."),
    #: Several times in a row, so it is not asked for a while. The payment is kept likewise; ``Retry-After``.
    "too-many-refusals": _("The gateway has refused the payment several times in a row."),
    #: The payment is kept likewise; ``Retry-After``.
    "gateway-unavailable": _("The gateway gives no answer."),
    #: ``PAIEMENTPRO_API_GATEWAY_CALLS`` requests wait already; nothing was stored; ``Retry-After``.
    "busy": _("Too many payments are being opened."),
}

#: What REST framework itself raises.
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
    """A problem of a kind that ``TITLES`` names; ``members`` are told beside it."""

    def __init__(
        self,
        kind: str,
        status: int,
        detail: Any,
        *,
        errors: Mapping[str, Any] | None = None,
        wait: int | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status_code = status
        self.errors = errors
        self.wait = wait
        self.members = dict(members or {})


class ProblemRenderer(JSONRenderer):
    media_type = "application/problem+json"
    format = "problem"


def answer_problem(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Return the problem that an error is; None where it is a failure of the site's, which Django answers."""
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
    """Return what the client is told. The gateway's own words stay in the payment's event: they may quote the payer."""
    if isinstance(error, TooManyRefusalsError):
        detail = gettext("The payment is kept. Please try again later.")
        return Problem("too-many-refusals", 429, detail, wait=error.retry_after, members=members)
    if isinstance(error, GatewayRefusedError):
        return Problem("gateway-refused", 502, gettext("The payment is kept; the shop knows why."), members=members)
    return Problem(
        "gateway-unavailable",
        503,
        gettext("The payment is kept. Please try again in a moment."),
        wait=UNAVAILABLE_SECONDS,
        members=members,
    )


def invalid_payment(error: ValidationError, members: Mapping[str, Any] | None = None) -> Problem:
    """Return the problem of a payment that is not taken to the gateway: by its data, or by its state."""
    if not hasattr(error, "error_dict"):
        # What a field of the host's says of a key that is none, as a UUID field does.
        if getattr(error, "code", None) == "invalid":
            return Problem("invalid-request", 400, " ".join(error.messages), members=members)
        return Problem("not-payable", 409, " ".join(error.messages), members=members)
    errors = {_field(name): texts for name, texts in error.message_dict.items()}
    return Problem("invalid-payment", 400, gettext("Some of its data are not valid."), errors=errors, members=members)


def _field(name: str) -> str:
    return "non_field_errors" if name == NON_FIELD_ERRORS else name


def _translate(error: Exception) -> exceptions.APIException | None:
    """Return an error of Django's as one of REST framework's; None where it is nothing that a client has done."""
    if isinstance(error, exceptions.APIException):
        return error
    if isinstance(error, (Http404, Payment.DoesNotExist)):
        return exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(error, ValidationError):
        return invalid_payment(error)
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
    return gettext("Some of the fields are not valid.")


def _errors_of(error: exceptions.APIException) -> Any:
    if isinstance(error, Problem):
        return error.errors
    if isinstance(error.detail, list):
        return {"non_field_errors": error.detail}
    return error.detail if isinstance(error.detail, dict) else None
