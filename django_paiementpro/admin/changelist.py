"""
A list whose cost does not grow with the table.

Rows are counted and summed in one statement, up to a bound; pages end there too. What lies further back is found by
filters and by search, which have indexes, and not by leafing.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import InvalidPage, Paginator
from django.db.models import Count, Q, QuerySet, Sum, prefetch_related_objects
from django.http import HttpRequest
from django.utils.functional import cached_property

from django_paiementpro.admin.columns import OPEN_FINDINGS
from django_paiementpro.admin.search import is_common
from django_paiementpro.conf import conf
from django_paiementpro.enums import Status
from django_paiementpro.models import Payment, format_amount

#: How many rows are counted, and can be leafed through.
MAX_ROWS = 5_000

#: How many payments a search for a name counts.
MAX_FOUND = 1_000

PAID = [Status.SUCCEEDED, Status.REFUNDED]


class AtLeast(int):
    """A count that stopped: ``5000+`` where Django's templates show it."""

    def __str__(self) -> str:
        return f"{int(self)}+"


if TYPE_CHECKING:
    PaymentPaginator = Paginator[Payment]
else:
    PaymentPaginator = Paginator


class CappedPaginator(PaymentPaginator):
    @cached_property
    def totals(self) -> dict[str, int]:
        """Count the rows, one more than is shown at most, and sum up what was paid of them by currency."""
        sums = {
            currency: Sum("amount", filter=Q(status__in=PAID, currency=currency), default=0)
            for currency in conf.currencies
        }
        rows = cast("QuerySet[Payment]", self.object_list).order_by()[: MAX_ROWS + 1]
        return rows.aggregate(count=Count("pk"), **sums)

    @cached_property
    def count(self) -> int:
        count = self.totals["count"]
        return AtLeast(MAX_ROWS) if count > MAX_ROWS else count

    @property
    def is_capped(self) -> bool:
        return isinstance(self.count, AtLeast)


class PaymentChangeList(ChangeList):
    """The list with its totals. Where all of it fits on one page, its rows are read once and added up here."""

    paid: str | None = None

    def get_results(self, request: HttpRequest) -> None:
        rows = list(self.queryset[: self.list_per_page + 1])
        paginator = cast("CappedPaginator", self.model_admin.get_paginator(request, self.queryset, self.list_per_page))
        if len(rows) <= self.list_per_page:
            paginator.totals = totals_of(rows)
        elif self.query and not self.has_active_filters and is_common(self.query, self.queryset.db, MAX_FOUND):
            paginator.count = AtLeast(MAX_FOUND)
        try:
            shown = rows[: self.list_per_page] if self.page_num == 1 else paginator.page(self.page_num).object_list
        except InvalidPage as error:
            raise IncorrectLookupParameters from error
        shown = list(shown)
        prefetch_related_objects([payment for payment in shown if payment.needs_review], OPEN_FINDINGS)
        self.paginator = paginator
        self.result_list = shown
        self.result_count = paginator.count
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = False
        self.multi_page = paginator.count > self.list_per_page
        if not paginator.is_capped:
            sums = [
                format_amount(paginator.totals[currency], currency)
                for currency in conf.currencies
                if paginator.totals[currency] or currency == conf.currency
            ]
            self.paid = " + ".join(sums)


def totals_of(rows: Sequence[Payment]) -> dict[str, int]:
    """Count and sum up rows that have been read, as the database would."""
    paid = [payment for payment in rows if payment.status in PAID]
    sums = {
        currency: sum(payment.amount for payment in paid if payment.currency == currency)
        for currency in conf.currencies
    }
    return {"count": len(rows), **sums}
