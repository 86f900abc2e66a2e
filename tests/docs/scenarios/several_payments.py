from django.contrib.auth.models import User
from django.test import TransactionTestCase
from django.urls import reverse
from orders.models import Order

from django_paiementpro import services
from django_paiementpro.models import Payment
from django_paiementpro.testing import notify, pay


class SeveralPayments(TransactionTestCase):
    def setUp(self) -> None:
        buyer = {"first_name": "Awa", "last_name": "Koné", "email": "awa@example.com", "phone": "07 07 12 34 56"}
        response = self.client.post(reverse("buy"), buyer)
        self.order = Order.objects.get()
        self.assertRedirects(response, reverse("pay", args=[self.order.pk]), fetch_redirect_response=False)

    def open(self) -> Payment:
        response = self.client.get(reverse("pay", args=[self.order.pk]))
        payment = self.order.payments.first()
        self.assertRedirects(response, payment.get_checkout_url(), fetch_redirect_response=False)
        return payment

    def figures(self) -> tuple[int, int, bool]:
        self.order.refresh_from_db()
        return self.order.paid, self.order.due, self.order.is_paid

    def test_a_mistyped_number_makes_no_order(self) -> None:
        buyer = {"first_name": "Awa", "last_name": "Koné", "email": "awa@example.com", "phone": "0707"}
        self.assertContains(self.client.post(reverse("buy"), buyer), "07 07 12 34 56")
        assert Order.objects.count() == 1

    def test_a_deposit_and_the_rest(self) -> None:
        deposit = self.open()
        assert self.open() == deposit
        assert deposit.amount == 4000
        pay(deposit)
        assert self.figures() == (4000, 8500, False)

        rest = self.open()
        pay(rest)
        assert notify(rest).status_code == 200
        assert self.figures() == (12500, 0, True)
        response = self.client.get(reverse("pay", args=[self.order.pk]))
        self.assertRedirects(response, self.order.get_absolute_url())

    def test_the_total_changes(self) -> None:
        pay(self.open())
        old = self.open()
        self.order.instalments = [4000, 6000]
        self.order.save()
        new = self.open()

        old.refresh_from_db()
        assert (old.status, new.amount) == ("cancelled", 6000)
        pay(new)
        assert self.figures() == (10000, 0, True)

        pay(old)
        old.refresh_from_db()
        assert old.needs_review
        assert self.figures() == (18500, 0, True)

    def test_a_refund_is_taken_off(self) -> None:
        payment = self.open()
        pay(payment)
        staff = User.objects.create(username="staff")
        services.refund_payment(payment, staff, amount=1000, reference="R1", reason="too much")
        assert self.figures() == (3000, 1000, False)

    def test_an_instalment_that_has_expired_gets_a_new_payment(self) -> None:
        old = self.open()
        Payment.objects.update(status="expired")
        assert self.open() != old
