from django.test import TransactionTestCase
from django.urls import reverse
from orders.models import Order

from django_paiementpro.models import Payment
from django_paiementpro.services import cancel_payment
from django_paiementpro.testing import FakeGateway, decline, expire, make_payment, pay


class FirstSale(TransactionTestCase):
    def setUp(self) -> None:
        buyer = {"first_name": "Awa", "last_name": "Koné", "email": "awa@example.com", "phone": "07 07 12 34 56"}
        self.client.post(reverse("buy"), buyer)
        self.order = Order.objects.get()

    def click(self) -> list[str]:
        """Return where the link leads, page by page."""
        with FakeGateway():
            response = self.client.get(reverse("pay", args=[self.order.pk]), follow=True)
        return [url for url, _status in response.redirect_chain]

    def open(self) -> Payment:
        way = self.click()
        payment = Payment.objects.for_object(self.order).first()
        assert way[0] == payment.get_checkout_url()
        return payment

    def test_unpaid_order_has_one_payment(self) -> None:
        payment = self.open()
        assert self.open() == payment
        decline(payment)
        assert self.open() == payment

    def test_expired_payment_is_replaced_by_a_new_one(self) -> None:
        old = expire(self.open())
        new = self.open()
        assert new != old
        pay(new)
        self.order.refresh_from_db()
        assert self.order.is_paid

    def test_cancelled_payment_is_replaced_by_a_new_one(self) -> None:
        old = self.open()
        cancel_payment(old, "a mistake")
        assert self.open() != old

    def test_order_is_paid_once(self) -> None:
        old = expire(self.open())
        self.open()
        pay(old)  # on the page that was still open
        assert self.click() == [self.order.get_absolute_url()]

    def test_paid_unfulfilled_order_is_not_paid_again(self) -> None:
        make_payment(content_object=self.order, status=Payment.Status.SUCCEEDED)
        assert self.click() == [self.order.get_absolute_url()]

    def test_buyer_is_asked_for_a_number_that_can_be_called(self) -> None:
        Order.objects.update(phone="0707")
        with FakeGateway() as gateway:
            response = self.client.get(reverse("pay", args=[self.order.pk]), follow=True)
            assert response.status_code == 200
            assert not gateway.page_requests
            answer = self.client.post(response.redirect_chain[-1][0], {"customer_phone": "07 07 12 34 56"})
            assert answer.headers["Location"] == gateway.page_url
        assert Payment.objects.get().customer_phone == "07 07 12 34 56"
