"""
The plugin of the page "How to sell tickets with pretix".

pretix pins what it requires, so it has an environment of its own: ``make adapters ADAPTERS=py312-pretix-adapters``.
"""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django_scopes import scopes_disabled
from pretix.base.models import Event, Order, OrderPayment, Organizer, Quota

from django_paiementpro.models import Payment
from django_paiementpro.testing import decline, pay
from tests.adapters.cases import PaymentCases


def new_order(quota: int = 10) -> Order:
    """Return an order of one ticket, which is to be paid with the plugin."""
    organizer = Organizer.objects.create(name="Abissa", slug="abissa")
    event = Event.objects.create(
        organizer=organizer,
        name="Concert",
        slug="concert",
        currency="XOF",
        live=True,
        date_from=timezone.now() + timedelta(days=60),
        plugins="pretix_paiementpro",
    )
    event.settings.set("payment_paiementpro__enabled", True)
    item = event.items.create(name="Ticket", default_price=12500)
    event.quotas.create(name="Seats", size=quota).items.add(item)
    order = Order.objects.create(
        code="AB12C",
        event=event,
        email="awa@example.com",
        status=Order.STATUS_PENDING,
        datetime=timezone.now(),
        expires=timezone.now() + timedelta(days=10),
        total=12500,
        locale="en",
        sales_channel=organizer.sales_channels.get(identifier="web"),
    )
    order.positions.create(item=item, variation=None, price=12500, attendee_name_parts={})
    return order


def confirm(order: Order) -> Any:
    """Confirm a new payment of the order on the customer's page of pretix, and return the answer."""
    bought = order.payments.create(provider="paiementpro", amount=order.total, state=OrderPayment.PAYMENT_STATE_CREATED)
    return Client().post(f"/abissa/concert/order/{order.code}/{order.secret}/pay/{bought.pk}/confirm")


class TestPretix(PaymentCases):
    @pytest.fixture(autouse=True)
    def scopes(self) -> Any:
        with scopes_disabled():
            yield

    def buy(self, client: Client) -> Payment:
        self.order = new_order()
        response = confirm(self.order)
        payment = Payment.objects.latest("pk")
        assert response["Location"] == payment.get_checkout_url()
        return payment

    def is_paid(self) -> bool:
        self.order.refresh_from_db()
        return self.order.status == Order.STATUS_PAID

    def booked(self) -> int:
        confirmed = self.order.payments.filter(state=OrderPayment.PAYMENT_STATE_CONFIRMED)
        paid = sum(payment.amount for payment in confirmed)
        return int(paid - sum(refund.amount for refund in self.order.refunds.all()))

    def details(self, payment: Payment) -> list[str]:
        return [finding.detail for finding in payment.open_findings]

    def test_amounts_that_cannot_be_charged_are_not_offered(self) -> None:
        order = new_order()
        provider = order.event.get_payment_providers()["paiementpro"]
        assert provider.order_change_allowed(order)
        order.total = 50
        assert not provider.order_change_allowed(order)

    def test_fraction_is_refused_in_words(self) -> None:
        order = new_order()
        order.total = "100.50"
        response = confirm(order)
        assert response["Location"].startswith("/abissa/concert/order/")
        assert not Payment.objects.exists()

    def test_customer_who_starts_again_cannot_pay_both(self) -> None:
        first = self.buy(self.client)
        change = f"/abissa/concert/order/{self.order.code}/{self.order.secret}/pay/change"
        Client().post(change, {"payment": "paiementpro"})
        first.refresh_from_db()
        assert first.status == "cancelled"
        bought = self.order.payments.last()
        response = Client().post(change.replace("change", f"{bought.pk}/confirm"))
        second = Payment.objects.latest("pk")
        assert response["Location"] == second.get_checkout_url()
        self.open_page(second)
        self.assert_paid(pay(second))

    def test_refused_payment_fails_in_pretix(self) -> None:
        decline(self.bought())
        assert self.order.payments.get().state == OrderPayment.PAYMENT_STATE_FAILED

    def test_money_for_a_cancelled_order_is_flagged(self) -> None:
        payment = self.bought()
        Order.objects.update(status=Order.STATUS_CANCELED)
        pay(payment)
        assert self.booked() == 12500
        assert self.details(payment) == ["Paid, but AB12C has been cancelled."]

    def test_money_for_tickets_that_are_gone_is_flagged(self) -> None:
        payment = self.bought()
        Order.objects.update(status=Order.STATUS_EXPIRED, expires=timezone.now() - timedelta(days=1))
        Quota.objects.update(size=0)
        pay(payment)
        assert self.booked() == 12500
        assert not self.is_paid()
        assert self.details(payment)[0].startswith("Paid, but AB12C cannot be issued: ")
