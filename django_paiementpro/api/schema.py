"""The OpenAPI schema of the operations, for drf-spectacular."""

from typing import Any

from django.utils.translation import override
from drf_spectacular.extensions import OpenApiSerializerExtension, OpenApiSerializerFieldExtension
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from django_paiementpro.api.problems import STATUSES, TITLES
from django_paiementpro.api.serializers import (
    FilterSerializer,
    NewPaymentSerializer,
    OpenedPaymentSerializer,
    PaymentSerializer,
    ProblemSerializer,
)


class NewPaymentExtension(OpenApiSerializerExtension):
    """Declare that unknown fields are rejected."""

    target_class = "django_paiementpro.api.serializers.NewPaymentSerializer"

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        return {**super().map_serializer(auto_schema, direction), "additionalProperties": False}


class StatusFieldExtension(OpenApiSerializerFieldExtension):
    """Name the enumeration, so that it cannot clash with another ``status`` of the project."""

    target_class = "django_paiementpro.api.serializers.StatusField"

    def get_name(self) -> str:
        return "PaymentStatus"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> Any:
        return {"type": "string", "enum": [*self.target.choices, *([""] if self.target.allow_blank else [])]}


class ChannelFieldExtension(StatusFieldExtension):
    target_class = "django_paiementpro.api.serializers.ChannelField"

    def get_name(self) -> str:
        return "PaymentChannel"


ALWAYS = [
    *("malformed", "invalid-request", "not-authenticated", "permission-denied"),
    *("method-not-allowed", "not-acceptable", "throttled"),
]
CALLING = [
    *("invalid-payment", "not-found", "not-payable", "unsupported-media-type"),
    *("gateway-refused", "too-many-refusals", "gateway-unavailable", "busy"),
]
CREATING = [*CALLING, "invalid-key", "key-missing", "key-reused"]


def documented(successes: dict[int, OpenApiResponse], problems: list[str]) -> dict[Any, OpenApiResponse]:
    responses: dict[Any, OpenApiResponse] = {
        (status, "application/json") if response.response else status: response
        for status, response in successes.items()
    }
    kinds = [*problems, *ALWAYS]
    with override("en"):
        for status in map(STATUSES.__getitem__, kinds):
            described = [f"`{kind}`: {TITLES[kind]}" for kind in kinds if STATUSES[kind] == status]
            responses[status, "application/problem+json"] = OpenApiResponse(ProblemSerializer, " ".join(described))
    return responses


def header(name: str, description: str, statuses: list[int], kind: type = str) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, description=description, response=statuses)


def idempotency_key(description: str) -> OpenApiParameter:
    kind = {"type": "string", "pattern": '^"?[A-Za-z0-9_.:-]{1,255}"?$'}
    return OpenApiParameter("Idempotency-Key", kind, OpenApiParameter.HEADER, description=description)


RETRY = header("Retry-After", "Seconds to wait before the next request.", [429, 503], int)

REFERENCE = OpenApiParameter(
    "reference",
    {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    OpenApiParameter.PATH,
    description="The reference of the payment.",
)
KEY = idempotency_key(
    "A new UUID for each payment. For 24 hours the same key with the same URL and body returns the same payment and "
    "the same answer, even if requests are concurrent; with another URL or body it is answered with 422. Keys of "
    "clients that are not authenticated need 32 characters or more."
)
ETAG = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="The ETag of an earlier answer: 304 without a body if nothing has changed.",
)

OPENED = OpenApiResponse(OpenedPaymentSerializer, "The gateway opened a payment page.")

OPERATIONS: dict[str, Any] = {
    "list": extend_schema(
        operation_id="payments_list",
        summary="List your payments",
        description="Newest first. Staff who may view payments see all of them.",
        parameters=[FilterSerializer, RETRY],
        responses=documented({200: OpenApiResponse(PaymentSerializer(many=True), "A page of payments.")}, []),
    ),
    "create": extend_schema(
        operation_id="payments_create",
        summary="Open a payment",
        description=(
            "The shop decides the amount; the client names the order. Send the customer to `checkout_url`, then poll "
            "`status_url` or the payment itself, as `Retry-After` says. `status_url` needs no authentication and "
            "returns `reference`, `status`, `is_final`, `refunded_amount` and, once the payment is final, "
            "`redirect_url`, with `ETag` and `Retry-After` like the payment itself. A payment that the gateway did not "
            "open is kept (502, 503): repeat the request with the same key, or use its `checkout_url`."
        ),
        request=NewPaymentSerializer,
        parameters=[KEY, RETRY, header("Location", "The payment, if you are authenticated.", [201])],
        responses=documented({201: OPENED}, CREATING),
    ),
    "retrieve": extend_schema(
        operation_id="payments_retrieve",
        summary="Retrieve a payment",
        description="While it waits, `Retry-After` says when to ask again, at growing intervals.",
        parameters=[
            REFERENCE,
            ETAG,
            header("Retry-After", "Seconds to wait before the next request.", [200, 304, 429], int),
            header("ETag", "For `If-None-Match`.", [200, 304]),
        ],
        responses=documented(
            {
                200: OpenApiResponse(PaymentSerializer, "The payment."),
                304: OpenApiResponse(description="Nothing has changed."),
            },
            ["not-found"],
        ),
    ),
    "checkout": extend_schema(
        operation_id="payments_checkout",
        summary="Open a new payment page",
        description="After an outage, a refusal or a failure, or when the page is no longer fresh.",
        request=None,
        parameters=[REFERENCE, RETRY],
        responses=documented({200: OPENED}, CALLING),
    ),
}
