from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import QuerySet

from django_paiementpro.admin.daybook.formats import channel_texts, line_text, money_text
from django_paiementpro.admin.daybook.forms import Criteria
from django_paiementpro.admin.daybook.statistics import DayBook, Line, day_book
from django_paiementpro.models import Payment


@dataclass(frozen=True)
class ReportData:
    """The figures that charts, tables and CSV share, with the names of lines and payment methods."""

    criteria: Criteria
    book: DayBook
    #: By name, in order.
    lines: Mapping[str, Line]
    #: The names of the payment methods, by code.
    channels: Mapping[str, str]

    @classmethod
    def read(cls, criteria: Criteria, payments: QuerySet[Payment]) -> "ReportData":
        book = day_book(
            criteria.start,
            criteria.end,
            currency=criteria.currency,
            merchant=criteria.merchant,
            channel=criteria.channel,
            payments=payments,
        )
        return cls(
            criteria=criteria,
            book=book,
            lines={line_text(line, criteria.unit): line for line in book.lines(criteria.unit)},
            channels=channel_texts(book.channels),
        )

    def money(self, amount: int) -> str:
        return money_text(amount, self.criteria.currency)
