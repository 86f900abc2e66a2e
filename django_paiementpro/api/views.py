import json
import re
from collections.abc import Mapping
from typing import Any, cast

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import IntegrityError
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_view
from rest_framework.decorators import action
from rest_framework.exceptions import MethodNotAllowed, NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from django_paiementpro import log, services
from django_paiementpro.api import schema
from django_paiementpro.api.pagination import PaymentPagination
from django_paiementpro.api.parsing import read_body
from django_paiementpro.api.problems import (
    Problem,
    gateway_problem,
    invalid_payment,
)
from django_paiementpro.api.serializers import (
    CSRF_FIELD,
    FilterSerializer,
    NewPaymentSerializer,
    OpenedPaymentSerializer,
    PaymentSerializer,
)
from django_paiementpro.api.viewsets import ApiViewSet
from django_paiementpro.conf import conf
from django_paiementpro.db.connections import database, read
from django_paiementpro.enums import Status
from django_paiementpro.exceptions import GatewayRefusedError, GatewayUnavailableError
from django_paiementpro.http import conditional_response
from django_paiementpro.models import IdempotencyKey, Payment
from django_paiementpro.services.checkout import gateway_place, require_payable
from django_paiementpro.services.idempotency import IdempotentRequest, find_key, store_payment

#: How long the keys of anonymous clients must be: they share one namespace, so a key must not be guessable.
ANONYMOUS_KEY_LENGTH = 32


