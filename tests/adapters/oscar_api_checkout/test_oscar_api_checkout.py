from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.http import HttpResponse
from django.test import Client
from oscarapi import settings as oscarapi_settings
from oscarapicheckout import settings as checkout_settings
from oscarapicheckout.utils import decline_order_payment, get_order_authorized_amount
from rest_framework.test import APIRequestFactory

from django_paiementpro.contrib.oscar_api_checkout.checks import check_orders
from django_paiementpro.models import Payment
from django_paiementpro.services import redeliver_signals, refund_payment
from django_paiementpro.testing import FakeGateway, deliver_signals, expire, make_payment, pay
from tests.adapters.cases import PaymentCases, cancel, findings_of, status_of
from tests.adapters.oscar.shop import ADDRESS, EMAIL, Order, free_stock, make_product

BALANCE = {"enabled": True, "pay_balance": True, "method_type": "paiementpro"}


def part(amount: int, method: str = "paiementpro") -> dict[str, Any]:
    return {"enabled": True, "pay_balance": False, "amount": amount, "method_type": method}


def add(client: Client, product: Any) -> None:
    body = {"url": f"http://testserver/api/products/{product.pk}/", "quantity": 1}
    assert client.post("/api/basket/add-product/", body, "application/json").status_code == 200


def check_out(client: Client, **payment: Any) -> HttpResponse:
    body = {
        "basket": f"/api/baskets/{client.get('/api/basket/').json()['id']}/",
        "guest_email": EMAIL,
        "shipping_address": {**ADDRESS, "phone_number": "+2250707123456", "country": "/api/countries/CI/"},
        "payment": payment,
    }
    with deliver_signals():
        return client.post("/api/checkout/", body, "application/json")


def states_of(client: Client) -> dict[str, Any]:
    states: dict[str, Any] = client.get("/api/checkout/payment-states/").json()["payment_method_states"]
    return states


def ordered(client: Client, product: Any = None, **payment: Any) -> Any:
    add(client, product or make_product())
    response = check_out(client, **(payment or {"paiementpro": BALANCE}))
    assert response.status_code == 200, response.content.decode()
    return Order.objects.get()


def opened(gateway: FakeGateway, *payments: Payment) -> tuple[Payment, ...]:
    for payment in payments:
        assert Client().get(payment.get_checkout_url())["Location"] == gateway.page_url
        payment.refresh_from_db()
    return payments


def payments() -> list[Payment]:
    return list(Payment.objects.order_by("pk"))


class TestOscarApiCheckout(PaymentCases):
    def buy(self, client: Client) -> Payment:
        self.order = ordered(client)
        payment = Payment.objects.get()
        action = states_of(client)["paiementpro"]["required_action"]
        assert action["method"] == "GET"
        assert action["url"] == f"https://testserver{payment.get_checkout_url()}"
        return payment

    def is_paid(self) -> bool:
        return status_of(self.order) == "Authorized"

    def booked(self) -> int:
        return int(sum(source.amount_debited - source.amount_refunded for source in self.order.sources.all()))


@pytest.fixture
def gateway(db: None) -> Iterator[FakeGateway]:
    with FakeGateway() as gateway:
        yield gateway


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True)


def test_payment_has_what_the_order_says(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client)
    (payment,) = payments()
    source = order.sources.get()
    assert payment.content_object == source
    assert (source.label, source.reference, source.amount_allocated) == ("paiementpro", payment.reference, 0)
    assert payment.amount == 12505
    assert payment.description == f"Order {order.number}"
    assert (payment.customer_email, payment.customer_first_name) == (EMAIL, "Awa")
    pay(*opened(gateway, payment))
    assert status_of(order) == "Authorized"
    assert get_order_authorized_amount(order) == 12505
    assert [message.to for message in mail.outbox] == [[EMAIL]]
    assert order.basket.status == "Submitted"
    assert [event.event_type.name for event in order.payment_events.all()] == ["Debit"]


def test_amount_that_cannot_be_charged_is_refused(client: Client, gateway: FakeGateway) -> None:
    add(client, make_product(price=99))
    response = check_out(client, paiementpro=BALANCE)
    assert response.status_code == 400
    assert response.json() == ["Amount: Ensure this value is greater than or equal to 100."]
    assert not Order.objects.exists()  # with ATOMIC_REQUESTS; without it, it is declined
    assert not Payment.objects.exists()
    assert client.get("/api/basket/").json()["status"] == "Open"


def test_split_payment_authorizes_the_order_with_its_last_part(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client, a=part(5000), b=BALANCE)
    first, second = opened(gateway, *payments())
    assert (first.amount, second.amount) == (5000, 7505)
    pay(first)
    assert status_of(order) == "Pending"
    assert not first.open_findings
    pay(second)
    assert status_of(order) == "Authorized"
    assert [int(source.amount_debited) for source in order.sources.all()] == [5000, 7505]


