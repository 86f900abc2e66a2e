from contextlib import suppress
from io import StringIO

from django.core.management import CommandError, call_command
from django.db import connection
from django.test import TransactionTestCase
from orders.models import Order

from django_paiementpro.models import Payment
from django_paiementpro.testing import make_payment, pay


class MySQL(TransactionTestCase):
    def test_doctor_finds_no_problem_with_the_database(self) -> None:
        assert connection.vendor == "mysql"
        output = StringIO()
        with suppress(CommandError):  # of what is not the database
            call_command("paiementpro_doctor", language="en", stdout=output)
        assert "The database is set up correctly." in output.getvalue()
        assert "isolation" not in output.getvalue()

    def test_payment_keeps_every_character(self) -> None:
        order = Order.objects.create(
            first_name="Awa 🌺", last_name="Koné", email="awa@example.com", phone="07 07 12 34 56"
        )
        payment = make_payment(content_object=order, customer_first_name="Awa 🌺")
        pay(payment)
        assert Payment.objects.get().customer_first_name == "Awa 🌺"
        assert Order.objects.get().is_paid
