"""
Keyset pagination by creation date and primary key.

REST framework's own cursor holds only the date, so it repeats or skips payments that share one.
"""

import re
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.timezone import is_aware
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound, ParseError
from rest_framework.pagination import Cursor, CursorPagination

from django_paiementpro.db.keyset import after
from django_paiementpro.models import Payment

#: A position in the list: creation date and primary key of a payment.
Position = tuple[datetime, int]


def is_storable(moment: datetime) -> bool:
    """Return whether every database can store a moment, in any time zone."""
    return 1970 <= moment.year <= 9000


class PaymentPagination(CursorPagination):
    """Newest first, 20 a page or as many as the client asks for, up to 100."""

    ordering = ("-created_at", "-pk")
    page_size = 20
    page_size_query_param = "page_size"
    max_page_size = 100
    cursor_query_description = "The position of another page, as in its `next` and `previous` links."

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> Any:
        self.base_url = request.build_absolute_uri()
        size = self.get_page_size(request) or self.page_size
        position, is_backward = self._read_cursor(request)
        found = list(_from(queryset, position, is_backward)[: size + 1])
        page, has_more = found[:size], len(found) > size
        if is_backward:
            page.reverse()
        first = last = None
        if page:
            first, last = _position_of(page[0]), _position_of(page[-1])
        elif position:
            # The page is empty: the payment of the cursor is on the other side.
            moment, key = position
            first, last = (moment, key - 1), (moment, key + 1)
        self.next_start = last if has_more or is_backward else None
        self.previous_start = first if (has_more if is_backward else position) else None
        self.display_page_controls = bool(self.next_start or self.previous_start)
        return page

    def get_next_link(self) -> str | None:
        return self.next_start and self.encode_cursor(Cursor(0, False, _encoded(self.next_start)))

    def get_previous_link(self) -> str | None:
        return self.previous_start and self.encode_cursor(Cursor(0, True, _encoded(self.previous_start)))

    def _read_cursor(self, request: Any) -> tuple[Position | None, bool]:
        """Return the position where the page starts, and whether to go to newer payments. Raises ``ParseError``."""
        if not request.query_params.get(self.cursor_query_param):
            return None, False
        try:
            cursor: Any = self.decode_cursor(request)
        except NotFound as error:
            raise ParseError(_("Invalid cursor.")) from error
        return _decoded(str(cursor.position)), cursor.reverse

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": {**link, "description": "The page with older payments, or null."},
                "previous": {**link, "description": "The page with newer payments, or null."},
                "results": schema,
            },
        }


def _from(queryset: QuerySet[Payment], position: Position | None, is_backward: bool) -> QuerySet[Payment]:
    """Return the payments after a position, nearest first: older ones, or newer ones when paging backward."""
    order = ("created_at", "pk") if is_backward else ("-created_at", "-pk")
    if position:
        queryset = queryset.filter(after(position, *order))
    return queryset.order_by(*order)


def _position_of(payment: Payment) -> Position:
    return payment.created_at, payment.pk


def _encoded(position: Position) -> Any:
    moment, key = position
    return f"{moment.isoformat()} {key}"


def _decoded(text: str) -> Position:
    """Return the position in a cursor. Raises ``ParseError`` if it was not made here."""
    date, _space, key = text.rpartition(" ")
    try:
        moment = datetime.fromisoformat(date)
    except ValueError as error:
        raise ParseError(_("Invalid cursor.")) from error
    if not is_aware(moment) or not is_storable(moment) or not re.fullmatch("-?[0-9]{1,18}", key):
        raise ParseError(_("Invalid cursor."))
    return moment, int(key)