def test_payment_beside_another_method_is_of_the_rest(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client, cash=part(5000, "cash"), paiementpro=BALANCE)
    (payment,) = opened(gateway, *payments())
    assert payment.amount == 7505
    pay(payment)
    assert status_of(order) == "Authorized"


def decline(client: Client, order: Any) -> None:
    """Decline the order as another payment method does, in the customer's session."""
    order.refresh_from_db()
    request = APIRequestFactory().post("/")
    request.session = client.session
    decline_order_payment(order, request)
    request.session.save()


def test_order_that_was_declined_is_paid_by_the_same_payment(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client)
    decline(client, order)
    assert check_out(client, paiementpro=BALANCE).status_code == 200
    assert len(payments()) == 1
    assert status_of(order) == "Pending"


def test_order_that_was_declined_and_has_changed_has_a_new_payment(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client)
    decline(client, order)
    add(client, make_product(price=2000))
    assert check_out(client, paiementpro=BALANCE).status_code == 200
    old, new = payments()
    assert (old.status, new.status, new.amount) == ("cancelled", "created", 14505)
    assert status_of(order) == "Pending"
    assert order.sources.count() == 1


def test_declined_order_that_is_paid_late_is_authorized(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client)
    (payment,) = opened(gateway, *payments())
    decline(client, order)
    pay(payment)
    assert status_of(order) == "Authorized"
    assert order.basket.status == "Submitted"


def test_only_the_rest_is_charged_after_late_money_for_an_older_total(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client)
    (old,) = opened(gateway, *payments())
    decline(client, order)
    add(client, make_product(price=2000))
    Order.objects.update(total_incl_tax=14505)
    pay(old)
    assert status_of(order) == "Payment Declined"
    assert check_out(client, paiementpro=BALANCE).status_code == 200
    new = payments()[-1]
    assert new.amount == 2000
    pay(*opened(gateway, new))
    assert status_of(order) == "Authorized"
    assert [int(source.amount_debited) for source in order.sources.all()] == [12505, 2000]


def test_order_that_is_covered_already_is_authorized_at_once(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client, cash=part(5000, "cash"), paiementpro=BALANCE)
    (payment,) = opened(gateway, *payments())
    decline(client, order)
    Order.objects.update(total_incl_tax=20000)  # the customer has put more into the basket, and taken it out again
    pay(payment)
    assert status_of(order) == "Payment Declined"
    assert check_out(client, paiementpro=BALANCE).status_code == 200
    assert status_of(order) == "Authorized"
    assert len(payments()) == 1


def test_late_money_for_an_older_total_stops_the_payment_of_the_new_one(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client)
    (old,) = opened(gateway, *payments())
    decline(client, order)
    add(client, make_product(price=2000))
    check_out(client, paiementpro=BALANCE)
    pay(old)
    assert status_of(order) == "Pending"
    assert f"Order {order.number} is paid in part: 12505 of 14505." in findings_of(old)
    assert payments()[-1].status == "cancelled"


def test_other_payments_of_an_authorized_order_are_cancelled(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client, a=part(5000), b=BALANCE)
    first, second = opened(gateway, *payments())
    decline(client, order)
    check_out(client, cash={**BALANCE, "method_type": "cash"})
    assert status_of(order) == "Authorized"
    assert {payment.status for payment in payments()} == {"cancelled"}
    pay(first)
    assert f"Order {order.number} has been paid already." in findings_of(first)
    order.set_status("Shipped")
    pay(second)
    assert f"Order {order.number} was “Shipped” when it was paid." in findings_of(second)


def test_stock_is_given_back_and_allocated_again(client: Client, gateway: FakeGateway) -> None:
    product = make_product(stock=1)
    order = ordered(client, product)
    assert free_stock(product) == 0
    (payment,) = opened(gateway, *payments())
    expire(payment)
    assert status_of(order) == "Canceled"
    assert free_stock(product) == 1
    pay(payment)
    assert status_of(order) == "Authorized"
    assert free_stock(product) == 0


def test_late_money_for_goods_that_are_gone_is_flagged(client: Client, gateway: FakeGateway) -> None:
    product = make_product(stock=1)
    order = ordered(client, product)
    (payment,) = opened(gateway, *payments())
    expire(payment)
    product.stockrecords.update(num_in_stock=0)
    pay(payment)
    assert status_of(order) == "Canceled"
    assert get_order_authorized_amount(order) == 12505
    assert findings_of(payment) == [f"Order {order.number} has been paid, but its goods are gone."]


def test_order_that_staff_have_cancelled_cannot_be_paid(client: Client, gateway: FakeGateway) -> None:
    product = make_product(stock=1)
    order = ordered(client, product)
    (payment,) = opened(gateway, *payments())
    with deliver_signals():
        status_of(order)
        order.set_status("Canceled")
    payment.refresh_from_db()
    assert payment.status == "cancelled"
    assert free_stock(product) == 1
    pay(payment)
    assert status_of(order) == "Canceled"
    assert f"Order {order.number} is cancelled, but has been paid." in findings_of(payment)


