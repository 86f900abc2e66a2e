"""What charts, tables and CSV are made of."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import QuerySet

from django_paiementpro.admin.daybook.forms import Choice
from django_paiementpro.admin.daybook.formats import line_text, money_text, operator_texts
from django_paiementpro.models import Payment
from django_paiementpro.admin.daybook.statistics import DayBook, Line, day_book


@dataclass(frozen=True)
class Shown:
    """The figures of a choice. What has a name on each chart and table is named once."""

    choice: Choice
    book: DayBook
    #: By name, in their order.
    lines: Mapping[str, Line]
    #: The name of each operator that the figures know, by code.
    operators: Mapping[str, str]

    @classmethod
    def of(cls, choice: Choice, payments: QuerySet[Payment]) -> "Shown":
        book = day_book(
            choice.start,
            choice.end,
            currency=choice.currency,
            merchant=choice.merchant,
            operator=choice.operator,
            payments=payments,
        )
        return cls(
            choice=choice,
            book=book,
            lines={line_text(line, choice.unit): line for line in book.lines(choice.unit)},
            operators=operator_texts(book.operators),
        )

    def money(self, amount: int) -> str:
        return money_text(amount, self.choice.currency)
