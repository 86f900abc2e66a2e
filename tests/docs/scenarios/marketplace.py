from django.test import TransactionTestCase
from django.urls import reverse
from orders.models import Order, Seller

from django_paiementpro.models import Payment
from django_paiementpro.testing import notify, pay


class Marketplace(TransactionTestCase):
    def test_the_money_goes_to_the_seller(self) -> None:
        seller = Seller.objects.create(name="Maquis du Val", merchant_id="PP-F900")
        buyer = {"first_name": "Awa", "last_name": "Koné", "email": "awa@example.com", "phone": "07 07 12 34 56"}
        self.client.post(reverse("buy"), {"seller": seller.pk, **buyer})
        order = Order.objects.get()
        for _ in range(2):
            self.client.get(reverse("pay", args=[order.pk]))
        payment = Payment.objects.for_object(order).get()
        assert payment.merchant_id == "PP-F900"

        assert notify(payment, merchantId="PP-F324").status_code == 400
        payment.refresh_from_db()
        assert payment.needs_review

        pay(payment)
        order.refresh_from_db()
        assert order.is_paid
