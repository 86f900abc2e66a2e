"""
Helpers for the tests of a shop: a fake gateway, its notifications, and payments in every state.

Install it with ``pip install "django-paiementpro[testing]"``. It works with Django's ``TestCase`` and with pytest::

    class OrderTests(TestCase):
        def test_paid_order_is_delivered(self):
            pay(self.order.open_payment())
            self.order.refresh_from_db()
            self.assertTrue(self.order.is_paid)

        def test_page_has_the_order_total(self):
            with FakeGateway() as gateway:
                self.client.get(self.order.open_payment().get_checkout_url())
            self.assertEqual(gateway.page_requests[0].amount, self.order.total)

``pay`` and ``decline`` settle a payment with a notification of the gateway, ``notify`` sends one in any form, and
``come_back`` returns the customer to the shop. ``expire`` lets a day pass. ``make_payment`` stores a payment.
``FakeGateway`` answers your shop's requests to the gateway. ``deliver_signals`` runs what waits for a commit. Fixtures
for pytest are in ``django_paiementpro.testing.fixtures``.

Only the network is faked: your views, your receivers and the whole app run as in production.
"""

from django_paiementpro.testing.gateway import FakeGateway
from django_paiementpro.testing.notifications import come_back, decline, notify, pay
from django_paiementpro.testing.payments import expire, make_payment
from django_paiementpro.testing.signals import deliver_signals

__all__ = ["FakeGateway", "come_back", "decline", "deliver_signals", "expire", "make_payment", "notify", "pay"]
