"""What clients may say, and what they are told. A host may subclass each."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from django_paiementpro import return_urls
from django_paiementpro.api.pages import PaymentPagination, is_storable
from django_paiementpro.api.problems import PREFIX, TITLES
from django_paiementpro.conf import conf
from django_paiementpro.enums import Status
from django_paiementpro.models import Payment, offered_channels
from django_paiementpro.services.checkout import absolute_url

#: What the shop decides, and no client.
DECIDED_BY_THE_SHOP = frozenset({"amount", "currency", "merchant_id", "status"})

#: What a form of Django's has beside its fields.
CSRF_FIELD = "csrfmiddlewaretoken"

#: Of how many fields that are none a client is told.
MAX_UNKNOWN = 20


def check_moment(moment: datetime) -> None:
    if not is_storable(moment):
        raise serializers.ValidationError(_("This is no moment of a payment."))


class StrictSerializer(serializers.Serializer[Any]):
    """Refuse fields that are none, where REST framework would drop them without a word."""

    def to_internal_value(self, data: Any) -> Any:
        names = set(data) if isinstance(data, Mapping) else set()
        if unknown := sorted(map(str, names - {*self.fields, CSRF_FIELD})):
            raise serializers.ValidationError({name: [_refusal(name)] for name in unknown[:MAX_UNKNOWN]})
        return super().to_internal_value(data)


def _refusal(name: str) -> Any:
    if name in DECIDED_BY_THE_SHOP:
        return _("The shop decides this: leave it out.")
    return _("There is no such field.")


class TextField(serializers.CharField):
    """A text: a number or a truth value is none, where REST framework would write it out."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class StatusField(serializers.ChoiceField):
    """Where a payment stands."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=Status.choices, **kwargs)


class ChannelField(serializers.ChoiceField):
    """A means of payment that the merchant account has, as the settings say now."""

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
    What a client may say of a new payment.

    The fields of ``PAIEMENTPRO_API_CUSTOMER_FIELDS`` come on top: what a client says in them takes the place of what
    the factory wrote.
    """

    order = TextField(max_length=255, help_text="What is to be paid, in the shop’s own words: the factory reads it.")
    channel = ChannelField(
        required=False,
        allow_blank=True,
        default="",
        help_text="By which means; empty lets the payer choose on the gateway’s page.",
    )
    return_to = TextField(
        max_length=500,
        required=False,
        allow_blank=True,
        default="",
        help_text=(
            "Where the payer comes back to: a path of this site, or a URL or an app’s link that the shop allows. "
            "`{reference}` in it is replaced."
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
            raise serializers.ValidationError(_("The payer may not be sent there."), code="return_to")
        return value


def _customer_field(name: str) -> serializers.Field[Any, Any, Any, Any]:
    model_field = Payment._meta.get_field(name)
    return TextField(
        max_length=getattr(model_field, "max_length", None),
        required=False,
        help_text="The payer’s, in the place of what the shop knows.",
    )


class OpenedPaymentSerializer(serializers.Serializer[Payment]):
    """A payment that has just been taken to the gateway."""

    reference = serializers.CharField(help_text="The payment’s own name.")
    status = StatusField(help_text="Where it stands.")
    checkout_url = serializers.SerializerMethodField(
        help_text="Send the payer here: it leads to the gateway, and can be tried again."
    )
    payment_url = serializers.SerializerMethodField(
        help_text="The gateway’s page itself, fresh for a few minutes; null where there is none."
    )
    status_url = serializers.SerializerMethodField(
        help_text="Tells where the payment stands, to whoever has this link, without signing in."
    )

    def get_checkout_url(self, payment: Payment) -> str:
        return self._absolute(payment.get_checkout_url())

    def get_payment_url(self, payment: Payment) -> str | None:
        return payment.payment_url if payment.status == Status.PENDING and payment.payment_url else None

    def get_status_url(self, payment: Payment) -> str:
        return self._absolute(payment.get_status_url())

    def _absolute(self, path: str) -> str:
        return absolute_url(path, self.context["request"]._request)


class PaymentSerializer(OpenedPaymentSerializer):
    """A payment as its owner sees it: without personal data."""

    is_final = serializers.BooleanField(help_text="Whether the payer has an answer.")
    amount = serializers.IntegerField(help_text="In whole francs.")
    refunded_amount = serializers.IntegerField(help_text="The amount refunded, in whole francs.")
    currency = serializers.CharField(help_text="ISO 4217.")
    description = serializers.CharField(help_text="What is paid.")
    order = serializers.CharField(
        source="object_id", allow_null=True, help_text="The key of the shop’s order; null where it has none."
    )
    channel = serializers.CharField(
        help_text="The means that was used, or else asked for; empty where the payer has not chosen."
    )
    created_at = serializers.DateTimeField(help_text="When it was made.")
    updated_at = serializers.DateTimeField(help_text="When it last changed.")
    settled_at = serializers.DateTimeField(allow_null=True, help_text="When it was settled; null until then.")

    def to_representation(self, instance: Payment) -> dict[str, Any]:
        data: dict[str, Any] = super().to_representation(instance)
        data["channel"] = instance.gateway_channel or instance.channel
        return data


class FilterSerializer(serializers.Serializer[Any]):
    """What a list may be narrowed to."""

    status = serializers.MultipleChoiceField(choices=Status.choices, required=False, help_text="Where it stands.")
    order = TextField(
        max_length=255, required=False, allow_blank=True, help_text="The key of the shop’s order; empty for any."
    )
    created_after = serializers.DateTimeField(
        required=False, validators=[check_moment], help_text="Made at this moment or later."
    )
    created_before = serializers.DateTimeField(
        required=False, validators=[check_moment], help_text="Made before this moment."
    )
    page_size = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=PaymentPagination.max_page_size,
        help_text="How many payments a page has.",
    )


class ProblemSerializer(serializers.Serializer[Any]):
    """A problem (RFC 9457)."""

    type = serializers.CharField(
        help_text=(
            f"Which problem it is: what a program looks at. `{PREFIX}` and one of "
            f"{', '.join(f'`{kind}`' for kind in TITLES)}; `about:blank` for what the shop itself raises."
        )
    )
    title = serializers.CharField(help_text="The same in the client’s language.")
    status = serializers.IntegerField(help_text="The HTTP status.")
    detail = serializers.CharField(help_text="What to do about it, in the client’s language.")
    reference = serializers.CharField(required=False, help_text="The payment that was kept.")
    checkout_url = serializers.CharField(required=False, help_text="The link by which it is tried again.")
    status_url = serializers.CharField(required=False, help_text="The link that tells where it stands.")

    def get_fields(self) -> dict[str, Any]:
        errors = serializers.DictField(
            child=serializers.JSONField(),
            required=False,
            help_text="What is wrong, by field: a list of texts for each.",
        )
        # Serializers have an attribute of this name.
        return {**super().get_fields(), "errors": errors}
