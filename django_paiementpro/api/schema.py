"""What the operations are, for drf-spectacular: their parameters, answers, headers, problems and examples."""

from collections.abc import Iterable
from typing import Any

from django.utils.translation import override
from drf_spectacular.extensions import OpenApiSerializerExtension, OpenApiSerializerFieldExtension
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from django_paiementpro.api.problems import PREFIX, TITLES
from django_paiementpro.api.serializers import (
    FilterSerializer,
    NewPaymentSerializer,
    OpenedPaymentSerializer,
    PaymentSerializer,
    ProblemSerializer,
)

REFERENCE = "5b1f0d7c9a3e4f6081c2d3e4"
SIGNED = f"{REFERENCE}.u7Qx0d1oWm3pXw5Zb8cN2rT6vY9aE4hK1sG0jL3qF7M"
OPENED = {
    "reference": REFERENCE,
    "status": "pending",
    "checkout_url": f"https://example.com/paiementpro/checkout/{SIGNED}/",
    "payment_url": "https://www.paiementpro.net/webservice/onlinepayment/processing_v2.php?sessionid=1a0ab925",
    "status_url": f"https://example.com/paiementpro/status/{SIGNED}/",
}
PAYMENT = {
    **OPENED,
    "is_final": False,
    "amount": 12500,
    "currency": "XOF",
    "description": "Order 42",
    "order": "42",
    "channel": "OMCIV2",
    "created_at": "2026-11-25T19:00:00Z",
    "updated_at": "2026-11-25T19:00:02Z",
    "settled_at": None,
}
ALL = ["200", "201", "304", "400", "401", "403", "404", "405", "406", "409", "415", "422", "429", "502", "503"]


class StrictSerializerExtension(OpenApiSerializerExtension):
    """A body has the fields that are named, and no other."""

    target_class = "django_paiementpro.api.serializers.StrictSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**schema, "additionalProperties": False}


KEPT = {name: OPENED[name] for name in ("reference", "checkout_url", "status_url")}

#: The problems by status: of each its kind, an example of its detail, and what is told beside it.
PROBLEMS: dict[int, list[tuple[str, str, dict[str, Any]]]] = {
    400: [
        (
            "invalid-request",
            "Some of the fields are not valid.",
            {"errors": {"amount": ["The shop decides this: leave it out."]}},
        ),
        ("malformed", "The body is longer than 65536 bytes.", {}),
    ],
    401: [("not-authenticated", "Authentication credentials were not provided.", {})],
    403: [("permission-denied", "You do not have permission to perform this action.", {})],
    404: [("not-found", "Not found.", {})],
    405: [("method-not-allowed", 'Method "PUT" not allowed.', {})],
    406: [("not-acceptable", "Could not satisfy the request Accept header.", {})],
    409: [("not-payable", "This payment can no longer be paid.", KEPT)],
    415: [("unsupported-media-type", 'Unsupported media type "text/plain" in request.', {})],
    422: [("key-reused", "Send another key with another request.", {})],
    429: [("throttled", "Request was throttled. Expected available in 30 seconds.", {})],
    502: [("gateway-refused", "The payment is kept; the shop knows why.", KEPT)],
    503: [
        ("gateway-unavailable", "The payment is kept. Please try again in a moment.", KEPT),
        ("busy", "Please try again in a few seconds.", {}),
    ],
}

#: The answer of operations that ask the gateway, if it has refused too often.
PAUSED: tuple[str, str, dict[str, Any]] = ("too-many-refusals", "The payment is kept. Please try again later.", KEPT)

#: What goes wrong with what the factory makes, and with its key: where a payment is opened.
OPENING: dict[int, list[tuple[str, str, dict[str, Any]]]] = {
    400: [
        (
            "invalid-payment",
            "Some of its data are not valid.",
            {"errors": {"customer_phone": ["Enter a telephone number."]}},
        ),
        ("invalid-key", "Send an Idempotency-Key: a new UUID for each payment.", {}),
        ("key-missing", "Send an Idempotency-Key: a new UUID for each payment.", {}),
    ],
}


class StatusFieldExtension(OpenApiSerializerFieldExtension):
    """The states have a name that no field of the host's takes away from them."""

    target_class = "django_paiementpro.api.serializers.StatusField"

    def get_name(self) -> str:
        return "PaymentStatus"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> Any:
        return auto_schema._map_serializer_field(self.target, direction, bypass_extensions=True)


class ChannelFieldExtension(StatusFieldExtension):
    target_class = "django_paiementpro.api.serializers.ChannelField"

    def get_name(self) -> str:
        return "PaymentChannel"


def _problem(status: int, kinds: Iterable[tuple[str, str, dict[str, Any]]]) -> OpenApiResponse:
    examples = []
    for kind, detail, members in kinds:
        with override("en"):
            title = str(TITLES[kind])
        value = {"type": PREFIX + kind, "title": title, "status": status, "detail": detail, **members}
        examples.append(OpenApiExample(kind, value, response_only=True, status_codes=[str(status)]))
    return OpenApiResponse(ProblemSerializer, " ".join(example.value["title"] for example in examples), examples)


