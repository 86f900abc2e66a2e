from django.core.exceptions import ValidationError
from django.db import transaction
from salesman.checkout.payment import PaymentError, PaymentMethod
from salesman.core.utils import get_salesman_model

from django_paiementpro.services import open_payment

Order = get_salesman_model("Order")


class MobileMoney(PaymentMethod):
    identifier = "paiementpro"
    label = "Mobile money or card"

    def basket_payment(self, basket, request):
        with transaction.atomic():
            order = Order.objects.create_from_basket(basket, request)
            url = self.order_payment(order, request)
            basket.delete()
        return url

    def order_payment(self, order, request):
        try:
            payment = open_payment(
                order,
                amount=order.amount_outstanding,
                description=f"Order {order.ref}",
                customer_email=order.email,
                customer_phone=order.extra.get("phone", ""),
            )
        except ValidationError as error:
            raise PaymentError(" ".join(error.messages)) from error
        return request.build_absolute_uri(payment.get_checkout_url())
