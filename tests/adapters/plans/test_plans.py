from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone
from payments import PaymentError
from plans.models import Order, Plan, PlanPricing, Pricing, UserPlan

from django_paiementpro.models import Payment
from django_paiementpro.testing import decline, pay
from tests.adapters.cases import PaymentCases


class TestPlans(PaymentCases):
    price = 12500

    def buy(self, client: Client) -> Payment:
        plan = Plan.objects.create(name="Baker", default=True, available=True)
        month = Pricing.objects.create(name="A month", period=30)
        price = PlanPricing.objects.create(plan=plan, pricing=month, price=self.price)
        client.force_login(get_user_model().objects.create_user("awa", "awa@example.com"))
        url = f"/plan/order/extend/new/{price.pk}/"
        client.get(url)
        ordered = client.post(url, {"csrfmiddlewaretoken": client.cookies["csrftoken"].value})
        self.order = Order.objects.get()
        assert ordered["Location"] == f"/plan/order/{self.order.pk}/"
        response = client.get(f"/plan/create_payment/mobile-money/{self.order.pk}/")
        response = client.get(response["Location"])
        payment = Payment.objects.get()
        assert response["Location"] == payment.get_checkout_url()
        return payment

    def is_paid(self) -> bool:
        self.order.refresh_from_db()
        return self.order.status == Order.STATUS.COMPLETED

    def booked(self) -> int:
        return int(self.order.payment_set.get().captured_amount)

    def test_plan_runs_from_the_payment_on(self) -> None:
        payment = self.bought()
        assert payment.amount == 14750  # with VAT
        assert (payment.customer_first_name, payment.description) == ("Awa", "Plan Baker - A month (30 days)  purchase")
        assert (payment.success_url, payment.failure_url) == (
            f"/plan/order/{self.order.pk}/payment/success/",
            f"/plan/order/{self.order.pk}/payment/failure/",
        )
        pay(payment)
        assert UserPlan.objects.get().expire == timezone.localdate() + timedelta(days=30)

    def test_refused_order_is_cancelled_until_it_is_paid(self) -> None:
        payment = decline(self.bought())
        self.order.refresh_from_db()
        assert self.order.status == Order.STATUS.CANCELED
        self.assert_paid(pay(payment))

    def test_price_with_tax_must_be_in_whole_francs(self) -> None:
        self.price = 12345
        with pytest.raises(PaymentError, match=r"^Amount: "):
            self.buy(self.client)
