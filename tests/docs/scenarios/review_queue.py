import re
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core import mail
from django.core.exceptions import ValidationError
from django.template import engines
from django.test import RequestFactory, TransactionTestCase
from django.utils import translation
from orders.models import Order
from orders.office import refund, review

from django_paiementpro.admin import wording
from django_paiementpro.admin.actions import ACTIONS
from django_paiementpro.enums import Reason
from django_paiementpro.models import Payment
from django_paiementpro.services import refund_payment
from django_paiementpro.testing import make_payment, notify, pay
from tests.docs.pages import blocks

GUIDES = {
    language: " ".join(
        (Path(__file__).parents[3] / "docs" / language / "howto" / "review-queue.rst").read_text("utf-8").split()
    )
    for language in ("en", "fr")
}


class ReviewQueue(TransactionTestCase):
    def setUp(self) -> None:
        self.staff = User.objects.create_superuser("staff")
        self.payment = make_payment(content_object=Order.objects.create())

    def test_staff_are_mailed_once_and_review_it_once(self) -> None:
        assert notify(self.payment, amount=100).status_code == 400
        (message,) = mail.outbox
        assert str(self.payment) in message.subject
        assert message.body == "amount_mismatch: 100 != 12500"
        assert notify(self.payment, amount=100).status_code == 400
        assert len(mail.outbox) == 1

        self.payment.refresh_from_db()
        again = Payment.objects.get()
        review(self.payment, self.staff, "gave 100 F back")
        assert not Payment.objects.get().needs_review
        with pytest.raises(ValidationError) as caught:
            review(again, self.staff, "gave 100 F back")
        assert caught.value.code == "changed"

    def test_order_whose_total_has_changed_is_reported(self) -> None:
        pay(self.payment)
        assert not Payment.objects.get().needs_review

        other = make_payment(content_object=Order.objects.create(total=13000))
        pay(other)
        (finding,) = other.open_findings
        assert finding.reason == Reason.HOST
        assert "13000 F" in finding.detail
        (message,) = mail.outbox
        assert message.body == str(finding)

    def test_customer_gets_a_mail_for_each_refund(self) -> None:
        pay(self.payment)
        for amount, status in ((2500, "succeeded"), (10000, "refunded")):
            self.payment.refresh_from_db()
            refund(self.payment, self.staff, amount, "R-1", "broken")
            assert Payment.objects.get().status == status
        bodies = [message.body for message in mail.outbox]
        amounts = [each.amount_display for each in self.payment.refunds.all()]
        assert len(bodies) == len(amounts) == 2
        assert all(body.startswith(amount) for body, amount in zip(bodies, amounts, strict=True))
        assert {recipient for message in mail.outbox for recipient in message.to} == {self.payment.customer_email}

    def test_customer_is_not_notified_of_a_chargeback(self) -> None:
        pay(self.payment)
        self.payment.refresh_from_db()
        refund_payment(self.payment, self.staff, amount=12500, reason="disputed", kind="chargeback", fee=5000)
        assert mail.outbox == []

    def test_table_lists_every_reason(self) -> None:
        for language, guide in GUIDES.items():
            with translation.override(language):
                told = re.findall(r"\* - \*\*([^*]+)\*\* \(``(\w+)``\)", guide)
                assert told == [(str(reason.label), reason.value) for reason in wording.ADVICE]
        assert {*wording.ADVICE, Reason.MALFORMED} == set(Reason)

    def test_every_action_has_its_admin_label(self) -> None:
        for language, guide in GUIDES.items():
            with translation.override(language):
                for name in ("review", "check", "confirm", "refund"):
                    assert f"*{ACTIONS[name].label}" in guide, name

    def test_admin_is_the_shops_subclass(self) -> None:
        self.client.force_login(self.staff)
        assert self.client.get("/admin/paiementpro/payment/").status_code == 200
        assert admin.site.get_model_admin(Payment).list_per_page == 20

    def test_index_shows_the_payments_to_review(self) -> None:
        assert notify(self.payment, amount=100).status_code == 400
        self.client.force_login(self.staff)
        assert "?review=1" in self.client.get("/admin/").content.decode()

    def test_custom_index_shows_the_payments_to_review(self) -> None:
        assert notify(self.payment, amount=100).status_code == 400
        request = RequestFactory().get("/admin/")
        request.user = self.staff
        (text,) = (block.text for block in blocks("en", "reference/templates") if block.language == "html+django")
        assert "1" in engines["django"].from_string(text).render({}, request)
