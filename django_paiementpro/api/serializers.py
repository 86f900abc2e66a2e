"""Requests and answers. Hosts may subclass these serializers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from django_paiementpro import return_urls
from django_paiementpro.api.pagination import PaymentPagination, is_storable
from django_paiementpro.api.problems import PREFIX, TITLES
from django_paiementpro.conf import conf
from django_paiementpro.enums import Status
from django_paiementpro.models import Payment, offered_channels
from django_paiementpro.services.checkout import absolute_url

#: What only the shop decides.
DECIDED_BY_THE_SHOP = frozenset({"amount", "currency", "merchant_id", "status"})

#: The name of the CSRF token in Django's forms.
CSRF_FIELD = "csrfmiddlewaretoken"

#: How many unknown fields to report.
MAX_UNKNOWN = 20


def check_moment(moment: datetime) -> None:
    if not is_storable(moment):
        raise serializers.ValidationError(_("Invalid date."))


class StrictSerializer(serializers.Serializer[Any]):
    """Reject unknown fields instead of ignoring them silently."""

    def to_internal_value(self, data: Any) -> Any:
        names = set(data) if isinstance(data, Mapping) else set()
        if unknown := sorted(map(str, names - {*self.fields, CSRF_FIELD})):
            raise serializers.ValidationError({name: [_reason(name)] for name in unknown[:MAX_UNKNOWN]})
        return super().to_internal_value(data)


def _reason(name: str) -> Any:
    if name in DECIDED_BY_THE_SHOP:
        return _("Only the shop decides this: leave it out.")
    return _("Unknown field.")


class TextField(serializers.CharField):
    """A text. Numbers and booleans are rejected, where REST framework would convert them."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class StatusField(serializers.ChoiceField):
    """The status of a payment."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=Status.choices, **kwargs)


class ChannelField(serializers.ChoiceField):
    """A payment method of the merchant account, as the settings list them now."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=(), **kwargs)

    def bind(self, field_name: str, parent: Any) -> None:
        self.choices = dict(offered_channels())
        super().bind(field_name, parent)

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=type(data).__name__)
        return super().to_internal_value(data)


class NewPaymentSerializer(StrictSerializer):
    """
    A request for a new payment.

    The fields of ``PAIEMENTPRO_API_CUSTOMER_FIELDS`` are added; they override the factory's values.
    """

    order = TextField(max_length=255, help_text="What to pay for, as the shop’s payment factory expects it.")
    channel = ChannelField(
        required=False,
        allow_blank=True,
        default="",
        help_text="The payment method; if empty, the customer chooses on the gateway’s page.",
    )
    return_to = TextField(
        max_length=500,
        required=False,
        allow_blank=True,
        default="",
        help_text=(
            "Where the customer returns to: a path on this site, or a URL or app link that the shop allows. "
            "`{reference}` is replaced."
        ),
    )

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for name in conf.api_customer_fields:
            fields.setdefault(name, _customer_field(name))
        return fields

    def validate_return_to(self, value: str) -> str:
        target = value.replace("{reference}", "0")
        request = self.context["request"]
        is_own = target[:1] == "/" != target[1:2] and url_has_allowed_host_and_scheme(target, {request.get_host()})
        if value and not is_own and not return_urls.is_allowed(target, conf.return_hosts):
            raise serializers.ValidationError(_("Customers may not be sent there."), code="return_to")
        return value


def _customer_field(name: str) -> serializers.Field[Any, Any, Any, Any]:
    model_field = Payment._meta.get_field(name)
    return TextField(
        max_length=getattr(model_field, "max_length", None),
        required=False,
        help_text="The customer’s, overrides the shop’s value.",
    )


class OpenedPaymentSerializer(serializers.Serializer[Payment]):
    """A payment whose page has just been opened."""

    reference = serializers.CharField(help_text="The reference of the payment.")
    status = StatusField(help_text="The status of the payment.")
    checkout_url = serializers.SerializerMethodField(
        help_text="Send the customer here: it redirects to the gateway, and can be retried."
    )
    payment_url = serializers.SerializerMethodField(help_text="The gateway’s page, valid for a few minutes, or null.")
    status_url = serializers.SerializerMethodField(
        help_text="The status, readable without authentication by anyone who has this link."
    )

    def get_checkout_url(self, payment: Payment) -> str:
        return self._absolute(payment.get_checkout_url())

    def get_payment_url(self, payment: Payment) -> str | None:
        return payment.payment_url if payment.status == Status.PENDING and payment.payment_url else None

    def get_status_url(self, payment: Payment) -> str:
        return self._absolute(payment.get_status_url())

    def _absolute(self, path: str) -> str:
        return absolute_url(path, self.context["request"])


class PaymentSerializer(OpenedPaymentSerializer):
    """A payment as its owner sees it, without personal data."""

    is_final = serializers.BooleanField(help_text="Whether the customer has a final answer.")
    amount = serializers.IntegerField(help_text="In whole francs.")
    refunded_amount = serializers.IntegerField(help_text="The amount refunded, in whole francs.")
    currency = serializers.CharField(help_text="ISO 4217.")
    description = serializers.CharField(help_text="What the payment is for.")
    order = serializers.CharField(
        source="object_id", allow_null=True, help_text="The key of the shop’s order, or null."
    )
    channel = serializers.CharField(
        help_text="The payment method used, or else the one requested; empty if none was chosen yet."
    )
    created_at = serializers.DateTimeField(help_text="Time of creation.")
    updated_at = serializers.DateTimeField(help_text="Time of the last change.")
    settled_at = serializers.DateTimeField(allow_null=True, help_text="Time of settlement, or null.")

    def to_representation(self, instance: Payment) -> dict[str, Any]:
        data: dict[str, Any] = super().to_representation(instance)
        data["channel"] = instance.gateway_channel or instance.channel
        return data


class FilterSerializer(serializers.Serializer[Any]):
    """Filters of the list."""

    status = serializers.MultipleChoiceField(
        choices=Status.choices, required=False, help_text="The status of the payment."
    )
    order = TextField(
        max_length=255, required=False, allow_blank=True, help_text="The key of the shop’s order; empty for any."
    )
    created_after = serializers.DateTimeField(
        required=False, validators=[check_moment], help_text="Created at this time or later."
    )
    created_before = serializers.DateTimeField(
        required=False, validators=[check_moment], help_text="Created before this time."
    )
    page_size = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=PaymentPagination.max_page_size,
        help_text="Payments per page.",
    )


class ProblemSerializer(serializers.Serializer[Any]):
    """A problem (RFC 9457)."""

    type = serializers.CharField(
        help_text=(
            f"The kind of problem, for programs. `{PREFIX}` followed by one of "
            f"{', '.join(f'`{kind}`' for kind in TITLES)}; `about:blank` for other errors of the shop."
        )
    )
    title = serializers.CharField(help_text="The kind of problem, in the client’s language.")
    status = serializers.IntegerField(help_text="The HTTP status.")
    detail = serializers.CharField(help_text="Details, in the client’s language.")
    reference = serializers.CharField(required=False, help_text="The reference of the payment, which is kept.")
    checkout_url = serializers.CharField(required=False, help_text="The link to retry it.")
    status_url = serializers.CharField(required=False, help_text="The link to its status.")

    def get_fields(self) -> dict[str, Any]:
        errors = serializers.DictField(
            child=serializers.JSONField(),
            required=False,
            help_text="Lists of messages, by field.",
        )
        # Serializers have an attribute called "errors".
        return {**super().get_fields(), "errors": errors}
