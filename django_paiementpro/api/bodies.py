"""What a body may be, before anything is made of it."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from django.http.request import RawPostDataException
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.request import Request

from django_paiementpro.gateway import parsing
from django_paiementpro.gateway.parsing import MAX_BODY
from django_paiementpro.gateway.text import clean

MAX_DEPTH = 16

#: How many values a body may have: no JSON of ``MAX_BODY`` bytes has more, but a YAML that multiplies itself has.
MAX_VALUES = 65_536


class BoundedRequest(Request):
    """A request whose body is read when it is asked for, and no further than ``MAX_BODY`` bytes."""

    @property
    def stream(self) -> Any:
        bound_body(self._request)
        return super().stream


def bound_body(request: Any) -> None:
    """
    Read the body, if it is UTF-8 and no longer than ``MAX_BODY`` bytes. Raises ``ParseError``.

    Another charset may be one that Python decodes to a thousand times its size.
    """
    if (request.content_params or {}).get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
        raise ParseError(_("The body is not UTF-8."))
    try:
        content = parsing.read_body(request)
    except ValueError as error:
        raise ParseError(_("The length of the body is no number.")) from error
    except RawPostDataException:
        return  # middleware of the host's has parsed it already
    if content is None:
        raise ParseError(_("The body is longer than %(bytes)d bytes.") % {"bytes": MAX_BODY})
    # Django finds no body that comes in chunks, and REST framework reads none without a length: this is the body now.
    request._body, request._read_started = content, True
    request.META["CONTENT_LENGTH"] = str(len(content))


def read_body(request: Request) -> Any:
    """Return what the host's parsers make of the body, if it may be stored. Raises ``ParseError``."""
    try:
        data = request.data
    except RecursionError as error:
        raise ParseError(_("The body is nested too deeply.")) from error
    check_body(data)
    return data


def check_body(data: Any) -> None:
    """
    Refuse what no database stores, and what is nested for the sake of it. Raises ``ParseError``.

    That are NUL characters and halves of surrogate pairs, which JSON can carry, in names as in values.
    """
    level: list[Any] = [data]
    for _depth in range(MAX_DEPTH):
        for text in level:
            if isinstance(text, str) and clean(text) != text:
                raise ParseError(_("The body has characters that stand for nothing."))
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
