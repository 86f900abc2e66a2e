from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from payments import PaymentError
from payments.core import PROVIDER_CACHE
from payments.signals import status_changed

from django_paiementpro.contrib.payments.provider import PaiementProProvider
from django_paiementpro.contrib.payments.receivers import book
from django_paiementpro.models import Payment
from django_paiementpro.services import cancel_payment, redeliver_signals, refund_payment, review_payment
from django_paiementpro.testing import decline, deliver_signals, expire, make_payment, notify, pay
from shop.models import Purchase
from tests.adapters.cases import PaymentCases


class TestPayments(PaymentCases):
    def buy(self, client: Client) -> Payment:
        self.purchase = purchase()
        response = client.get(f"/pay/{self.purchase.pk}/")
        payment = Payment.objects.for_object(self.purchase).get()
        assert response["Location"] == payment.get_checkout_url()
        return payment

    def is_paid(self) -> bool:
        self.purchase.refresh_from_db()
        return self.purchase.status == "confirmed"

    def booked(self) -> int:
        self.purchase.refresh_from_db()
        return int(self.purchase.captured_amount)

    @pytest.mark.parametrize("values", [{"total": "100.50"}, {"total": 99}, {"currency": "EUR"}])
    def test_what_the_gateway_would_refuse_is_a_payment_error(self, values: Any) -> None:
        bought = purchase(**values)
        response = self.client.get(f"/pay/{bought.pk}/")
        assert response.status_code == 400
        assert isinstance(response.context["error"], PaymentError)
        assert not Payment.objects.exists()


@pytest.fixture(autouse=True)
def clean_providers() -> None:
    PROVIDER_CACHE.clear()


def purchase(**values: Any) -> Purchase:
    ordinary = {"variant": "default", "total": 12500, "currency": "XOF", "billing_phone": "+2250707123456"}
    return Purchase.objects.create(**{**ordinary, **values})


def opened(bought: Purchase) -> Payment:
    """Return our payment, with the purchase up to its checkout."""
    Client().get(f"/pay/{bought.pk}/")
    return Payment.objects.for_object(bought).first()


def status(bought: Purchase) -> str:
    bought.refresh_from_db()
    return bought.status


def details(payment: Payment) -> list[str]:
    return [finding.detail for finding in payment.open_findings]


def test_checkout_knows_what_the_shop_knows(db: None) -> None:
    bought = purchase(
        variant="wave",
        description="Two tickets",
        billing_first_name="A" * 200,
        billing_last_name="Koné",
        billing_email="awa@example.com",
    )
    payment = opened(bought)
    assert (payment.channel, payment.merchant_id, payment.amount) == ("WAVECI", "PP-F900", 12500)
    assert payment.description == "Two tickets"
    assert (payment.customer_first_name, payment.customer_last_name) == ("A" * 150, "Koné")
    assert (payment.customer_email, payment.customer_phone) == ("awa@example.com", "+2250707123456")
    assert (payment.success_url, payment.failure_url) == (f"/thanks/{bought.pk}/", f"/pay/{bought.pk}/")


def test_payment_without_a_description_has_one(db: None) -> None:
    bought = purchase()
    payment = opened(bought)
    assert payment.description == f"Payment {bought.pk}"
    assert payment.merchant_id == "PP-F324"


def test_other_variants_are_paid_as_before(client: Client, db: None, settings: Any) -> None:
    settings.PAYMENT_VARIANTS = {**settings.PAYMENT_VARIANTS, "dummy": ("payments.dummy.DummyProvider", {})}
    response = client.get(f"/pay/{purchase(variant='dummy').pk}/")
    assert response.status_code == 200
    assert not Payment.objects.exists()


