from datetime import datetime
from typing import Any

from django.utils.timezone import is_aware
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound, ParseError
from rest_framework.pagination import CursorPagination


def is_storable(moment: datetime) -> bool:
    """Return whether every database takes a moment, in whatever time zone."""
    return 1970 <= moment.year <= 9000


class PaymentPagination(CursorPagination):
    """The newest first, 20 at once unless the client says how many, up to 100."""

    ordering = ("-created_at", "-pk")
    page_size = 20
    page_size_query_param = "page_size"
    max_page_size = 100
    cursor_query_description = "Where to go on, as `next` or `previous` of a page says it."

    def decode_cursor(self, request: Any) -> Any:
        try:
            cursor = super().decode_cursor(request)
        except NotFound as error:
            raise ParseError(_("The cursor is not valid.")) from error
        if cursor is not None and cursor.position is not None:
            _check_position(str(cursor.position))
        return cursor

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {
            "type": ["string", "null"],
            "format": "uri",
            "example": "https://example.com/api/payments/?cursor=cD0yMDI2LTExLTI1",
        }
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": {**link, "description": "The page with older payments; null on the last."},
                "previous": {**link, "description": "The page with newer payments; null on the first."},
                "results": schema,
            },
        }


def _check_position(position: str) -> None:
    """Refuse a cursor that was not made here. Raises ``ParseError``."""
    try:
        moment = datetime.fromisoformat(position)
    except ValueError as error:
        raise ParseError(_("The cursor is not valid.")) from error
    if not is_aware(moment) or not is_storable(moment):
        raise ParseError(_("The cursor is not valid."))
