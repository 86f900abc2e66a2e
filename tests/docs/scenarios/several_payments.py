from django.contrib.auth.models import User
from django.test import TransactionTestCase
from django.urls import reverse
from orders.models import Instalment, Order

from django_paiementpro import services
from django_paiementpro.models import Payment
from django_paiementpro.testing import expire, notify, pay


class SeveralPayments(TransactionTestCase):
    def setUp(self) -> None:
        buyer = {"first_name": "Awa", "last_name": "Koné", "email": "awa@example.com", "phone": "07 07 12 34 56"}
        response = self.client.post(reverse("buy"), buyer)
        self.order = Order.objects.get()
        self.assertRedirects(response, reverse("pay", args=[self.order.pk]), fetch_redirect_response=False)

    def open(self) -> Payment:
        response = self.client.get(reverse("pay", args=[self.order.pk]))
        payment = Payment.objects.for_object(self.order.instalments.filter(is_paid=False).first()).first()
        self.assertRedirects(response, payment.get_checkout_url(), fetch_redirect_response=False)
        return payment

    def figures(self) -> tuple[int, int, bool]:
        order = Order.objects.get()
        return order.paid, order.total, order.is_paid

    def test_deposit_and_balance_are_paid(self) -> None:
        deposit = self.open()
        assert self.open() == deposit
        assert deposit.amount == 4000
        pay(deposit)
        assert self.figures() == (4000, 12500, False)

        rest = self.open()
        pay(rest)
        assert notify(rest).status_code == 200
        assert self.figures() == (12500, 12500, True)
        response = self.client.get(reverse("pay", args=[self.order.pk]))
        self.assertRedirects(response, self.order.get_absolute_url())

    def test_changed_total_replaces_the_open_payment(self) -> None:
        pay(self.open())
        old = self.open()
        Instalment.objects.filter(is_paid=False).update(amount=6000)
        new = self.open()

        old.refresh_from_db()
        assert (old.status, new.amount) == ("cancelled", 6000)
        pay(new)
        assert self.figures() == (10000, 10000, True)

        pay(old)
        old.refresh_from_db()
        assert old.needs_review
        assert self.figures() == (10000, 10000, True)

    def test_paid_unfulfilled_instalment_is_not_paid_again(self) -> None:
        pay(self.open())
        Instalment.objects.update(is_paid=False)
        response = self.client.get(reverse("pay", args=[self.order.pk]))
        self.assertRedirects(response, self.order.get_absolute_url())

    def test_refunded_instalment_is_due_again(self) -> None:
        payment = self.open()
        pay(payment)
        staff = User.objects.create(username="staff")
        for amount, paid in ((1000, 4000), (3000, 0)):
            payment.refresh_from_db()
            services.refund_payment(payment, staff, amount=amount, reference="R1", reason="too much")
            assert self.figures() == (paid, 12500, False)
        assert self.open() != payment

    def test_instalment_paid_twice_stays_paid_after_one_refund(self) -> None:
        first = expire(self.open())
        pay(self.open())
        pay(first)
        first.refresh_from_db()
        staff = User.objects.create(username="staff")
        services.refund_payment(first, staff, amount=4000, reference="R1", reason="paid twice")
        assert self.figures() == (4000, 12500, False)

    def test_admin_shows_the_instalments_and_their_payments(self) -> None:
        payment = self.open()
        self.client.force_login(User.objects.create_superuser("staff"))
        order_page = reverse("admin:orders_order_change", args=[self.order.pk])
        instalment_page = reverse("admin:orders_instalment_change", args=[payment.object_id])
        self.assertContains(self.client.get(reverse("admin:orders_order_changelist")), 12500)
        self.assertContains(self.client.get(order_page), instalment_page)
        self.assertContains(self.client.get(instalment_page), payment.reference)

    def test_expired_instalment_gets_a_new_payment(self) -> None:
        old = expire(self.open())
        assert self.open() != old
