from django.core import mail
from django.core.management import call_command
from django.test import TransactionTestCase
from django.urls import reverse
from orders.models import Order

from django_paiementpro.models import Payment
from django_paiementpro.testing import pay


class Tasks(TransactionTestCase):
    def test_receiver_runs_in_the_worker(self) -> None:
        buyer = {"first_name": "Awa", "last_name": "Koné", "email": "awa@example.com", "phone": "07 07 12 34 56"}
        self.client.post(reverse("buy"), buyer)
        self.client.get(reverse("pay", args=[Order.objects.get().pk]))
        pay(Payment.objects.get())
        assert not Order.objects.get().is_paid

        call_command("db_worker", batch=True, interval=0.0, startup_delay=False, verbosity=0)
        assert Order.objects.get().is_paid
        assert [message.to for message in mail.outbox] == [["awa@example.com"]]

    def test_check_passes(self) -> None:
        call_command("check", deploy=False, fail_level="WARNING")
