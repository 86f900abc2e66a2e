import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_view
from rest_framework import permissions
from rest_framework.exceptions import NotFound
from rest_framework.exceptions import ValidationError as InvalidRequest
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from django_paiementpro.api.pagination import PaymentPagination
from django_paiementpro.api.parsing import read_body
from django_paiementpro.api.problems import Problem
from django_paiementpro.api.serializers import CSRF_FIELD
from django_paiementpro.api.viewsets import ApiViewSet
from django_paiementpro.db.connections import database, read
from django_paiementpro.http import conditional_response
from django_paiementpro.links.api import schema
from django_paiementpro.links.api.serializers import LinkFilterSerializer, LinkSerializer, NewLinkSerializer
from django_paiementpro.links.models import PaymentLink
from django_paiementpro.links.services import find_link, store_link, totals_of


@extend_schema_view(**schema.OPERATIONS)
class LinkViewSet(ApiViewSet[PaymentLink]):
    """
    List, retrieve and make payment links.

    Hosts may subclass it, register it with a router of their own, and set other permission, throttle, authentication,
    parser and renderer classes than those of REST framework's settings.
    """

    queryset = PaymentLink.objects.all()
    serializer_class = LinkSerializer
    #: The request for a new link.
    new_link_serializer_class = NewLinkSerializer
    pagination_class = PaymentPagination
    filter_backends = ()
    lookup_field = "token"
    lookup_value_regex = "[^/]+"  # an invalid token is answered like an unknown one
    lookup_value_converter = "str"

    # To override ------------------------------------------------------------------------------------------------------

    def get_permissions(self) -> Any:
        """
        Return the permissions that are required: those of REST framework's settings.

        If these let everyone in, as they do by default, only staff may use payment links.
        """
        found = super().get_permissions()
        if all(type(each) is permissions.AllowAny for each in found):
            return [permissions.IsAdminUser()]
        return found

    def get_queryset(self) -> QuerySet[PaymentLink]:
        """Return the links that the user may see: their own, or all of them for those who may view payment links."""
        links = PaymentLink.objects.using(database())
        user = self._user
        if user is None:
            return links.none()
        return links if self._may("view_paymentlink") else links.filter(created_by=self._user_id)

    def filter_queryset(self, queryset: QuerySet[PaymentLink, Any]) -> QuerySet[PaymentLink, Any]:
        """Filter a list by the query string."""
        # A plain dict: REST framework treats empty values of a QueryDict as missing.
        filters = LinkFilterSerializer(data=self.request.query_params.dict())
        filters.is_valid(raise_exception=True)
        lookups = {
            "is_active": "is_active",
            "is_reusable": "is_reusable",
            "created_after": "created_at__gte",
            "created_before": "created_at__lt",
        }
        asked = {
            lookups[name]: value
            for name, value in filters.validated_data.items()
            if value is not None and name in lookups
        }
        return queryset.filter(**asked)

    def make_link(self, data: Mapping[str, Any]) -> PaymentLink:
        """Return the link for a request, unsaved and validated. Naming a merchant takes a permission of its own."""
        if "merchant_id" in data and not self._may("choose_merchant"):
            raise InvalidRequest({"merchant_id": [_("Only the shop decides this: leave it out.")]})
        link = PaymentLink(**data, created_by=self._user)
        try:
            link.full_clean(exclude={"created_by"}, validate_unique=False, validate_constraints=False)
        except ValidationError as error:
            raise InvalidRequest(error.message_dict) from error
        return link

    # Operations -------------------------------------------------------------------------------------------------------

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page: Any = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self._serialized(page))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        [data] = self._serialized([self.get_object()])
        # Each media type has its own tag.
        content = JSONRenderer().render(data) + str(request.accepted_media_type).encode()
        return conditional_response(self._http_request, Response(data), content, None)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        body = read_body(request)
        serializer = self.get_serializer(data=body)
        serializer.is_valid(raise_exception=True)
        key = self._idempotency_key(request)
        said = cast("Mapping[str, Any]", body)
        content = json.dumps({name: said[name] for name in said if name != CSRF_FIELD}, sort_keys=True, default=str)
        link = store_link(self.make_link(serializer.validated_data), key, content)
        if link is None:
            raise Problem("key-reused", _("Use a new key for a new request."))
        [data] = self._serialized([link])
        headers = {}
        if self.basename:
            headers["Location"] = self.reverse_action("detail", kwargs={**self.kwargs, "token": link.token})
        return Response(data, status=201, headers=headers)

    # Internals --------------------------------------------------------------------------------------------------------

    def get_object(self) -> PaymentLink:
        """Return the link with exactly this token; 404 also if the user may not see it."""
        link = find_link(self.kwargs[self.lookup_field])
        if link is None or not read(self.get_queryset().filter(pk=link.pk).exists):
            raise NotFound
        self.check_object_permissions(self.request, link)
        return link

    def get_serializer_class(self) -> Any:
        """Return the serializer of requests; the answers have one of their own."""
        return self.new_link_serializer_class

    def _serialized(self, links: Iterable[PaymentLink]) -> Any:
        found: Any = list(links)
        context = {**self.get_serializer_context(), "totals": totals_of(found)}
        return self.serializer_class(found, many=True, context=context).data

    def _may(self, codename: str) -> bool:
        """Return whether the user is staff with a permission for payment links."""
        user = self._user
        has_perm = getattr(user, "has_perm", None)  # missing in some user models
        return bool(getattr(user, "is_staff", False) and has_perm and has_perm(f"paiementpro_links.{codename}"))

    def _idempotency_key(self, request: Request) -> str:
        """Return the key with the user whose it is, or an empty string. Raises ``Problem``."""
        header = request.headers.get("Idempotency-Key")
        if header is None:
            return ""
        key = header[1:-1] if re.fullmatch('".*"', header) else header
        if not re.fullmatch("[A-Za-z0-9_.:-]{1,255}", key):
            raise Problem("invalid-key", _("Send an Idempotency-Key header: a new UUID for each payment link."))
        return f"payment link {self._user_id}\n{key}"
