"""What must hold for a payment through any shop framework: twelve cases, written once."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import Client

from django_paiementpro.models import Payment
from django_paiementpro.services import cancel_payment, refund_payment
from django_paiementpro.testing import FakeGateway, decline, deliver_signals, expire, notify, pay
from django_paiementpro.testing.payments import ORDINARY

STATUS_URL = "https://api.paiementpro.net/status"


def status_of(order: Any) -> str:
    order.refresh_from_db()
    return str(order.status)


def findings_of(payment: Payment) -> list[str]:
    return [finding.detail for finding in payment.open_findings]


def cancel(payment: Payment) -> None:
    with deliver_signals():
        cancel_payment(payment, "Wrong order.")


def warnings() -> list[str]:
    """Return the ids of what the system checks report."""
    return [str(message.id) for message in run_checks() if not message.is_silenced()]


class PaymentCases:
    """
    The twelve cases, for a subclass whose name starts with ``Test``.

    It fills in ``buy``, ``is_paid`` and ``booked``. ``self.client`` is the customer's browser, ``self.gateway`` the
    gateway.
    """

    client: Client
    gateway: FakeGateway

    def buy(self, client: Client) -> Payment:
        """Buy something with the framework, up to the link to the checkout, and return the payment that it is for."""
        raise NotImplementedError

    def is_paid(self) -> bool:
        """Return whether the framework takes the order for paid."""
        raise NotImplementedError

    def booked(self) -> int:
        """Return how many francs the framework has booked for the order, less what went back."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def shop(self, db: None, settings: Any) -> Iterator[None]:
        self.client = Client(enforce_csrf_checks=True)
        with FakeGateway() as self.gateway:
            yield

    def open_page(self, payment: Payment) -> None:
        """Follow the link to the checkout, which may ask for what the shop does not know, to the gateway's page."""
        url = payment.get_checkout_url()
        response = self.client.get(url)
        if response.status_code == 200:
            response = self.client.post(url, {name: ORDINARY[name] for name in response.context["form"].fields})
        assert response.status_code == 302, response.content.decode()
        assert response["Location"] == self.gateway.page_url
        payment.refresh_from_db()

    def bought(self) -> Payment:
        """Return the payment of a new order, with its page opened."""
        payment = self.buy(self.client)
        self.open_page(payment)
        assert self.gateway.page_requests[-1].amount == payment.amount
        self.assert_unpaid()
        return payment

    def assert_paid(self, payment: Payment) -> None:
        assert self.is_paid()
        assert self.booked() == payment.amount

    def assert_unpaid(self) -> None:
        assert not self.is_paid()
        assert self.booked() == 0

    def test_paid_order_is_booked(self) -> None:
        payment = pay(self.bought())
        self.assert_paid(payment)
        assert not payment.needs_review

    def test_refused_order_can_be_paid_by_the_same_link(self) -> None:
        payment = decline(self.bought())
        self.assert_unpaid()
        self.open_page(payment)
        assert payment.attempt == 2
        self.assert_paid(pay(payment))

    def test_success_after_a_refusal_is_booked(self) -> None:
        self.assert_paid(pay(decline(self.bought())))

    def test_success_of_an_earlier_attempt_is_booked(self) -> None:
        payment = decline(self.bought())
        self.open_page(payment)
        assert notify(payment, referenceNumber=payment.reference_of(1)).status_code == 200
        self.assert_paid(payment)

    def test_order_that_is_paid_twice_is_booked_once(self) -> None:
        payment = pay(self.bought())
        assert notify(payment, payId="PAY-AGAIN").status_code == 200
        self.assert_paid(payment)
        assert [finding.reason for finding in payment.open_findings] == ["paid_twice"]

    def test_half_of_the_price_books_nothing(self) -> None:
        payment = self.bought()
        assert notify(payment, amount=payment.amount // 2).status_code == 400
        self.assert_unpaid()
        assert [finding.reason for finding in payment.open_findings] == ["amount_mismatch"]

    def test_lost_notification_is_made_up_for(self, settings: Any) -> None:
        settings.PAIEMENTPRO_STATUS_URL = STATUS_URL
        payment = self.bought()
        self.gateway.confirms(payment)
        with deliver_signals():
            call_command("paiementpro_reconcile", verbosity=0)
        self.assert_paid(payment)

    def test_doubled_notification_is_booked_once(self) -> None:
        payment = self.bought()
        assert [notify(payment).status_code for _ in range(2)] == [200, 200]
        self.assert_paid(payment)
        assert not payment.open_findings

    def test_failure_after_success_takes_nothing_back(self) -> None:
        payment = pay(self.bought())
        assert notify(payment, responsecode="-1").status_code == 200
        self.assert_paid(payment)
        assert [finding.reason for finding in payment.open_findings] == ["failure_after_success"]

    def test_success_after_expiry_is_booked(self) -> None:
        payment = expire(self.bought())
        self.assert_unpaid()
        self.assert_paid(pay(payment))

    def test_success_after_cancellation_is_booked_and_flagged(self) -> None:
        payment = self.bought()
        with deliver_signals():
            cancel_payment(payment, "The customer changed their mind.")
        self.assert_unpaid()
        self.assert_paid(pay(payment))
        assert "paid_after_cancellation" in {finding.reason for finding in payment.open_findings}

    def test_refunds_are_booked_partial_ones_too(self) -> None:
        payment = pay(self.bought())
        staff = get_user_model().objects.create_user("staff")
        with deliver_signals():
            refund_payment(payment, staff, amount=500, reason="Broken.")
        assert self.booked() == payment.amount - 500
        with deliver_signals():
            refund_payment(payment, staff, amount=payment.amount - 500, reason="All of it.")
        assert self.booked() == 0
        assert payment.status == Payment.Status.REFUNDED
