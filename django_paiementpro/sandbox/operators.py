"""Payment methods as the page shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from django_paiementpro.conf import conf
from django_paiementpro.marks import draw_mark, mark_of


@dataclass(frozen=True, slots=True)
class Operator:
    """A payment method with its drawn mark."""

    channel: str
    label: Any
    brand: str
    mark: SafeString
    needs_phone: bool


BIG_BRANDS = frozenset({"orange", "mtn", "moov", "wave", "bankcard"})

MAX_SHOWN = 6


def offered_operators() -> list[Operator]:
    return [_operator(code, label) for code, label in conf.channels.items()]


def find_operator(channel: str) -> Operator | None:
    return next((operator for operator in offered_operators() if operator.channel == channel), None)


def split_operators(operators: Sequence[Operator], chosen: str) -> tuple[list[Operator], list[Operator]]:
    """
    Return the operators to show at once, and those to fold away.

    A few are all shown. Of many, the first of each big brand is, and the chosen one.
    """
    if len(operators) <= MAX_SHOWN:
        return list(operators), []
    firsts = {operator.brand: operator for operator in reversed(operators) if operator.brand in BIG_BRANDS}
    shown = [operator for operator in operators if operator.channel == chosen or operator in firsts.values()]
    return shown, [operator for operator in operators if operator not in shown]


def _operator(code: str, label: Any) -> Operator:
    brand = mark_of(code).brand
    return Operator(code, label, brand, draw_mark(code), needs_phone=brand not in {"bankcard", "other"})
