"""
The pages of a list: keyset pagination by moment and key.

REST framework's own cursor holds only the moment: if many payments share one, it repeats or skips some of them.
"""

import re
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.timezone import is_aware
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound, ParseError
from rest_framework.pagination import Cursor, CursorPagination

from django_paiementpro.models import Payment

#: A place in the list: the moment and the key of a payment.
Place = tuple[datetime, int]


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

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> Any:
        self.base_url = request.build_absolute_uri()
        size = self.get_page_size(request) or self.page_size
        place, is_backward = self._read_cursor(request)
        found = list(_from(queryset, place, is_backward)[: size + 1])
        page, goes_on = found[:size], len(found) > size
        if is_backward:
            page.reverse()
        first = last = None
        if page:
            first, last = _place_of(page[0]), _place_of(page[-1])
        elif place:
            # No payment is left on this side; the payment that the cursor names is on the other.
            moment, key = place
            first, last = (moment, key - 1), (moment, key + 1)
        self.next_place = last if goes_on or is_backward else None
        self.previous_place = first if (goes_on if is_backward else place) else None
        self.display_page_controls = bool(self.next_place or self.previous_place)
        return page

    def get_next_link(self) -> str | None:
        return self.next_place and self.encode_cursor(Cursor(0, False, _written(self.next_place)))

    def get_previous_link(self) -> str | None:
        return self.previous_place and self.encode_cursor(Cursor(0, True, _written(self.previous_place)))

    def _read_cursor(self, request: Any) -> tuple[Place | None, bool]:
        """Return the place that the page starts from, and whether it leads to newer payments. Raises ``ParseError``."""
        if not request.query_params.get(self.cursor_query_param):
            return None, False
        try:
            cursor: Any = self.decode_cursor(request)
        except NotFound as error:
            raise ParseError(_("The cursor is not valid.")) from error
        return _read(str(cursor.position)), cursor.reverse

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


def _from(queryset: QuerySet[Payment], place: Place | None, is_backward: bool) -> QuerySet[Payment]:
    """Return the payments behind a place, the nearest first: older ones, or newer ones on the way back."""
    side, order = ("gt", ("created_at", "pk")) if is_backward else ("lt", ("-created_at", "-pk"))
    if place:
        moment, key = place
        # The first condition follows from the second; databases look it up in an index.
        queryset = queryset.filter(
            Q(**{f"created_at__{side}": moment}) | Q(**{f"pk__{side}": key}), **{f"created_at__{side}e": moment}
        )
    return queryset.order_by(*order)


def _place_of(payment: Payment) -> Place:
    return payment.created_at, payment.pk


def _written(place: Place) -> Any:
    moment, key = place
    return f"{moment.isoformat()} {key}"


def _read(position: str) -> Place:
    """Return the place that a cursor names. Raises ``ParseError`` if it was not made here."""
    text, _space, key = position.rpartition(" ")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ParseError(_("The cursor is not valid.")) from error
    if not is_aware(moment) or not is_storable(moment) or not re.fullmatch("-?[0-9]{1,18}", key):
        raise ParseError(_("The cursor is not valid."))
    return moment, int(key)
