"""
Pagination whose cost does not grow with the table.

Rows are counted and summed in one query, up to a maximum, where the pages end too. Filters and searches, which use
indexes, find what lies beyond.
"""

from typing import TYPE_CHECKING, cast

from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet, Sum
from django.utils.functional import cached_property

from django_paiementpro.conf import conf
from django_paiementpro.enums import PAID
from django_paiementpro.models import Payment, format_amount

#: How many rows are counted, and can be paged through.
MAX_ROWS = 5_000

#: The same in the results of a search.
MAX_RESULTS = 200

if TYPE_CHECKING:
    PaymentPaginator = Paginator[Payment]
else:
    PaymentPaginator = Paginator


class AtLeast(int):
    """A count that stopped at its maximum, which Django's templates show as ``5000+``."""

    def __str__(self) -> str:
        return f"{int(self)}+"


class CappedPaginator(PaymentPaginator):
    max_rows = MAX_ROWS

    @cached_property
    def totals(self) -> dict[str, int]:
        """Count the rows, up to one more than the maximum, and sum up the paid ones by currency."""
        sums = {
            currency: Sum("amount", filter=Q(status__in=PAID, currency=currency), default=0)
            for currency in conf.currencies
        }
        rows = cast("QuerySet[Payment]", self.object_list).order_by()[: self.max_rows + 1]
        return rows.aggregate(count=Count("pk"), **sums)

    @cached_property
    def count(self) -> int:
        count = self.totals["count"]
        return AtLeast(self.max_rows) if count > self.max_rows else count

    @property
    def paid(self) -> str | None:
        """The sum of the paid payments by currency; None if not all rows were counted."""
        if isinstance(self.count, AtLeast):
            return None
        return " + ".join(
            format_amount(self.totals[currency], currency)
            for currency in conf.currencies
            if self.totals[currency] or currency == conf.currency
        )
