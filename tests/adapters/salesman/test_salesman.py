from typing import Any

from django.contrib.auth import get_user_model
from django.test import Client
from salesman.core.utils import get_salesman_model

from django_paiementpro.models import Payment
from django_paiementpro.services import cancel_payment, redeliver_signals, refund_payment
from django_paiementpro.testing import decline, deliver_signals, expire, make_payment, pay
from shop.models import Product
from tests.adapters.cases import PaymentCases

Basket, Order = get_salesman_model("Basket"), get_salesman_model("Order")


class TestSalesman(PaymentCases):
    def buy(self, client: Client) -> Payment:
        answer = check_out(client)
        self.order = Order.objects.get()
        payment = Payment.objects.for_object(self.order).get()
        assert answer == (201, {"url": f"http://testserver{payment.get_checkout_url()}"})
        return payment

    def is_paid(self) -> bool:
        order = Order.objects.get()
        return order.status == "PROCESSING" and order.is_paid

    def booked(self) -> int:
        return int(Order.objects.get().amount_paid)

    def test_checkout_knows_what_the_order_knows(self) -> None:
        payment = self.bought()
        assert (payment.customer_email, payment.customer_phone) == ("awa@example.com", "07 07 12 34 56")
        assert payment.description == f"Order {self.order.ref}"
        assert not Basket.objects.exists()

    def test_order_of_a_refused_payment_can_be_paid_again(self) -> None:
        payment = decline(self.bought())
        assert Order.objects.get().status == "FAILED"
        url = f"/api/orders/{self.order.ref}/pay/?token={self.order.token}"
        answer = self.client.post(url, {"payment_method": "paiementpro"}, content_type="application/json")
        assert answer.json() == {"url": f"http://testserver{payment.get_checkout_url()}"}
        self.assert_paid(pay(payment))
        answer = self.client.post(url, {"payment_method": "paiementpro"}, content_type="application/json")
        assert answer.status_code == 400

    def test_rest_of_an_order_is_paid(self) -> None:
        with deliver_signals():
            cancel_payment(self.bought(), "A part is paid by cheque.")
        self.order.pay(5000, "CHEQUE-1", "cheque")
        url = f"/api/orders/{self.order.ref}/pay/?token={self.order.token}"
        self.client.post(url, {"payment_method": "paiementpro"}, content_type="application/json")
        payment = Payment.objects.payable().get()
        assert payment.amount == 7500
        pay(payment)
        assert self.is_paid()
        assert self.booked() == 12500

    def test_late_failure_changes_nothing(self) -> None:
        old = self.bought()
        order = Order.objects.get()
        order.status = order.Status.PROCESSING
        order.save()
        expire(old)
        assert Order.objects.get().status == "PROCESSING"

    def test_money_for_a_cancelled_order_is_booked_and_flagged(self) -> None:
        payment = self.bought()
        order = Order.objects.get()
        order.status = order.Status.CANCELLED
        order.save()
        pay(payment)
        assert (Order.objects.get().status, self.booked()) == ("CANCELLED", 12500)
        assert [finding.detail for finding in payment.open_findings] == [f"Paid, but order {order.ref} is Cancelled."]

    def test_signal_that_is_sent_again_changes_nothing(self) -> None:
        payment = pay(self.bought())
        order = Order.objects.get()
        order.status = order.Status.SHIPPED
        order.save()
        with deliver_signals():
            redeliver_signals(payment, get_user_model().objects.create_user("staff"), "Again.")
        assert (Order.objects.get().status, self.booked()) == ("SHIPPED", 12500)
        assert not payment.open_findings

    def test_order_that_is_refunded_has_that_status(self) -> None:
        payment = pay(self.bought())
        with deliver_signals():
            staff = get_user_model().objects.create_user("staff")
            refund_payment(payment, staff, amount=payment.amount, reason="Broken.")
        assert Order.objects.get().status == "REFUNDED"

    def test_what_the_gateway_would_refuse_leaves_the_basket(self) -> None:
        status, answer = check_out(self.client, price="100.50")
        assert status == 402
        assert answer["detail"].startswith("Amount: ")
        assert not Order.objects.exists()
        assert Basket.objects.get().items.count() == 1

    def test_other_payments_of_the_shop_are_left_alone(self) -> None:
        self.bought()
        user = get_user_model().objects.create_user("awa")
        pay(make_payment(content_object=user, status="pending", attempt=1))
        decline(make_payment(content_object=user, status="pending", attempt=1))
        assert Order.objects.get().status == "CREATED"


def check_out(client: Client, price: str = "12500") -> tuple[int, Any]:
    """Put something into the basket, and return the answer of salesman's checkout."""
    product = Product.objects.create(name="Bread", price=price)
    item = {"product_type": "shop.Product", "product_id": product.pk}
    assert client.post("/api/basket/", item, content_type="application/json").status_code == 201
    checkout = {
        "email": "awa@example.com",
        "shipping_address": "Cocody",
        "billing_address": "Cocody",
        "payment_method": "paiementpro",
        "extra": {"phone": "07 07 12 34 56"},
    }
    response = client.post("/api/checkout/", checkout, content_type="application/json")
    return response.status_code, response.json()