def test_half_of_a_split_payment_that_expires_is_flagged(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client, a=part(5000), b=BALANCE)
    first, second = opened(gateway, *payments())
    pay(first)
    expire(second)
    assert status_of(order) == "Pending"
    assert findings_of(second) == [f"Order {order.number} is paid in part: 5000 of 12505."]


def test_order_waits_for_the_last_of_its_payments(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client, a=part(5000), b=BALANCE)
    first, second = opened(gateway, *payments())
    cancel(first)
    assert status_of(order) == "Pending"
    cancel(second)
    assert status_of(order) == "Canceled"


def test_declined_order_is_left_to_the_customer(client: Client, gateway: FakeGateway) -> None:
    product = make_product(stock=1)
    order = ordered(client, product)
    (payment,) = opened(gateway, *payments())
    decline(client, order)
    expire(payment)
    assert status_of(order) == "Payment Declined"
    assert free_stock(product) == 0


def test_part_that_ends_after_the_order_is_authorized_changes_nothing(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client)
    (payment,) = opened(gateway, *payments())
    pay(payment)
    source = order.sources.get()
    other = make_payment(content_object=source)
    cancel(other)
    assert status_of(order) == "Authorized"
    assert not other.open_findings


def test_signals_that_come_again_are_recorded_once(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client)
    (payment,) = opened(gateway, *payments())
    staff = get_user_model().objects.create_user("staff")
    pay(payment)
    with deliver_signals():
        redeliver_signals(payment, staff, "Once more.")
    assert order.sources.get().amount_debited == 12505
    with deliver_signals():
        refund_payment(payment, staff, amount=12505, reason="All of it.")
    with deliver_signals():
        redeliver_signals(payment, staff, "Once more.")
    source = order.sources.get()
    assert (source.amount_allocated, source.amount_debited, source.amount_refunded) == (12505, 12505, 12505)
    assert [event.event_type.name for event in order.payment_events.order_by("pk")] == ["Debit", "Refund"]


def test_payments_of_other_things_are_left_alone(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client)
    staff = get_user_model().objects.create_user("staff")
    other = pay(make_payment(status="pending", attempt=1, content_object=staff))
    with deliver_signals():
        refund_payment(other, staff, amount=500, reason="Broken.")
    cancel(make_payment())
    assert order.sources.get().amount_debited == 0
    assert not other.open_findings


def test_money_for_an_order_that_is_deleted_is_flagged(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client)
    (payment,) = opened(gateway, *payments())
    order.delete()
    pay(payment)
    assert findings_of(payment) == ["The order has been deleted."]


def test_shop_may_calculate_what_is_paid(client: Client, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout_settings, "ORDER_AUTHORIZED_AMOUNT_CALCULATOR", lambda order: 12000)
    ordered(client)
    assert [payment.amount for payment in payments()] == [505]


def test_settings_of_the_shop_are_in_order() -> None:
    assert check_orders() == []


def test_pipelines_that_would_leave_orders_as_they_are_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Order, "pipeline", {"Pending": ["Authorized"], "new": ["Authorized"]})
    assert [found.id for found in check_orders()] == ["paiementpro_oscar_api_checkout.W001"]
    monkeypatch.setattr(oscarapi_settings, "INITIAL_ORDER_STATUS", "new")
    assert [found.id for found in check_orders()] == ["paiementpro_oscar_api_checkout.E001"]


def test_money_that_went_back_does_not_pay_the_order(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client)
    (payment,) = opened(gateway, *payments())
    decline(client, order)
    Order.objects.update(total_incl_tax=14505)
    pay(payment)
    assert status_of(order) == "Payment Declined"
    with deliver_signals():
        refund_payment(payment, get_user_model().objects.create_user("staff"), amount=12505, reason="Too little.")
    assert check_out(client, paiementpro=BALANCE).status_code == 200
    assert status_of(order) == "Pending"
    assert payments()[-1].amount == 12505
    pay(*opened(gateway, payments()[-1]))
    assert status_of(order) == "Authorized"


def test_payment_that_has_ended_gets_a_successor(client: Client, gateway: FakeGateway) -> None:
    order = ordered(client, cash=part(5000, "cash"), paiementpro=BALANCE)
    decline(client, order)
    (old,) = payments()
    expire(*opened(gateway, old))
    assert check_out(client, cash=part(5000, "cash"), paiementpro=BALANCE).status_code == 200
    new = payments()[-1]
    assert new != old
    assert new.get_checkout_url() in states_of(client)["paiementpro"]["required_action"]["url"]
    pay(*opened(gateway, new))
    assert status_of(order) == "Authorized"
