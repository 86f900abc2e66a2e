from typing import Any, NoReturn

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from payments import PaymentError, PaymentStatus, RedirectNeeded
from payments.core import BasicProvider

from django_paiementpro.conf import conf
from django_paiementpro.enums import PAYABLE as OPEN
from django_paiementpro.models import Payment
from django_paiementpro.services import cancel_payment, open_payment

#: A payment of django-payments in one of these states can be paid.
PAYABLE = {PaymentStatus.WAITING, PaymentStatus.INPUT, PaymentStatus.REJECTED, PaymentStatus.ERROR}


class PaiementProProvider(BasicProvider):
    """
    Sends the customer to our checkout.

    ``merchant_id`` and ``channel`` apply to all payments of a variant, so each variant can offer a different payment
    method. Override ``get_payment_values`` to pass on more.
    """

    def __init__(self, merchant_id: str | None = None, channel: str = "", capture: bool = True) -> None:
        if not capture:
            raise ImproperlyConfigured("PaiementProProvider: Paiement Pro does not support pre-authorization")
        if channel and channel not in conf.channels:
            raise ImproperlyConfigured(
                f"PaiementProProvider: channel {channel!r} is not one of {', '.join(conf.channels)}"
            )
        super().__init__(capture)
        self.merchant_id = merchant_id
        self.channel = channel

    def get_payment_values(self, payment: Any) -> dict[str, Any]:
        """Return the values for ``services.open_payment``, besides the object and the amount."""
        return {
            "merchant_id": self.merchant_id or conf.merchant_id,
            "channel": self.channel,
            "currency": payment.currency,
            "description": payment.description[:255] or _("Payment %(number)s") % {"number": payment.pk},
            "customer_first_name": payment.billing_first_name[:150],
            "customer_last_name": payment.billing_last_name[:150],
            "customer_email": payment.billing_email,
            "customer_phone": str(payment.billing_phone or ""),
            "success_url": payment.get_success_url(),
            "failure_url": payment.get_failure_url(),
        }

    def get_form(self, payment: Any, data: Any = None) -> NoReturn:
        """Send the customer to the checkout (``RedirectNeeded``). Raises ``PaymentError`` if it cannot be paid."""
        if payment.status not in PAYABLE:
            raise PaymentError(_("This payment can no longer be paid."))
        try:
            opened = open_payment(payment, amount=payment.total, **self.get_payment_values(payment))
        except ValidationError as error:
            raise PaymentError(" ".join(error.messages)) from error
        raise RedirectNeeded(opened.get_checkout_url())

    def process_data(self, payment: Any, request: HttpRequest) -> HttpResponse:
        """Send a visitor to our return page. The gateway calls our own webhook, not this URL."""
        opened = Payment.objects.for_object(payment).first()
        return redirect(opened.get_return_url() if opened else payment.get_failure_url())

    def get_token_from_request(self, payment: Any, request: HttpRequest) -> NoReturn:
        raise PaymentError("Paiement Pro does not use this URL.", code=404)

    def refund(self, payment: Any, amount: Any = None) -> NoReturn:
        raise PaymentError(
            _("Paiement Pro has no refund API: refund in its back office, then record the refund in the admin.")
        )

    def cancel(self, payment: Any) -> None:
        """Cancel what can still be paid. Raises ``PaymentError`` if it has been paid."""
        try:
            with transaction.atomic():
                for opened in Payment.objects.for_object(payment).filter(status__in=(*OPEN, Payment.Status.SUCCEEDED)):
                    cancel_payment(opened, _("The shop cancelled it."))
        except ValidationError as error:
            raise PaymentError(" ".join(error.messages)) from error