@extend_schema_view(**schema.OPERATIONS)
class PaymentViewSet(ApiViewSet[Payment]):
    """
    List, retrieve and open payments.

    Hosts may subclass it, register it with a router of their own, and set other permission, throttle, authentication,
    parser and renderer classes than those of REST framework's settings.
    """

    queryset = Payment.objects.all()
    serializer_class = PaymentSerializer
    #: The request for a new payment.
    new_payment_serializer_class = NewPaymentSerializer
    #: The answer with an opened payment.
    opened_payment_serializer_class = OpenedPaymentSerializer
    pagination_class = PaymentPagination
    filter_backends = ()
    lookup_field = "reference"
    lookup_value_regex = "[^/]+"  # an invalid reference is answered like an unknown one
    lookup_value_converter = "str"

    # To override ------------------------------------------------------------------------------------------------------

    def get_queryset(self) -> QuerySet[Payment]:
        """
        Return the payments that the user may see: their own, or all of them for staff who may view payments.

        Users of a model other than ``AUTH_USER_MODEL`` see none.
        """
        user = self._user
        payments = Payment.objects.using(database())
        if user is None:
            return payments.none()
        has_perm = getattr(user, "has_perm", None)  # missing in some user models
        if getattr(user, "is_staff", False) and has_perm and has_perm("paiementpro.view_payment"):
            return payments
        return payments.filter(user=self._user_id)

    def filter_queryset(self, queryset: QuerySet[Payment, Any]) -> QuerySet[Payment, Any]:
        """Filter a list by the query string."""
        query = self.request.query_params
        # A plain dict: REST framework treats empty values of a QueryDict as missing.
        filters = FilterSerializer(
            data={name: query.getlist(name) if name == "status" else query[name] for name in query}
        )
        filters.is_valid(raise_exception=True)
        lookups = {
            "status": "status__in",
            "order": "object_id",
            "created_after": "created_at__gte",
            "created_before": "created_at__lt",
        }
        asked = {lookups[name]: value for name, value in filters.validated_data.items() if value and name in lookups}
        return queryset.filter(**asked)

    def make_payment(self, data: Mapping[str, Any]) -> Payment:
        """
        Return the payment that the host's factory makes for a request, unsaved and completed.

        Without a user it belongs to the authenticated one. The request's ``channel`` and ``return_to`` fill what the
        factory left empty; the customer fields that the host allows override the factory's. A payment that is already
        stored is used as it is, and only for its own user.
        """
        factory = conf.payment_factory
        payment = factory(self._http_request, data) if factory else None
        if not isinstance(payment, Payment):
            raise ImproperlyConfigured("PAIEMENTPRO_PAYMENT_FACTORY: return a Payment")
        if not payment._state.adding:
            if payment.user_id is not None and payment.user_id != self._user_id:
                raise NotFound
            return payment
        if payment.user_id is None:
            payment.user = self._user
        return_to = data.get("return_to", "")
        payment.channel = payment.channel or data.get("channel", "")
        payment.success_url = payment.success_url or return_to
        payment.failure_url = payment.failure_url or return_to
        for name in conf.api_customer_fields:
            setattr(payment, name, data.get(name, getattr(payment, name)))
        return payment

    # Operations -------------------------------------------------------------------------------------------------------

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self._require_user()
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        payment = self.get_object()
        data = self.get_serializer(payment).data
        waiting_time = None if payment.is_final else payment.waiting_time
        # Each media type has its own tag.
        content = JSONRenderer().render(data) + str(request.accepted_media_type).encode()
        return conditional_response(self._http_request, Response(data), content, waiting_time)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=read_body(request))
        serializer.is_valid(raise_exception=True)
        idempotent = self._idempotent_request(request)
        stored = find_key(idempotent) if idempotent else None
        if stored is None:
            # Taken before anything is stored.
            with gateway_place():
                payment = self.make_payment(serializer.validated_data)
                self._check(payment)
                stored = _store(payment, idempotent)
                if stored is None:
                    self._open(payment, has_place=True)
                    return self._created(payment)
        if idempotent and not idempotent.matches(stored):
            raise Problem("key-reused", _("Use a new key for a new request."))
        return self._repeat(stored)

    @action(detail=True, methods=["post"])
    def checkout(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Open a new page for the payment: after an outage or a refusal, or when its page is stale."""
        payment = self.get_object()
        read_body(request)
        self._open(payment)
        return Response(self._opened(payment))

    # Internals --------------------------------------------------------------------------------------------------------

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if request.method == "POST" and "POST" not in self.allowed_methods:
            raise MethodNotAllowed("POST")
        super().initial(request, *args, **kwargs)

    @property
    def allowed_methods(self) -> Any:
        """The methods for ``Allow``. Without a factory, no payment can be created."""
        methods = super().allowed_methods
        creates = self.action_map.get("post") == "create" if self.action_map else False
        return [name for name in methods if not (creates and name == "POST" and conf.payment_factory is None)]

    def get_object(self) -> Payment:
        """Return the payment with exactly this reference; 404 also if it is another user's."""
        self._require_user()
        reference = self.kwargs[self.lookup_field]
        payment = None
        if re.fullmatch("[A-Za-z0-9_-]{1,64}", reference):
            payment = read(lambda: self.get_queryset().filter(reference=reference).first())
        if payment is None or payment.reference != reference:
            raise NotFound
        self.check_object_permissions(self.request, payment)
        return payment

    def get_serializer_class(self) -> Any:
        if self.action in {"create", "metadata"}:
            return self.new_payment_serializer_class
        return super().get_serializer_class()

    @property
    def _caller(self) -> str:
        """The client, for idempotency keys, or "". Users of two models may have the same primary key."""
        if self._user_id is not None:
            return f"user {self._user_id}"
        user = self._principal
        # Not type(), which returns the class of a SimpleLazyObject.
        model, key = user.__class__, getattr(user, "pk", None)
        return f"{model.__module__}.{model.__qualname__} {key}" if key is not None else ""

    def _idempotent_request(self, request: Request) -> IdempotentRequest | None:
        """Return the request as its key identifies it, or None if it has no key. Raises ``Problem``."""
        header = request.headers.get("Idempotency-Key")
        if header is None:
            if conf.api_key_required:
                raise Problem("key-missing", _("Send an Idempotency-Key header: a new UUID for each payment."))
            return None
        key = header[1:-1] if re.fullmatch('".*"', header) else header
        caller = self._caller
        least = 1 if caller else ANONYMOUS_KEY_LENGTH
        if not least <= len(key) <= 255 or not re.fullmatch("[A-Za-z0-9_.:-]+", key):
            raise Problem("invalid-key", _("Send an Idempotency-Key header: a new UUID for each payment."))
        said = cast("Mapping[str, Any]", request.data)
        body = {name: said[name] for name in said if name != CSRF_FIELD}
        # The URL may name the shop.
        url = [request.get_host().lower(), request.get_full_path()]
        content = json.dumps([url, body], sort_keys=True, default=str)
        return IdempotentRequest.of(f"{self.basename} {caller or 'anonymous'}", key, content)

    def _check(self, payment: Payment) -> None:
        """Check its state, and everything that would be stored or sent. Raises ``Problem``."""
        try:
            require_payable(payment)
            payment.full_clean(exclude={"user", "content_type"}, validate_unique=False, validate_constraints=False)
        except ValidationError as error:
            log.write_invalid(payment, error)
            raise invalid_payment(error, None if payment._state.adding else self._kept(payment)) from error

    def _open(self, payment: Payment, *, has_place: bool = False) -> None:
        """Take the payment to the gateway. Raises ``Problem`` with the links of the payment, which is kept."""
        try:
            services.initialize_payment(payment, self._http_request, has_place=has_place)
        except (GatewayRefusedError, GatewayUnavailableError) as error:
            raise gateway_problem(error, self._kept(payment)) from error
        except ValidationError as error:
            log.write_invalid(payment, error)
            raise invalid_payment(error, self._kept(payment)) from error

    def _repeat(self, stored: IdempotencyKey) -> Response:
        """Repeat the answer to the first request with this key; open the payment if that had failed."""
        payment = stored.payment
        if payment.opened_attempt is None:
            self._open(payment)
        return self._created(payment)

    def _created(self, payment: Payment) -> Response:
        data = self._opened(payment) | {"status": str(Status.PENDING), "payment_url": payment.payment_url}
        headers = {}
        if self._user_id is not None and self._user_id == payment.user_id and self.basename:
            which = {**self.kwargs, self.lookup_field: payment.reference}
            headers["Location"] = self.reverse_action("detail", kwargs=which)
        return Response(data, status=201, headers=headers)

    def _opened(self, payment: Payment) -> dict[str, Any]:
        serializer = self.opened_payment_serializer_class(payment, context=self.get_serializer_context())
        return cast("dict[str, Any]", serializer.data)

    def _kept(self, payment: Payment) -> dict[str, Any]:
        data = self._opened(payment)
        return {name: data[name] for name in ("reference", "checkout_url", "status_url")}


def _store(payment: Payment, request: IdempotentRequest | None) -> IdempotencyKey | None:
    try:
        return store_payment(payment, request)
    except IntegrityError as error:
        if not Payment.objects.using(database()).filter(reference=payment.reference).exists():
            raise
        errors = {"reference": [_("A payment with this reference already exists.")]}
        raise Problem("invalid-payment", _("Some of its data are invalid."), errors=errors) from error
