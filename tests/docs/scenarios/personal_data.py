import shlex
from datetime import timedelta
from io import StringIO

from django.conf import settings
from django.core.management import call_command
from django.test import TransactionTestCase
from django.urls import reverse
from django.utils import timezone
from orders.models import Order
from orders.privacy import forget, forget_old_buyers

from django_paiementpro import services
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.testing import make_payment, pay
from tests.docs.browser import plain
from tests.docs.pages import blocks


class PersonalData(TransactionTestCase):
    def setUp(self) -> None:
        order = Order.objects.create(email="awa@example.com", first_name="Awa")
        self.payment = make_payment(
            content_object=order, customer_email="Awa@example.com", customer_phone="+225 0707123456"
        )
        pay(self.payment)
        long_ago = timezone.now() - timedelta(days=401)
        Payment.objects.update(created_at=long_ago, updated_at=long_ago)
        PaymentEvent.objects.update(created_at=long_ago)

    def test_commands_print_what_the_guide_shows(self) -> None:
        consoles = blocks(settings.LANGUAGE_CODE, "howto/personal-data")
        for command, answer in (turn for block in consoles if block.language == "console" for turn in block.dialogue):
            _python, _manage, *arguments = shlex.split(command)
            output = StringIO()
            call_command(*arguments, stdout=output)
            assert plain(output.getvalue()) == plain(answer)
        assert not Payment.objects.get().has_customer

    def test_personal_data_of_old_buyers_are_erased(self) -> None:
        assert forget_old_buyers(days=402) == 0
        assert forget_old_buyers() == 1
        assert not Payment.objects.get().has_customer

    def test_personal_data_are_erased_on_request(self) -> None:
        assert forget("AWA@example.com") == 1
        assert not Payment.objects.get().has_customer
        assert Order.objects.get().first_name == ""
        assert Payment.objects.get().amount == 12500

    def test_order_with_a_blanked_payment_can_be_paid_again(self) -> None:
        Payment.objects.update(status=Payment.Status.FAILED)
        forget_old_buyers()
        order = Order.objects.get()
        pay_order = reverse("pay", args=[order.pk])
        Order.objects.update(is_paid=False)
        assert self.client.get(pay_order).url == self.payment.get_checkout_url()
        services.cancel_payment(Payment.objects.get(), "blanked")
        assert self.client.get(pay_order).url != self.payment.get_checkout_url()
