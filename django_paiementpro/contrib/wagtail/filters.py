from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from wagtail.admin.filters import DateRangePickerWidget, WagtailFilterSet

from django_paiementpro.admin.filters import COUNTRIES, channels_of, offered_countries, to_review
from django_paiementpro.enums import SettledBy, Status
from django_paiementpro.models import Payment, offered_channels


class PaymentFilterSet(WagtailFilterSet):
    """The filters of our admin. None of them queries the database for its choices, and each can use an index."""

    status = django_filters.ChoiceFilter(label=capfirst(_("status")), choices=Status.choices)
    review = django_filters.ChoiceFilter(
        label=capfirst(_("review")), choices=[("1", _("To review"))], method="filter_review"
    )
    created_at = django_filters.DateFromToRangeFilter(label=capfirst(_("period")), widget=DateRangePickerWidget)
    channel = django_filters.ChoiceFilter(
        label=capfirst(_("payment method")), field_name="effective_channel", choices=offered_channels
    )
    country = django_filters.ChoiceFilter(
        label=capfirst(_("country")),
        choices=lambda: [(code, name) for code, name in COUNTRIES.items() if code in offered_countries()],
        method="filter_country",
    )
    settled_by = django_filters.ChoiceFilter(label=capfirst(_("settled by")), choices=SettledBy.choices)
    merchant = django_filters.CharFilter(label=capfirst(_("merchant")), field_name="merchant_id", max_length=64)

    class Meta:
        model = Payment
        fields: list[str] = []

    def filter_review(self, payments: QuerySet[Payment], name: str, value: Any) -> QuerySet[Payment]:
        return to_review(payments)

    def filter_country(self, payments: QuerySet[Payment], name: str, value: str) -> QuerySet[Payment]:
        return payments.filter(effective_channel__in=channels_of(value))
