from typing import Any

from django_paiementpro.links.services import flag_money, is_paid_by_link
from django_paiementpro.models import Payment


def flag_late_money(sender: type[Payment], payment: Payment, **kwargs: Any) -> None:
    """Let staff look at money that came too late for its link, or over its limit."""
    if is_paid_by_link(payment):
        flag_money(payment)
