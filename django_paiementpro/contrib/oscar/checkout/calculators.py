from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from oscar.apps.checkout import calculators
from oscar.core.prices import Price

#: The CFA francs have no centimes.
WITHOUT_CENTIMES = frozenset({"XOF", "XAF"})


class OrderTotalCalculator(calculators.OrderTotalCalculator):
    """
    Round the total of an order in CFA francs to whole francs, which is what can be paid.

    Oscar calculates with two decimals: 10 % off 12,505 is 11,254.50. The lines of the order keep their centimes.
    """

    def calculate(self, basket: Any, shipping_charge: Any, surcharges: Any = None, **kwargs: Any) -> Price:
        total = super().calculate(basket, shipping_charge, surcharges, **kwargs)
        if total.currency not in WITHOUT_CENTIMES:
            return total
        incl_tax = _rounded(total.incl_tax) if total.is_tax_known else None
        return Price(currency=total.currency, excl_tax=_rounded(total.excl_tax), incl_tax=incl_tax)


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal(1), rounding=ROUND_HALF_UP)
