"""Requests and answers. Hosts may subclass these serializers."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from django_paiementpro.api.pagination import PaymentPagination
from django_paiementpro.api.serializers import ChannelField, StrictSerializer, TextField, check_moment
from django_paiementpro.links.models import MAX_SUGGESTED, LinkState, PaymentLink
from django_paiementpro.links.services import LARGEST_AMOUNT, Totals
from django_paiementpro.services.checkout import absolute_url

#: The most that all databases store in such a column.
MOST_PAYMENTS = 2**31 - 1


class LinkStateField(serializers.ChoiceField):
    """Whether a link can be paid, and why not."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=LinkState.choices, **kwargs)


def _amount(**kwargs: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=LARGEST_AMOUNT, required=False, allow_null=True, **kwargs)


def _text(length: int | None, **kwargs: Any) -> TextField:
    return TextField(max_length=length, required=False, allow_blank=True, **kwargs)


class NewLinkSerializer(StrictSerializer):
    """A request for a new payment link."""

    title = TextField(max_length=500, help_text="What is paid.")
    description = _text(10_000, help_text="More about it, for the customer.")
    amount = _amount(help_text="In whole francs; null lets the customer choose.")
    min_amount = _amount(help_text="The smallest amount that the customer may choose.")
    max_amount = _amount(help_text="The largest amount that the customer may choose.")
    suggested_amounts = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_AMOUNT),
        max_length=MAX_SUGGESTED,
        required=False,
        help_text="Amounts to choose from with one tap.",
    )
    currency = TextField(max_length=3, required=False, help_text="ISO 4217.")
    merchant_id = TextField(
        max_length=64, required=False, help_text="Another merchant than the shop’s: for users who may choose it."
    )
    channel = ChannelField(
        required=False, allow_blank=True, help_text="The payment method; if empty, the customer chooses."
    )
    customer_name = _text(300, help_text="Whom the link is for. The page shows it.")
    customer_phone = _text(32, help_text="Where the shop sends the link. The page does not show it.")
    is_reusable = serializers.BooleanField(required=False, help_text="Whether several customers can pay it.")
    max_payments = serializers.IntegerField(
        min_value=1,
        max_value=MOST_PAYMENTS,
        required=False,
        allow_null=True,
        help_text="How many payments a reusable link takes; null for any number.",
    )
    expires_at = serializers.DateTimeField(
        required=False,
        allow_null=True,
        validators=[check_moment],
        help_text="When it stops taking payments; null for never.",
    )
    closed_message = _text(10_000, help_text="What customers read when it is off, full or past its date.")
    success_message = _text(10_000, help_text="What customers read once they have paid.")
    success_url = _text(500, help_text="Where they go instead: a path of this site, or a URL that the shop allows.")


class LinkSerializer(serializers.Serializer[PaymentLink]):
    """A payment link, and what came in through it."""

    token = serializers.CharField(help_text="Identifies the link. Anyone who knows it can pay.")
    url = serializers.SerializerMethodField(help_text="The address to share.")
    qr_svg_url = serializers.SerializerMethodField(help_text="The QR code of the address, as SVG.")
    qr_png_url = serializers.SerializerMethodField(help_text="The QR code of the address, as PNG.")
    title = serializers.CharField(help_text="What is paid.")
    description = serializers.CharField(help_text="More about it, for the customer.")
    amount = serializers.IntegerField(allow_null=True, help_text="In whole francs; null lets the customer choose.")
    min_amount = serializers.IntegerField(allow_null=True, help_text="The smallest amount to choose.")
    max_amount = serializers.IntegerField(allow_null=True, help_text="The largest amount to choose.")
    suggested_amounts = serializers.ListField(
        child=serializers.IntegerField(), help_text="Amounts to choose from with one tap."
    )
    currency = serializers.CharField(help_text="ISO 4217.")
    merchant_id = serializers.CharField(help_text="Whom the money goes to.")
    channel = serializers.CharField(help_text="The payment method; if empty, the customer chooses.")
    customer_name = serializers.CharField(help_text="Whom the link is for.")
    customer_phone = serializers.CharField(help_text="Where the shop sends the link.")
    is_reusable = serializers.BooleanField(help_text="Whether several customers can pay it.")
    max_payments = serializers.IntegerField(allow_null=True, help_text="How many payments it takes; null for any.")
    expires_at = serializers.DateTimeField(allow_null=True, help_text="When it stops taking payments, or null.")
    is_active = serializers.BooleanField(help_text="Whether it is switched on.")
    closed_message = serializers.CharField(help_text="What customers read when it is off, full or past its date.")
    success_message = serializers.CharField(help_text="What customers read once they have paid.")
    success_url = serializers.CharField(help_text="Where they go instead.")
    created_at = serializers.DateTimeField(help_text="Time of creation.")
    state = serializers.SerializerMethodField(help_text="Whether it can be paid, and why not.")
    places_taken = serializers.SerializerMethodField(
        help_text="How many payments hold one of its places: those under way, made and refunded."
    )
    payments_received = serializers.SerializerMethodField(
        help_text="How many payments were made and not fully refunded."
    )
    amount_received = serializers.SerializerMethodField(help_text="What came in after refunds, in whole francs.")

    def get_url(self, link: PaymentLink) -> str:
        return self._absolute("link", link)

    def get_qr_svg_url(self, link: PaymentLink) -> str:
        return self._absolute("qr_svg", link)

    def get_qr_png_url(self, link: PaymentLink) -> str:
        return self._absolute("qr_png", link)

    @extend_schema_field(LinkStateField)
    def get_state(self, link: PaymentLink) -> str:
        totals = self._totals(link)
        return str(link.state_given(is_paid=totals.payments > 0, places_taken=totals.places_taken))

    def get_places_taken(self, link: PaymentLink) -> int:
        return self._totals(link).places_taken

    def get_payments_received(self, link: PaymentLink) -> int:
        return self._totals(link).payments

    def get_amount_received(self, link: PaymentLink) -> int:
        return self._totals(link).amount

    def _absolute(self, name: str, link: PaymentLink) -> str:
        return absolute_url(reverse(f"paiementpro_links:{name}", args=[link.token]), self.context["request"])

    def _totals(self, link: PaymentLink) -> Totals:
        """Return what came in: the view has read it for all links at once."""
        totals: Totals = self.context["totals"][link.pk]
        return totals


class LinkFilterSerializer(serializers.Serializer[Any]):
    """Filters of the list."""

    is_active = serializers.BooleanField(required=False, allow_null=True, default=None, help_text="Switched on or off.")
    is_reusable = serializers.BooleanField(
        required=False, allow_null=True, default=None, help_text="For several customers, or for one."
    )
    created_after = serializers.DateTimeField(
        required=False, validators=[check_moment], help_text="Created at this time or later."
    )
    created_before = serializers.DateTimeField(
        required=False, validators=[check_moment], help_text="Created before this time."
    )
    page_size = serializers.IntegerField(
        required=False, min_value=1, max_value=PaymentPagination.max_page_size, help_text="Links per page."
    )
