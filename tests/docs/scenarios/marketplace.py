from django.test import TransactionTestCase
from django.urls import reverse
from orders.models import Order, Seller

from django_paiementpro.models import Payment
from django_paiementpro.testing import FakeGateway, expire, notify, pay


class Marketplace(TransactionTestCase):
    def order(self) -> Order:
        seller = Seller.objects.create(name="A seller", merchant_id="PP-F900")
        buyer = {"first_name": "Awa", "last_name": "Koné", "email": "awa@example.com", "phone": "07 07 12 34 56"}
        self.client.post(reverse("buy"), {"seller": seller.pk, **buyer})
        return Order.objects.get()

    def click(self, order: Order) -> str:
        with FakeGateway():
            return self.client.get(reverse("pay", args=[order.pk]), follow=True).redirect_chain[0][0]

    def test_payment_goes_to_the_seller(self) -> None:
        order = self.order()
        for _ in range(2):
            self.click(order)
        payment = Payment.objects.for_object(order).get()
        assert payment.merchant_id == "PP-F900"

        assert notify(payment, merchantId="PP-F324").status_code == 400
        payment.refresh_from_db()
        assert payment.needs_review

        pay(payment)
        order.refresh_from_db()
        assert order.is_paid
        assert self.click(order) == order.get_absolute_url()

    def test_expired_payment_is_replaced_by_a_new_one(self) -> None:
        order = self.order()
        self.click(order)
        old = expire(Payment.objects.get())
        self.click(order)
        new = Payment.objects.exclude(pk=old.pk).get()
        assert new.merchant_id == "PP-F900"
        pay(new)
        order.refresh_from_db()
        assert order.is_paid