def test_several_visits_open_one_payment(db: None) -> None:
    bought = purchase()
    assert opened(bought) == opened(bought)
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("options", [{"capture": False}, {"channel": "WAVE"}])
def test_wrong_variant_is_refused(options: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^PaiementProProvider: "):
        PaiementProProvider(**options)


def test_channel_that_is_not_offered_is_refused(settings: Any) -> None:
    settings.PAIEMENTPRO_CHANNELS = ["OMCIV2"]
    with pytest.raises(ImproperlyConfigured, match="channel 'WAVECI' is not one of OMCIV2"):
        PaiementProProvider(channel="WAVECI")


@pytest.mark.parametrize("paid_or_over", ["confirmed", "refunded", "cancelled"])
def test_purchase_that_is_over_cannot_be_paid(db: None, paid_or_over: str) -> None:
    with pytest.raises(PaymentError, match="can no longer be paid"):
        purchase(status=paid_or_over).get_form()


def test_purchase_whose_signal_is_on_its_way_cannot_be_paid_again(db: None) -> None:
    bought = purchase()
    make_payment(content_object=bought, status="succeeded", attempt=1)
    with pytest.raises(PaymentError, match="has been paid already"):
        bought.get_form()


def test_refusal_and_expiry_reject(db: None) -> None:
    refused, expired = purchase(), purchase()
    decline(opened(refused), responsemsg="Solde insuffisant")
    expire(opened(expired))
    assert (status(refused), status(expired)) == ("rejected", "rejected")


def test_each_status_is_signalled_once(db: None) -> None:
    bought = purchase()
    heard = []

    def hear(instance: Purchase, **kwargs: Any) -> None:
        heard.append(instance.status)

    status_changed.connect(hear)
    payment = decline(opened(bought))
    expire(payment)
    pay(payment)
    notify(payment)
    with deliver_signals():
        refund_payment(payment, get_user_model().objects.create_user("staff"), amount=500, reason="Broken.")
    status_changed.disconnect(hear)
    assert heard == ["rejected", "confirmed"]


def test_signal_that_is_sent_again_changes_nothing(db: None) -> None:
    bought = purchase()
    payment = pay(opened(bought))
    Purchase.objects.update(status="error")  # the shop's own decision
    with deliver_signals():
        redeliver_signals(payment, get_user_model().objects.create_user("staff"), "Again.")
    assert (status(bought), bought.captured_amount) == ("error", 12500)


def test_signal_of_the_success_may_come_after_a_refund(db: None) -> None:
    bought = purchase()
    as_paid = pay(opened(bought))
    Purchase.objects.update(status="waiting", transaction_id="", captured_amount=0)
    refund_payment(Payment.objects.get(), get_user_model().objects.create_user("staff"), amount=500, reason="Broken.")
    book(Payment, as_paid)
    assert (status(bought), bought.captured_amount) == ("confirmed", 12000)


def test_expired_purchase_can_be_paid_by_a_new_payment(db: None) -> None:
    bought = purchase()
    old = expire(opened(bought))
    new = opened(bought)
    assert new != old
    pay(new)
    assert status(bought) == "confirmed"
    pay(old)
    assert details(old) == ["Paid, but the shop’s own payment has been paid otherwise."]
    assert bought.transaction_id == new.reference


def test_cancelled_purchase_is_not_taken_to_the_gateway(db: None) -> None:
    bought = purchase()
    payment = opened(bought)
    with deliver_signals():
        bought.cancel()
    payment.refresh_from_db()
    assert (payment.status, status(bought)) == ("cancelled", "cancelled")


def test_paid_purchase_cannot_be_cancelled(db: None) -> None:
    bought = purchase()
    make_payment(content_object=bought, status="succeeded", attempt=1)
    with pytest.raises(PaymentError, match="can no longer be cancelled"):
        bought.cancel()
    assert status(bought) == "waiting"


def test_payment_cancelled_by_staff_cancels(db: None) -> None:
    bought = purchase()
    with deliver_signals():
        cancel_payment(decline(opened(bought)), "Sold out.")
    assert (status(bought), bought.message) == ("cancelled", "Sold out.")


def test_payment_that_another_replaces_cancels_nothing(db: None) -> None:
    bought = purchase()
    old = opened(bought)
    Purchase.objects.update(total=9000)
    with deliver_signals():
        new = opened(bought)
    old.refresh_from_db()
    assert (old.status, new.amount, status(bought)) == ("cancelled", 9000, "waiting")
    pay(old)
    assert "Paid, but the shop’s own payment is of another amount now." in details(old)
    assert (status(bought), bought.captured_amount) == ("waiting", 0)


def test_refunds_are_not_made_by_the_provider(db: None) -> None:
    bought = purchase()
    pay(opened(bought))
    bought.refresh_from_db()
    with pytest.raises(PaymentError, match="back office"):
        bought.refund()
    assert (status(bought), bought.captured_amount) == ("confirmed", 12500)


def test_full_refund_is_recorded(db: None) -> None:
    bought = purchase()
    payment = pay(opened(bought))
    staff = get_user_model().objects.create_user("staff")
    with deliver_signals():
        refund_payment(payment, staff, amount=12500, reason="Broken.")
    assert (status(bought), bought.captured_amount) == ("refunded", 0)
    with deliver_signals():
        assert redeliver_signals(payment, staff, "Again.")
    assert (status(bought), bought.captured_amount) == ("refunded", 0)


def test_money_for_a_deleted_purchase_is_flagged(db: None) -> None:
    bought = purchase()
    payment = opened(bought)
    other = opened(purchase())
    Purchase.objects.all().delete()
    pay(payment)
    assert details(payment) == ["Paid, but the shop has deleted its own payment."]
    decline(other)
    assert details(other) == []


def test_other_payments_of_the_shop_are_left_alone(db: None) -> None:
    bought = purchase()
    user = get_user_model().objects.create_user("awa")
    pay(make_payment(content_object=user, status="pending", attempt=1))
    decline(make_payment(content_object=user, status="pending", attempt=1))
    assert status(bought) == "waiting"


def test_visitor_of_the_callback_url_is_sent_on(client: Client, db: None) -> None:
    bought = purchase()
    assert client.post(bought.get_process_url())["Location"] == f"/pay/{bought.pk}/"
    payment = opened(bought)
    assert client.post(bought.get_process_url())["Location"] == payment.get_return_url()
    assert status(bought) == "waiting"


def test_callback_url_of_the_variant_is_not_used(client: Client, db: None) -> None:
    assert client.post("/payments/process/default/").status_code == 404


def test_purchase_that_is_paid_late_is_not_paid_again(db: None) -> None:
    bought = purchase()
    late = expire(make_payment(status="pending", attempt=1, content_object=bought))
    other = opened(bought)
    with deliver_signals():
        pay(late)
    other.refresh_from_db()
    assert (status(bought), other.status) == ("confirmed", "cancelled")
    pay(other)
    assert "Paid, but the shop’s own payment has been paid otherwise." in details(other)


def test_money_that_went_back_is_not_flagged_again(db: None) -> None:
    bought = purchase()
    for _time in range(2):
        payment = pay(make_payment(status="pending", attempt=1, content_object=bought))
    staff = get_user_model().objects.create_user("staff")
    review_payment(payment, staff, "To be refunded.")
    with deliver_signals():
        refund_payment(payment, staff, amount=12500, reason="Paid twice.")
    assert details(payment) == []
