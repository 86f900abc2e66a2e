"""Bounds on request bodies, before and after they are parsed."""

from collections.abc import Iterable, Mapping
from io import BytesIO
from itertools import islice
from typing import Any

from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.request import Request

from django_paiementpro.gateway import parsing
from django_paiementpro.gateway.parsing import MAX_BODY
from django_paiementpro.gateway.text import clean

MAX_DEPTH = 16

#: How many values a body may have. JSON of ``MAX_BODY`` bytes has fewer, but YAML can multiply its values.
MAX_VALUES = 65_536


class BoundedRequest(Request):
    """A request that reads its body when it is first needed, and at most ``MAX_BODY`` bytes of it."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.http_request = request

    @cached_property
    def body(self) -> bytes:
        """
        Return the body, if it is UTF-8 and not too long. Raises ``ParseError``.

        Python decodes some other charsets to a thousand times their size.
        """
        request = self.http_request
        if (request.content_params or {}).get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
            raise ParseError(_("The body is not UTF-8."))
        try:
            content = parsing.read_body(request)
        except ValueError as error:
            raise ParseError(_("The Content-Length is not a number.")) from error
        if content is None:
            raise ParseError(_("The body is longer than %(bytes)d bytes.") % {"bytes": MAX_BODY})
        # A chunked body has no length, without which the parser of multipart forms reads nothing.
        request.META["CONTENT_LENGTH"] = str(len(content))
        return content

    @property
    def stream(self) -> BytesIO | None:
        return BytesIO(self.body) if self.body else None


def read_body(request: Request) -> Any:
    """Return the parsed body, if it can be stored. Raises ``ParseError``."""
    try:
        data = request.data
    except RecursionError as error:
        raise ParseError(_("The body is nested too deeply.")) from error
    check_body(data)
    return data


def check_body(data: Any) -> None:
    """Reject NUL characters and lone surrogates, which no database stores, and deep nesting. Raises ``ParseError``."""
    level: list[Any] = [data]
    for _depth in range(MAX_DEPTH):
        for text in level:
            if isinstance(text, str) and clean(text) != text:
                raise ParseError(_("The body has invalid characters."))
        level = list(islice((part for value in level for part in _parts(value)), MAX_VALUES + 1))
        if not level:
            return
        if len(level) > MAX_VALUES:
            break
    raise ParseError(_("The body is nested too deeply."))


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, (list, tuple, set)) else []
