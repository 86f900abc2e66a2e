from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from getpaid.exceptions import RefundFailure
from getpaid_core.exceptions import GetPaidException

from django_paiementpro.contrib.getpaid.validators import payable
from django_paiementpro.delivery.outbox import owe_again
from django_paiementpro.models import Payment
from django_paiementpro.services import cancel_payment, redeliver_signals, refund_payment, review_payment
from django_paiementpro.testing import decline, deliver_signals, expire, make_payment, notify, pay
from shop.models import Order
from tests.adapters.cases import PaymentCases, warnings


class TestGetpaid(PaymentCases):
    def buy(self, client: Client) -> Payment:
        self.order = make_order(client)
        return chosen(client, self.order)

    def is_paid(self) -> bool:
        return self.order.payments.filter(status="paid").exists()

    def booked(self) -> int:
        return sum(int(row.amount_paid - row.amount_refunded) for row in self.order.payments.all())

    def test_next_payment_of_getpaid_is_our_next_attempt(self) -> None:
        payment = decline(self.bought())
        assert chosen(self.client, self.order) == payment
        self.open_page(payment)
        assert (payment.attempt, statuses(self.order)) == (2, ["prepared", "failed"])
        notify(payment, referenceNumber=payment.reference_of(1))
        assert statuses(self.order) == ["paid", "failed"]
        notify(payment)
        self.assert_paid(payment)
        assert [finding.reason for finding in payment.open_findings] == ["paid_twice"]

    def test_success_of_an_expired_payment_is_booked_on_the_next(self) -> None:
        old = expire(self.bought())
        new = chosen(self.client, self.order)
        assert new != old
        self.assert_paid(pay(old))
        assert statuses(self.order) == ["paid", "failed"]
        new.refresh_from_db()
        assert new.status == Payment.Status.CANCELLED
        pay(new)
        self.assert_paid(new)
        assert "Paid, but the shop’s own payment has been paid otherwise." in details(new)
        staff = get_user_model().objects.create_user("staff")
        review_payment(new, staff, "To be refunded.")
        with deliver_signals():
            refund_payment(new, staff, amount=new.amount, reason="Paid twice.")
        assert details(new) == []
        self.assert_paid(old)

    def test_money_for_an_order_that_is_paid_otherwise_is_flagged(self) -> None:
        payment = decline(self.bought())
        assert choose(self.client, self.order, "cheque")["Location"] == "/cheque/"
        pay(payment)
        assert statuses(self.order) == ["prepared", "failed"]
        assert details(payment) == ["Paid, but the shop’s own payment has been paid otherwise."]

    def test_failed_payment_of_another_backend_is_not_paid_by_ours(self) -> None:
        payment = decline(self.bought())
        choose(self.client, self.order, "cheque")
        self.order.payments.filter(backend="cheque").update(status="failed")
        self.assert_paid(pay(payment))
        assert self.order.payments.get(status="paid").backend == "paiementpro"

    def test_money_for_an_older_price_is_flagged(self) -> None:
        old = decline(self.bought())
        Order.objects.update(total=9000)
        with deliver_signals():
            assert chosen(self.client, self.order).amount == 9000
        pay(old)
        self.assert_unpaid()
        assert statuses(self.order) == ["prepared", "failed"]
        assert "Paid, but the shop’s own payment is of another amount now." in details(old)

    def test_money_for_a_deleted_payment_is_flagged(self) -> None:
        payment = decline(self.bought())
        self.order.payments.all().delete()
        pay(payment)
        assert details(payment) == ["Paid, but the shop has deleted its own payment."]

    def test_cancelled_payment_leaves_the_order_free(self) -> None:
        payment = self.bought()
        with deliver_signals():
            cancel_payment(payment, "The customer changed their mind.")
        assert statuses(self.order) == ["failed"]
        assert chosen(self.client, self.order) != payment

    def test_signals_that_are_sent_again_change_nothing(self) -> None:
        payment = pay(self.bought())
        staff = get_user_model().objects.create_user("staff")
        with deliver_signals():
            refund_payment(payment, staff, amount=500, reason="Broken.")
            redeliver_signals(payment, staff, "Again.")
        assert self.booked() == 12000
        with deliver_signals():
            refund_payment(payment, staff, amount=12000, reason="All of it.")
            redeliver_signals(payment, staff, "Again.")
        assert statuses(self.order) == ["refunded"]
        assert not payment.open_findings

    def test_failure_whose_signal_comes_late_changes_nothing(self) -> None:
        payment = decline(self.bought())
        chosen(self.client, self.order)
        pay(payment)
        staff = get_user_model().objects.create_user("staff")
        failure = payment.events.get(signals=["payment_failed"])
        with deliver_signals():
            owe_again(failure, ["payment_failed"])
            redeliver_signals(payment, staff, "Again.")
        assert statuses(self.order) == ["paid", "failed"]

    def test_getpaid_can_ask_for_the_status(self) -> None:
        payment = self.bought()
        first = self.order.payments.get()
        assert first.fetch_and_update_status().status == "prepared"
        Payment.objects.update(status="failed")
        assert first.fetch_and_update_status().status == "failed"
        chosen(self.client, self.order)
        Payment.objects.update(status="succeeded")
        assert first.fetch_and_update_status().status == "failed"  # the other one is to be paid
        second = self.order.payments.get(status="prepared")
        assert second.fetch_and_update_status().status == "paid"
        assert second.amount_paid == payment.amount
        second.provider_data = {}
        assert second.fetch_status() is None

    @pytest.mark.parametrize("total", ["100.50", "99"])
    def test_amount_that_cannot_be_paid_is_refused_in_the_form(self, total: str) -> None:
        order = make_order(self.client, total=total)
        response = choose(self.client, order)
        assert response.status_code == 200
        assert [message for message in response.context["form"].non_field_errors() if message.startswith("Amount: ")]
        assert statuses(order) == []

    def test_paid_order_is_refused_in_the_form(self) -> None:
        order = make_order(self.client)
        make_payment(content_object=order, status="succeeded", attempt=1)
        response = choose(self.client, order)
        assert response.context["form"].non_field_errors() == ["This has been paid already."]
        assert statuses(order) == []

    def test_amount_that_cannot_be_paid_is_an_exception_without_the_form(self) -> None:
        order = make_order(self.client, total="100.50")
        row = order.payments.create(amount_required=order.total, currency="XOF", backend="paiementpro")
        with pytest.raises(GetPaidException, match=r"^Amount: "):
            row.prepare_transaction()

    def test_callback_url_of_getpaid_is_refused(self) -> None:
        self.bought()
        row = self.order.payments.get()
        assert self.client.post(f"/payments/callback/{row.pk}/", {"status": "paid"}).status_code == 403
        self.assert_unpaid()

    def test_refunds_are_not_made_by_the_processor(self) -> None:
        payment = pay(self.bought())
        with pytest.raises(RefundFailure, match="back office"):
            self.order.payments.get().start_refund()
        self.assert_paid(payment)


