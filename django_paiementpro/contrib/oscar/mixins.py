from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from oscar.apps.order.exceptions import UnableToPlaceOrder
from oscar.apps.payment.exceptions import UnableToTakePayment

from django_paiementpro.contrib.oscar.orders import CODE, order_url, payment_values, source_of
from django_paiementpro.models import Payment
from django_paiementpro.services import open_payment, validate_payment


class PaiementProMixin:
    """
    Take payment for oscar's orders, in a ``PaymentDetailsView``.

    The order is placed together with its payment, and waits for it; the customer is sent to the checkout link. The
    confirmation is mailed when the money arrives. Free orders are left to oscar, as are those for which your shop has
    chosen another method with ``self.checkout_session.pay_by(...)``.
    """

    request: Any
    checkout_session: Any

    #: The payment of the order that this view has placed.
    payment: Payment | None = None

    def get_payment_values(self, order: Any) -> dict[str, Any]:
        """
        Return the values of the order's payment, as ``open_payment`` takes them. Override it to change or add some.

        Values that are not known may be blank: the checkout asks the customer for it.
        """
        return {**payment_values(order), "success_url": order_url(order)}

    def handle_payment(self, order_number: str, total: Any, **kwargs: Any) -> None:
        """Refuse what the gateway would refuse, before the order is placed. The basket stays open."""
        if self._takes(total.incl_tax):
            payment = Payment(amount=total.incl_tax, currency=total.currency, description=str(order_number))
            try:
                validate_payment(payment, customer=False)
            except ValidationError as error:
                raise UnableToTakePayment(" ".join(error.messages)) from error
        super().handle_payment(order_number, total, **kwargs)  # type: ignore[misc]

    def place_order(self, *args: Any, **kwargs: Any) -> Any:
        """Place the order together with its payment: neither ever exists without the other."""
        with transaction.atomic():
            order = super().place_order(*args, **kwargs)  # type: ignore[misc]
            if self._takes(order.total_incl_tax):
                self.payment = self._open_payment(order)
        return order

    def get_success_url(self) -> str:
        if self.payment:
            return self.payment.get_checkout_url()
        return str(super().get_success_url())  # type: ignore[misc]

    def send_order_placed_email(self, order: Any) -> None:
        """Leave the confirmation of an order that is yet to be paid to the receivers."""
        if not self.payment:
            super().send_order_placed_email(order)  # type: ignore[misc]

    def _takes(self, amount: Any) -> bool:
        return bool(amount) and self.checkout_session.payment_method() in {None, CODE}

    def _open_payment(self, order: Any) -> Payment:
        try:
            payment = open_payment(order, order.total_incl_tax, **self.get_payment_values(order))
        except ValidationError as error:
            raise UnableToPlaceOrder(" ".join(error.messages)) from error
        source_of(order, payment)
        return payment
