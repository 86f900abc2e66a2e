"""Payment methods as the page shows them: with a name, a colour and a sign of our own instead of a logo."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django_paiementpro.conf import conf


@dataclass(frozen=True, slots=True)
class Operator:
    """A payment method. ``brand`` is a CSS class for its colour, ``sign`` the text on its badge."""

    channel: str
    label: Any
    brand: str
    sign: str
    needs_phone: bool


# By prefix of the gateway's codes.
BRANDS = {
    "OM": ("orange", "OM"),
    "MOMO": ("mtn", "MTN"),
    "FLOOZ": ("moov", "Moov"),
    "MOOV": ("moov", "Moov"),
    "WAVE": ("wave", "Wave"),
    "TOGOCEL": ("tmoney", "T"),
    "AIRTEL": ("airtel", "air"),
    "CARD": ("bankcard", ""),
}
OTHER = ("other", "")
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
    brand, sign = next((BRANDS[prefix] for prefix in BRANDS if code.upper().startswith(prefix)), OTHER)
    return Operator(code, label, brand, sign, needs_phone=brand not in {"bankcard", "other"})
