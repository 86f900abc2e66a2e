"""
A list whose cost does not grow with the table.

Rows are counted and summed in one statement, up to a bound; pages end there too. What lies further back is found by
filters and by search, which have indexes, and not by leafing.
"""

from typing import TYPE_CHECKING, cast

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest
from django.utils.functional import cached_property

from django_paiementpro.conf import conf
from django_paiementpro.enums import Status
from django_paiementpro.models import Payment, format_amount

#: How many rows are counted, and can be leafed through.
MAX_ROWS = 5_000

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
    """The list with its totals, and with how many payments wait for somebody to look at them."""

    paid: str | None = None

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        paginator = cast("CappedPaginator", self.paginator)
        if not paginator.is_capped:
            sums = [
                format_amount(paginator.totals[currency], currency)
                for currency in conf.currencies
                if paginator.totals[currency] or currency == conf.currency
            ]
            self.paid = " + ".join(sums)
