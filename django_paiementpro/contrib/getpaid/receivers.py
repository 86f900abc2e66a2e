"""Report to django-getpaid what becomes of our payments."""

from typing import Any

import swapper
from django.db import transaction
from django.utils.translation import gettext as _
from getpaid.registry import registry
from getpaid_core.enums import PaymentStatus

from django_paiementpro.contrib.getpaid.processor import UNPAID, PaiementProProcessor
from django_paiementpro.models import Payment
from django_paiementpro.services import flag_payment
from django_paiementpro.services.orders import cancel_payable


def book(sender: type[Payment], payment: Payment, **kwargs: Any) -> None:
    """Record what was paid and what was refunded on the one payment of the order that has not failed."""
    if not _is_for_order(payment):
        return
    with transaction.atomic():
        rows = _locked_rows(payment)
        current = [row for row in rows if row.status != PaymentStatus.FAILED]
        row: Any = next(iter(current or _rows_of(payment, rows)), None)
        if problem := _problem(row, payment):
            if payment.refunded_amount < payment.amount:
                flag_payment(payment, problem)
            return
        row.provider_data["reference"] = payment.reference
        row.fetch_status()  # the success
        row.fetch_status()  # the refunds
        cancel_payable(row.order, _("Another payment replaces it."))


def fail(sender: type[Payment], payment: Payment, **kwargs: Any) -> None:
    """Fail getpaid's payments, so that the order can be paid with another."""
    if not _is_for_order(payment):
        return
    with transaction.atomic():
        for row in _rows_of(payment, _locked_rows(payment)):
            row.fetch_status()


def _is_for_order(payment: Payment) -> bool:
    return payment.is_for(swapper.load_model("getpaid", "Order"))


def _locked_rows(payment: Payment) -> list[Any]:
    """Return getpaid's payments of the order, newest first, locked."""
    rows = swapper.load_model("getpaid", "Payment")._base_manager.filter(order=payment.object_id)
    return list(rows.select_for_update().order_by("-created_on"))


def _rows_of(payment: Payment, rows: list[Any]) -> list[Any]:
    return [row for row in rows if row.provider_data.get("reference") == payment.reference]


def _problem(row: Any, payment: Payment) -> str:
    """Return why money cannot be booked, or an empty string."""
    if row is None:
        return _("Paid, but the shop has deleted its own payment.")
    if not issubclass(registry[row.backend], PaiementProProcessor):
        return _("Paid, but the shop’s own payment has been paid otherwise.")
    if row.provider_data.get("paid_by") == payment.reference:
        return ""
    if row.status not in UNPAID | {PaymentStatus.FAILED}:
        return _("Paid, but the shop’s own payment has been paid otherwise.")
    if row.amount_required != payment.amount:
        return _("Paid, but the shop’s own payment is of another amount now.")
    return ""