def _answers(success: dict[int, Any], *problems: int, opens: bool = False) -> dict[Any, Any]:
    answers: dict[Any, Any] = {
        (status, "application/json") if response is not None else status: response
        for status, response in success.items()
    }
    for status in (*problems, 400, 401, 403, 405, 406, 429):
        kinds = [*PROBLEMS[status], *(OPENING.get(status, []) if opens else [])]
        if status == 429 and 502 in problems:
            kinds.append(PAUSED)
        answers[status, "application/problem+json"] = _problem(status, kinds)
    return answers


def _header(name: str, description: str, statuses: list[int], kind: type = str) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, description=description, response=statuses)


CACHE = _header("Cache-Control", "Answers are private, and kept by no shared cache.", [int(code) for code in ALL])
ALLOW = _header("Allow", "The methods that there are.", [405])
AUTHENTICATE = _header("WWW-Authenticate", "How to sign in.", [401])
WAIT = _header("Retry-After", "After how many seconds to ask again.", [429, 503], int)
COMMON = [CACHE, ALLOW, AUTHENTICATE, WAIT]

REFERENCE_PARAMETER = OpenApiParameter(
    "reference",
    {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    OpenApiParameter.PATH,
    description="The payment's own name.",
    examples=[OpenApiExample("a reference", REFERENCE)],
)
KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": '^"?[A-Za-z0-9_.:-]{1,255}"?$'},
    OpenApiParameter.HEADER,
    description=(
        "A new UUID for each payment. For 24 hours the same key with the same URL and body gives the same payment and "
        "the same answer, however often it is sent, also at once; with another URL or body it is answered with 422. "
        "A key of a client that is not signed in has 32 characters or more."
    ),
    examples=[OpenApiExample("a UUID", "8e03978e-40d5-43dd-bc93-6894a57f9324")],
)
KNOWN = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="The ETag of an earlier answer: 304 without a body where nothing has changed.",
    examples=[OpenApiExample("a tag", '"0b7e151628aed2a6abf7158809cf4f3c"')],
)

_new = [
    OpenApiExample(
        "an order",
        {"order": "42", "channel": "OMCIV2", "return_to": "maboutique://paid/{reference}"},
        request_only=True,
    )
]
_opened = OpenApiResponse(
    OpenedPaymentSerializer, "The gateway has given a page.", [OpenApiExample("opened", OPENED, response_only=True)]
)
_shown = OpenApiResponse(
    PaymentSerializer, "The payment as it stands.", [OpenApiExample("waiting", PAYMENT, response_only=True)]
)
_listed = OpenApiResponse(
    PaymentSerializer(many=True), "A page of payments.", [OpenApiExample("one", PAYMENT, response_only=True)]
)

_asked = [
    OpenApiExample(name, value, parameter_only=(name, OpenApiParameter.QUERY))
    for name, value in {
        "status": ["succeeded", "failed"],
        "order": "42",
        "created_after": "2026-11-01T00:00:00Z",
        "created_before": "2026-12-01T00:00:00Z",
        "page_size": 50,
        "cursor": "cD0yMDI2LTExLTI1",
    }.items()
]

OPERATIONS: dict[str, Any] = {
    "list": extend_schema(
        operation_id="payments_list",
        summary="List one's payments",
        description="The newest first. Staff who may view payments see all.",
        parameters=[FilterSerializer, *COMMON],
        examples=_asked,
        responses=_answers({200: _listed}),
    ),
    "create": extend_schema(
        operation_id="payments_create",
        summary="Open a payment",
        description=(
            "The shop decides what is to be paid; the client says for which order. Send the payer to `checkout_url`, "
            "then ask `status_url` or the payment itself, as `Retry-After` says. `status_url` answers without signing "
            "in: `reference`, `status`, `is_final`, `refunded_amount`, and `redirect_url` once it is final; with "
            "`ETag` and `Retry-After` as the payment itself. A payment that the gateway did not open is kept (502, "
            "503): send the same request with the same key once more, or go to its `checkout_url`."
        ),
        request=NewPaymentSerializer,
        examples=_new,
        parameters=[
            KEY,
            *COMMON,
            _header("Location", "The payment, for who is signed in.", [201]),
        ],
        responses=_answers({201: _opened}, 404, 409, 415, 422, 502, 503, opens=True),
    ),
    "retrieve": extend_schema(
        operation_id="payments_retrieve",
        summary="See where a payment stands",
        description="While it waits, `Retry-After` says when to ask again: soon at first, later seldom.",
        parameters=[
            REFERENCE_PARAMETER,
            KNOWN,
            *COMMON[:3],
            _header("Retry-After", "After how many seconds to ask again.", [200, 304, 429], int),
            _header("ETag", "Stands for this answer, in `If-None-Match`.", [200, 304]),
        ],
        responses=_answers({200: _shown, 304: OpenApiResponse(description="Nothing has changed.")}, 404),
    ),
    "checkout": extend_schema(
        operation_id="payments_checkout",
        summary="Take a payment to the gateway once more",
        description="After an outage, a refusal or a failure, or when its page is no longer fresh.",
        request=None,
        parameters=[REFERENCE_PARAMETER, *COMMON],
        responses=_answers({200: _opened}, 404, 409, 415, 502, 503),
    ),
}
