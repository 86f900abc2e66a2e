"""The OpenAPI schema of the operations, for drf-spectacular."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from django_paiementpro.api.schema import (
    ETAG,
    RETRY,
    NewPaymentExtension,
    StatusFieldExtension,
    documented,
    header,
    idempotency_key,
)
from django_paiementpro.links.api.serializers import LinkFilterSerializer, LinkSerializer, NewLinkSerializer


class NewLinkExtension(NewPaymentExtension):
    """Declare that unknown fields are rejected."""

    target_class = "django_paiementpro.links.api.serializers.NewLinkSerializer"


class LinkStateExtension(StatusFieldExtension):
    target_class = "django_paiementpro.links.api.serializers.LinkStateField"

    def get_name(self) -> str:
        return "PaymentLinkState"


TOKEN = OpenApiParameter(
    "token",
    {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,32}$"},
    OpenApiParameter.PATH,
    description="The token of the link.",
)
KEY = idempotency_key(
    "A new UUID for each link. The same key with the same body returns the same link, even if requests are concurrent; "
    "with another body it is answered with 422."
)

OPERATIONS: dict[str, Any] = {
    "list": extend_schema(
        operation_id="payment_links_list",
        summary="List payment links",
        description="Newest first: all links for staff who may view them, their own for other users.",
        parameters=[LinkFilterSerializer, RETRY],
        responses=documented({200: OpenApiResponse(LinkSerializer(many=True), "A page of payment links.")}, []),
    ),
    "create": extend_schema(
        operation_id="payment_links_create",
        summary="Make a payment link",
        description="Share its `url`. Several customers can pay a reusable link; any other link is paid once.",
        request=NewLinkSerializer,
        parameters=[KEY, RETRY, header("Location", "The payment link.", [201])],
        responses=documented(
            {201: OpenApiResponse(LinkSerializer, "The payment link.")},
            ["unsupported-media-type", "invalid-key", "key-reused"],
        ),
    ),
    "retrieve": extend_schema(
        operation_id="payment_links_retrieve",
        summary="Retrieve a payment link",
        description="With its state and what came in.",
        parameters=[TOKEN, ETAG, header("ETag", "For `If-None-Match`.", [200, 304])],
        responses=documented(
            {
                200: OpenApiResponse(LinkSerializer, "The payment link."),
                304: OpenApiResponse(description="Nothing has changed."),
            },
            ["not-found"],
        ),
    ),
}
