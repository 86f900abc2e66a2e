"""
The list of payments and the page of each, read-only.

Their cost does not grow with the table: they search, count and describe payments as our admin for Django's does.
"""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import NoReverseMatch, reverse
from django.utils.functional import cached_property
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from wagtail.admin.paginator import WagtailPaginator
from wagtail.admin.ui.tables import Column, StatusFlagColumn, StatusTagColumn
from wagtail.admin.views.generic import IndexView, InspectView
from wagtail.admin.widgets.button import Button, HeaderButton

from django_paiementpro import log
from django_paiementpro.admin import wording
from django_paiementpro.admin.changelist import MAX_RESULTS, AtLeast, CappedPaginator
from django_paiementpro.admin.columns import newest_events, open_findings_of, order_name, refunds_of
from django_paiementpro.admin.export import export_payments
from django_paiementpro.admin.search import search
from django_paiementpro.contrib.wagtail.filters import PaymentFilterSet
from django_paiementpro.enums import PAID
from django_paiementpro.models import Payment

#: The URL namespace; "paiementpro" is that of the app itself.
NAMESPACE = "paiementpro_payments"

ICON = "clipboard-list"


class PaymentPaginator(CappedPaginator, WagtailPaginator):
    """Wagtail's paginator, with the rows counted up to a maximum."""


class PaymentIndexView(IndexView):
    model = Payment
    header_icon = ICON
    index_url_name = f"{NAMESPACE}:index"
    index_results_url_name = f"{NAMESPACE}:index_results"
    inspect_url_name = f"{NAMESPACE}:inspect"
    filterset_class = PaymentFilterSet
    is_searchable = True
    paginator_class = PaymentPaginator
    paginate_by = 25
    # Sorted by columns that have an index.
    list_display = (
        "reference",
        Column("order", label=capfirst(pgettext_lazy("paid for", "order")), accessor=order_name),
        Column("amount", label=capfirst(gettext_lazy("amount")), accessor="amount_display"),
        StatusTagColumn(
            "status",
            label=capfirst(gettext_lazy("status")),
            accessor="get_status_display",
            primary=lambda payment: payment.status in PAID,
        ),
        StatusFlagColumn("needs_review", label=capfirst(gettext_lazy("review")), true_label=gettext_lazy("To review")),
        Column("channel", label=capfirst(gettext_lazy("payment method")), accessor=wording.channel_name),
        Column(
            "customer",
            label=capfirst(gettext_lazy("customer")),
            accessor=lambda payment: " ".join(
                filter(None, (payment.customer_first_name, payment.customer_last_name, payment.customer_phone))
            ),
        ),
        Column(
            "created_at",
            label=capfirst(gettext_lazy("created")),
            accessor=lambda payment: wording.moment(payment.created_at),
            sort_key="created_at",
        ),
    )
    # Wagtail's own export has no separator for French spreadsheets, and lets texts run as formulas.
    FORMATS = ("csv",)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not self.is_export:
            response: HttpResponseBase = super().get(request, *args, **kwargs)
            return response
        if not self.user_has_permission("export"):
            raise PermissionDenied
        log.write("payments_exported", user=str(request.user.pk))
        return export_payments(self.get_queryset())

    @cached_property
    def header_more_buttons(self) -> list[Button]:
        buttons = [*super().header_more_buttons]
        if self.user_has_permission("export"):
            buttons.append(Button(_("Export (CSV)"), url=self.csv_export_url, icon_name="download", priority=100))
        return buttons

    def order_queryset(self, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        """Sort payments of the same moment by key, as the index does, so that pages do not overlap."""
        keys = {"created_at": "pk", "-created_at": "-pk"}
        if self.ordering in keys:
            return queryset.order_by(self.ordering, keys[self.ordering])
        ordered: QuerySet[Payment] = super().order_queryset(queryset)
        return ordered

    def filter_queryset(self, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        """Return no payments for an invalid filter, instead of all of them."""
        filtered: QuerySet[Payment] = super().filter_queryset(queryset)
        return filtered if self.filters.is_valid() else filtered.none()

    def search_queryset(self, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        return search(queryset, self.search_query)

    def get_paginator(self, *args: Any, **kwargs: Any) -> PaymentPaginator:
        paginator: PaymentPaginator = super().get_paginator(*args, **kwargs)
        if self.is_searching:
            paginator.max_rows = MAX_RESULTS
        return paginator

    def get_context_data(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(*args, **kwargs)
        if isinstance(context["items_count"], AtLeast):
            # The heading would give the maximum as the number of matches.
            context["is_searching"] = context["is_filtering"] = False
        return context


class PaymentInspectView(InspectView):
    model = Payment
    header_icon = ICON
    index_url_name = f"{NAMESPACE}:index"
    template_name = "paiementpro/wagtail/payment.html"
    fields = (
        *("reference", "status", "amount", "refunded_amount", "description", "object_id"),
        *("customer_first_name", "customer_last_name", "customer_email", "customer_phone", "user", "blanked_at"),
        *("channel", "merchant_id", "gateway_id", "transaction_date", "response_code", "response_message", "attempt"),
        *("created_at", "initialized_at", "settled_at", "settled_by"),
    )

    @cached_property
    def header_buttons(self) -> list[HeaderButton]:
        """Link to the staff actions in Django's admin, if the site has one and the user may enter it."""
        try:
            url = reverse("admin:paiementpro_payment_change", args=[self.object.pk])
        except NoReverseMatch:
            return []
        if not self.request.user.is_staff:
            return []
        return [HeaderButton(_("Staff actions"), url=url, icon_name="link-external")]

    def get_field_label(self, field_name: str, field: Any) -> str:
        label = pgettext_lazy("paid for", "order") if field_name == "object_id" else field.verbose_name
        return str(capfirst(label))

    def get_amount_display_value(self) -> str:
        return str(self.object.amount_display)

    def get_refunded_amount_display_value(self) -> str:
        return self.object.refunded_amount_display if self.object.refunded_amount else ""

    def get_object_id_display_value(self) -> str:
        return order_name(self.object)

    def get_channel_display_value(self) -> str:
        return wording.channel_name(self.object)

    def get_fields_context(self) -> list[dict[str, Any]]:
        """Leave out empty fields."""
        return [field for field in super().get_fields_context() if field["value"] not in ("", None)]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        events, is_cut = newest_events(self.object)
        context: dict[str, Any] = super().get_context_data(
            summary=wording.summarize(self.object, events, open_findings_of(self.object), refunds_of(self.object)),
            entries=wording.timeline(events),
            is_cut=is_cut,
            max_events=len(events),
            **kwargs,
        )
        return context
