"""What the viewsets of the API have in common."""

import functools
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.db.models import Model
from django.http import HttpRequest
from django.utils.cache import patch_cache_control
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from django_paiementpro.api.parsing import BoundedRequest
from django_paiementpro.api.problems import ProblemRenderer, answer_problem
from django_paiementpro.db.connections import read
from django_paiementpro.http import non_atomic, reread

M = TypeVar("M", bound=Model)


class ApiViewSet(GenericViewSet[M]):
    """A viewset that answers with problem details, reads bodies late and to a bound, and needs no transaction."""

    @classmethod
    def as_view(cls, *args: Any, **kwargs: Any) -> Any:
        """Return the view, exempt from ``ATOMIC_REQUESTS``."""
        return non_atomic(reread(super().as_view(*args, **kwargs)))

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Return a request whose body is not read before the client has been authenticated."""
        made: Any = super().initialize_request(request, *args, **kwargs)
        self._http_request = request
        return BoundedRequest(request, made.parsers, made.authenticators, made.negotiator, made.parser_context)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # In most POST requests this is the first to read from the database.
        read(functools.partial(super().initial, request, *args, **kwargs))

    def get_exception_handler(self) -> Any:
        return answer_problem

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if getattr(response, "content_type", None) == ProblemRenderer.media_type:
            response.accepted_renderer = ProblemRenderer()
            response.accepted_media_type = ProblemRenderer.media_type
        if self.action == "retrieve" and response.status_code in {200, 304}:
            patch_cache_control(response, private=True, no_cache=True)
        else:
            patch_cache_control(response, private=True, no_store=True)
        return response

    @property
    def _principal(self) -> Any:
        """The authenticated user, of any model, or None."""
        user: Any = self.request.user
        return user if user and user.is_authenticated else None

    @property
    def _user(self) -> Any:
        """The authenticated user, if their model is ``AUTH_USER_MODEL``, which payments refer to."""
        return self._principal if self._user_id is not None else None

    @property
    def _user_id(self) -> Any:
        """The key of that user, as payments store it: a subclass may have a key of its own."""
        model = get_user_model()
        user = self._principal
        return getattr(user, model._meta.pk.attname) if isinstance(user, model) else None

    def _require_user(self) -> None:
        if self._principal is None:
            raise NotAuthenticated