def make_order(client: Client, **values: Any) -> Order:
    """Store an order of a customer who is logged in."""
    user = get_user_model().objects.create_user("awa", "awa@example.com")
    client.force_login(user)
    return Order.objects.create(**{"user": user, "total": 12500, "phone": "07 07 12 34 56", **values})


def choose(client: Client, order: Order, backend: str = "paiementpro") -> Any:
    """Send getpaid's form."""
    page = client.get(f"/order/{order.pk}/")
    data = {**page.context["form"].initial, "order": order.pk, "backend": backend}
    return client.post("/payments/new/", {**data, "csrfmiddlewaretoken": client.cookies["csrftoken"].value})


def chosen(client: Client, order: Order) -> Payment:
    """Choose Paiement Pro, and return our payment."""
    response = choose(client, order)
    payment = Payment.objects.for_object(order).payable().get()
    assert response["Location"] == f"https://testserver{payment.get_checkout_url()}"
    return payment


def statuses(order: Order) -> list[str]:
    """Return the statuses of getpaid's payments, the newest first."""
    return list(order.payments.order_by("-created_on").values_list("status", flat=True))


def details(payment: Payment) -> list[str]:
    return [finding.detail for finding in payment.open_findings]


def test_checkout_knows_what_the_order_knows(client: Client, db: None) -> None:
    order = make_order(client)
    payment = chosen(client, order)
    assert (payment.customer_email, payment.customer_phone) == ("awa@example.com", "07 07 12 34 56")
    assert (payment.description, payment.amount) == (f"Order {order.pk}", 12500)
    assert (payment.success_url, payment.failure_url) == (f"/order/{order.pk}/", f"/order/{order.pk}/")
    assert order.payments.get().provider_data["reference"] == payment.reference


def test_other_payments_of_the_shop_are_left_alone(client: Client, db: None) -> None:
    order = make_order(client)
    chosen(client, order)
    pay(make_payment(content_object=order.user, status="pending", attempt=1))
    decline(make_payment(content_object=order.user, status="pending", attempt=1))
    assert statuses(order) == ["prepared"]


def test_forms_without_a_valid_order_are_left_to_getpaid() -> None:
    assert payable({"backend": "paiementpro"}) == {"backend": "paiementpro"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GETPAID_BACKEND_SETTINGS", {"paiementpro": {}}),
        ("GETPAID_BACKEND_SETTINGS", {}),
        ("GETPAID", {"VALIDATORS": ["django_paiementpro.contrib.getpaid.validators.payable"]}),
    ],
)
def test_missing_validator_is_a_warning(db: None, settings: Any, name: str, value: Any) -> None:
    assert warnings() == []
    setattr(settings, name, value)
    found = warnings()
    assert found == ([] if name == "GETPAID" else ["paiementpro_getpaid.W001"])
