"""
Send customers from django-getpaid to our checkout.

Our payment belongs to the order, not to getpaid's payment: getpaid requires a new one after each refusal, while the
money of an earlier attempt may still arrive. The methods are plain functions, since getpaid runs coroutines in a
thread of their own, on another database connection.
"""

from decimal import Decimal
from typing import Any, NoReturn

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.functional import lazy
from django.utils.translation import gettext as _
from getpaid.processor import BaseProcessor
from getpaid_core.enums import BackendMethod, PaymentEvent, PaymentStatus
from getpaid_core.exceptions import GetPaidException, InvalidCallbackError, RefundFailure
from getpaid_core.types import PaymentUpdate, TransactionResult

from django_paiementpro.conf import conf
from django_paiementpro.enums import MAY_BE_PAID_LATE, PAID
from django_paiementpro.models import Payment
from django_paiementpro.services import open_payment
from django_paiementpro.services.checkout import absolute_url

UNPAID = {PaymentStatus.NEW, PaymentStatus.PREPARED}


class PaiementProProcessor(BaseProcessor):
    """To pass on more than ``get_payment_values`` does, subclass and register it."""

    slug = "paiementpro"
    display_name = "Paiement Pro"
    accepted_currencies = lazy(lambda: tuple(conf.currencies), tuple)()

    def get_payment_values(self, request: HttpRequest | None = None) -> dict[str, Any]:
        """Return the values for ``services.open_payment``, besides the order and the amount."""
        buyer = self.payment.get_buyer_info()
        return {
            "currency": self.payment.currency,
            "description": self.payment.description or self.payment.order.get_description()[:255],
            "customer_first_name": (buyer.get("first_name") or "")[:150],
            "customer_last_name": (buyer.get("last_name") or "")[:150],
            "customer_email": buyer.get("email") or "",
            "customer_phone": str(buyer.get("phone") or ""),
            "success_url": self.payment.get_return_redirect_url(request, success=True),
            "failure_url": self.payment.get_return_redirect_url(request, success=False),
        }

    def prepare_transaction(
        self, request: HttpRequest | None = None, view: Any = None, **kwargs: Any
    ) -> TransactionResult:
        """Open our payment for the order. Raises ``GetPaidException`` if it cannot be paid."""
        try:
            values = self.get_payment_values(request)
            opened = open_payment(self.payment.order, amount=self.payment.amount_required, **values)
        except ValidationError as error:
            raise GetPaidException(" ".join(error.messages)) from error
        return TransactionResult(
            method=BackendMethod.GET,
            redirect_url=absolute_url(opened.get_checkout_url(), request),
            provider_data={"reference": opened.reference},
        )

    def fetch_payment_status(self, **kwargs: Any) -> PaymentUpdate | None:
        """Return what getpaid does not know yet about our payment, or None. The gateway is not called."""
        row, reference = self.payment, self.payment.provider_data.get("reference", "")
        payment = Payment.objects.for_object(row.order).filter(reference=reference).first()
        if payment is None or self._is_replaced():
            return None
        if payment.status in PAID and row.provider_data.get("paid_by") != reference:
            return PaymentUpdate(
                PaymentEvent.PAYMENT_CAPTURED,
                paid_amount=Decimal(payment.amount),
                provider_event_id=f"{reference}:succeeded",
                provider_data={"paid_by": reference},
            )
        if payment.refunded_amount > row.amount_refunded:
            return PaymentUpdate(PaymentEvent.REFUND_CONFIRMED, refunded_amount=Decimal(payment.refunded_amount))
        if payment.status in MAY_BE_PAID_LATE and row.status in UNPAID:
            return PaymentUpdate(PaymentEvent.FAILED)
        return None

    def _is_replaced(self) -> bool:
        """Return whether it has failed, and another payment of the order has not: there may be only one of these."""
        others = self.payment.order.payments.exclude(pk=self.payment.pk).exclude(status=PaymentStatus.FAILED)
        return self.payment.status == PaymentStatus.FAILED and bool(others.exists())

    def verify_callback(self, request: HttpRequest, **kwargs: Any) -> NoReturn:
        """Refuse every request: the gateway calls our own webhook, not getpaid's URL."""
        raise InvalidCallbackError("Paiement Pro does not use this URL.")

    def start_refund(self, amount: Decimal | None = None, **kwargs: Any) -> NoReturn:
        raise RefundFailure(
            _("Paiement Pro has no refund API: refund in its back office, then record the refund in the admin.")
        )
