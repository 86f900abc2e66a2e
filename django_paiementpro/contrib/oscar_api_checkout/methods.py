from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from oscar.core.loading import get_model
from oscarapicheckout import states
from oscarapicheckout.methods import PaymentMethod
from rest_framework import serializers

from django_paiementpro.contrib.oscar.orders import CODE, NAME, our_sources, payment_values, source_type
from django_paiementpro.contrib.oscar_api_checkout.orders import cancel_open_payments, paid_amount
from django_paiementpro.services import open_payment
from django_paiementpro.services.checkout import absolute_url

Order = get_model("order", "Order")


class PaiementPro(PaymentMethod):
    """
    A payment method whose required action is to open the checkout link.

    Each part of a split payment has a ``Source``, and a payment, of its own.
    """

    name = NAME
    code = CODE

    def get_payment_values(self, request: HttpRequest, order: Any, method_key: str, amount: Decimal) -> dict[str, Any]:
        """
        Return the values of a payment, as ``open_payment`` takes them. Override it to change or add some.

        Values that are not known may be blank: the checkout asks the customer for it.
        """
        return payment_values(order)

    def _record_payment(
        self, request: HttpRequest, order: Any, method_key: str, amount: Decimal, reference: str, **kwargs: Any
    ) -> states.PaymentStatus:
        """Open a payment of the amount, or of what is left of the order, which may have been paid late before."""
        locked = Order.objects.select_for_update().get(pk=order.pk)
        left = min(amount, locked.total_incl_tax - paid_amount(locked))
        if left <= 0:
            return states.Complete(amount)
        unpaid = our_sources(order).filter(label=method_key, amount_debited=0)
        source = unpaid.first() or order.sources.create(
            source_type=source_type(), label=method_key, currency=order.currency
        )
        try:
            payment = open_payment(source, left, **self.get_payment_values(request, order, method_key, left))
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from error
        source.reference = payment.reference
        source.save(update_fields=["reference"])
        url = absolute_url(payment.get_checkout_url(), request)
        return states.FormPostRequired(amount, name=self.code, url=url, method="GET")

    def void_existing_payment(
        self, request: HttpRequest, order: Any, method_key: str, state_to_void: states.PaymentStatus
    ) -> None:
        """Cancel what is open. What has been paid stays recorded, and is deducted from the next payment."""
        cancel_open_payments(our_sources(order).filter(label=method_key))
