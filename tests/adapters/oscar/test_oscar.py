from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import AppConfig, apps
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.checks.registry import registry
from django.core.mail import EmailMessage
from django.test import Client
from django.utils import timezone
from oscar.core.loading import get_class, get_model
from oscar.core.prices import Price

from django_paiementpro.contrib.oscar.checkout.calculators import OrderTotalCalculator
from django_paiementpro.contrib.oscar.checkout.views import PaymentDetailsView
from django_paiementpro.contrib.oscar.checks import check_orders
from django_paiementpro.contrib.oscar.orders import find_order, order_url
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.services import open_payment, reconcile, redeliver_signals, refund_payment
from django_paiementpro.signals import payment_succeeded
from django_paiementpro.testing import (
    FakeGateway,
    come_back,
    decline,
    deliver_signals,
    expire,
    make_payment,
    notify,
    pay,
)
from tests.adapters.cases import PaymentCases, cancel, findings_of, status_of
from tests.adapters.oscar.shop import EMAIL, Order, check_out, fill_basket, free_stock, make_product, send, sign_in

Benefit = get_model("offer", "Benefit")
CheckoutSessionData = get_class("checkout.utils", "CheckoutSessionData")
Condition = get_model("offer", "Condition")
ConditionalOffer = get_model("offer", "ConditionalOffer")
Range = get_model("offer", "Range")


class TestOscar(PaymentCases):
    def buy(self, client: Client) -> Payment:
        response = check_out(client, make_product())
        self.order = Order.objects.get()
        payment = Payment.objects.for_object(self.order).get()
        assert response["Location"] == payment.get_checkout_url()
        return payment

    def is_paid(self) -> bool:
        self.order.refresh_from_db()
        return bool(self.order.status == "Being processed")

    def booked(self) -> int:
        source = self.order.sources.get()
        return int(source.amount_debited - source.amount_refunded)


@pytest.fixture
def gateway(db: None) -> Iterator[FakeGateway]:
    with FakeGateway() as gateway:
        yield gateway


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True)


def payment_of(order: Any) -> Payment:
    return Payment.objects.for_object(order).get()


def bought(client: Client, product: Any = None) -> tuple[Any, Payment]:
    """Return a new order and its payment, with its page opened."""
    response = check_out(client, product or make_product())
    order = Order.objects.latest("pk")
    assert client.get(response["Location"]).status_code == 302
    return order, payment_of(order)


# Before the payment -------------------------------------------------------------------------------------------------


def test_one_line_of_installed_apps_is_enough(client: Client, db: None) -> None:
    assert apps.get_app_config("checkout").name == "django_paiementpro.contrib.oscar.checkout"
    assert not apps.is_installed("django_paiementpro.contrib.oscar")
    assert get_class("checkout.views", "PaymentDetailsView") is PaymentDetailsView
    assert get_class("checkout.views", "IndexView").__module__ == "oscar.apps.checkout.views"
    assert check_orders in registry.registered_checks
    assert "paiementpro_oscar.record_payment" in payment_succeeded.receiver_names(Payment)


def test_shop_with_a_fork_of_its_own_installs_the_app() -> None:
    config = AppConfig.create("django_paiementpro.contrib.oscar")
    assert config.label == "paiementpro_oscar"
    config.ready()
    assert payment_succeeded.receiver_names(Payment).count("paiementpro_oscar.record_payment") == 1


def test_payment_has_what_the_order_says(client: Client, gateway: FakeGateway) -> None:
    order, payment = bought(client)
    assert payment.customer_phone == "+2250707123456"
    assert payment.amount == 12505
    assert payment.description == f"Order {order.number}"
    assert payment.user is None
    assert payment.customer_email == EMAIL
    assert (payment.customer_first_name, payment.customer_last_name) == ("Awa", "Koné")
    assert order.status == "Pending"
    source = order.sources.get()
    assert (source.source_type.name, source.amount_allocated, source.amount_debited) == ("Paiement Pro", 12505, 0)
    assert mail.outbox == []


def test_signed_in_customer_is_known(client: Client, db: None) -> None:
    user = sign_in(client)
    check_out(client, make_product(is_shipped=False))
    payment = payment_of(Order.objects.get())
    assert payment.user == user
    assert (payment.customer_first_name, payment.customer_email) == ("Awa", EMAIL)


@pytest.mark.parametrize(
    ("is_shipped", "asked"),
    [(True, {"customer_phone"}), (False, {"customer_phone", "customer_first_name", "customer_last_name"})],
)
def test_checkout_asks_for_what_the_order_does_not_say(
    client: Client, gateway: FakeGateway, is_shipped: bool, asked: set[str]
) -> None:
    response = check_out(client, make_product(is_shipped=is_shipped), phone="")
    response = client.get(response["Location"])
    assert response.status_code == 200
    assert set(response.context["form"].fields) == asked
    payment = payment_of(Order.objects.get())
    answers = {"customer_first_name": "Awa", "customer_last_name": "Koné", "customer_phone": "0707123456"}
    response = send(client, payment.get_checkout_url(), **{name: answers[name] for name in asked})
    assert response["Location"] == gateway.page_url
    assert status_of(payment.content_object) == "Pending"
    pay(payment)
    assert status_of(payment.content_object) == "Being processed"


def test_free_order_is_left_to_oscar(client: Client, db: None) -> None:
    response = check_out(client, make_product(price=0))
    assert response["Location"] == "/checkout/thank-you/"
    assert not Payment.objects.exists()
    assert not Order.objects.get().sources.exists()
    assert [message.to for message in mail.outbox] == [[EMAIL]]
    assert client.get(response["Location"]).status_code == 200


def test_order_that_is_paid_otherwise_is_left_to_oscar(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CheckoutSessionData, "payment_method", lambda self: "cash")
    assert check_out(client, make_product())["Location"] == "/checkout/thank-you/"
    assert not Payment.objects.exists()


def test_amount_that_cannot_be_charged_is_refused_before_the_order(client: Client, db: None) -> None:
    response = check_out(client, make_product(price=99))
    assert "Amount: Ensure this value is greater than or equal to 100." in response.content.decode()
    assert not Order.objects.exists()
    assert client.get("/basket/").context["basket"].num_items == 1


def test_preview_says_how_to_pay(client: Client, db: None) -> None:
    fill_basket(client, make_product(is_shipped=False))
    client.get("/checkout/")
    send(client, "/checkout/", username=EMAIL, options="anonymous")
    client.get("/checkout/shipping-method/")
    assert client.get("/checkout/payment-details/")["Location"] == "/checkout/preview/"
    page = client.get("/checkout/preview/").content.decode()
    assert "You pay on the next page, by mobile money or card." in page
    assert "Payment details to go here" not in page


def test_value_that_cannot_be_used_is_refused_with_the_order(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hook of a shop gives a payment method that its account does not have."""
    monkeypatch.setattr(PaymentDetailsView, "get_payment_values", lambda self, order: {"channel": "NOPE"})
    product = make_product()
    response = check_out(client, product)
    assert "Payment method: Value &#x27;NOPE&#x27; is not a valid choice." in response.content.decode()
    assert not Order.objects.exists()
    assert not Payment.objects.exists()
    assert free_stock(product) == 10
    assert client.get("/basket/").context["basket"].num_items == 1


def test_total_is_rounded_to_whole_francs(client: Client, db: None) -> None:
    product = make_product(price=12505)
    everything = Range.objects.create(name="Everything", includes_all_products=True)
    condition = Condition.objects.create(range=everything, type=Condition.COUNT, value=1)
    benefit = Benefit.objects.create(range=everything, type=Benefit.PERCENTAGE, value=10)
    ConditionalOffer.objects.create(name="10 %", condition=condition, benefit=benefit)
    check_out(client, product)
    order = Order.objects.get()
    assert order.lines.get().line_price_incl_tax == Decimal("11254.50")
    assert (order.total_incl_tax, order.total_excl_tax) == (11255, 11255)
    assert payment_of(order).amount == 11255


def test_other_currencies_and_unknown_taxes_are_left_alone() -> None:
    basket = SimpleNamespace(
        currency="EUR", total_excl_tax=Decimal("10.55"), total_incl_tax=Decimal("12.45"), is_tax_known=True
    )
    free = Price("EUR", Decimal(0), Decimal(0))
    assert OrderTotalCalculator().calculate(basket, free).incl_tax == Decimal("12.45")
    basket.currency, basket.is_tax_known = "XAF", False
    total = OrderTotalCalculator().calculate(basket, free)
    assert (total.excl_tax, total.is_tax_known) == (11, False)


# On the way back ------------------------------------------------------------------------------------------------------


def test_customer_is_thanked_once_the_order_is_paid(client: Client, gateway: FakeGateway) -> None:
    order, payment = bought(client)
    assert client.get("/checkout/thank-you/")["Location"] == order_url(order)
    decline(payment)
    assert come_back(payment, client=client).status_code == 200  # the page from which to try again
    pay(payment)
    url = come_back(payment, client=client)["Location"]
    assert url.startswith("/checkout/thank-you/?order=")
    response = client.get(url)
    assert response.context["order"] == order
    assert response.status_code == 200


def test_other_browser_is_shown_the_order(client: Client, gateway: FakeGateway) -> None:
    order, payment = bought(client)
    other = Client()
    url = come_back(pay(payment), client=other)["Location"]
    response = other.get(url)
    assert response["Location"] == order_url(order)
    form = other.get(other.get(response["Location"])["Location"])  # oscar asks guests for their e-mail address
    assert "form" in form.context
    assert other.get("/checkout/thank-you/?order=100001:forged")["Location"] == "/catalogue/"


def test_order_page_has_a_button_to_pay(client: Client, gateway: FakeGateway) -> None:
    sign_in(client)
    order, payment = bought(client)
    button = f'<a class="btn btn-primary" href="{payment.get_checkout_url()}">Pay now</a>'
    assert order_url(order) == f"/accounts/orders/{order.number}/"
    assert button in client.get(order_url(order)).content.decode()
    pay(payment)
    assert "Pay now" not in client.get(order_url(order)).content.decode()


def test_order_page_of_a_guest_has_a_button_to_pay(client: Client, gateway: FakeGateway) -> None:
    order, payment = bought(client)
    form_url = client.get(order_url(order))["Location"]
    client.get(form_url)
    response = send(client, form_url, email=EMAIL)
    page = client.get(response["Location"]).content.decode()
    assert f'href="{payment.get_checkout_url()}">Pay now</a>' in page


@pytest.mark.parametrize("signed", ["", "100001", "100001:forged", "\0:forged", "é:é"])
def test_forged_order_is_not_looked_up(signed: str, django_assert_num_queries: Any, client: Client, db: None) -> None:
    with django_assert_num_queries(0):
        assert find_order(signed) is None
    assert client.get("/checkout/thank-you/", {"order": signed})["Location"] == "/catalogue/"


# What becomes of it ---------------------------------------------------------------------------------------------------


def test_paid_order_is_confirmed_by_mail(client: Client, gateway: FakeGateway) -> None:
    order, payment = bought(client)
    notify(payment)
    notify(payment)
    message = mail.outbox[0]
    assert len(mail.outbox) == 1
    assert message.to == [EMAIL]
    assert message.subject == f"Confirmation of order {order.number}"
    assert order_url(order) in message.body
    event = order.payment_events.get()
    assert (event.event_type.name, event.amount, event.reference) == ("Paid", 12505, payment.reference)
    assert [(line.line, line.quantity) for line in event.line_quantities.all()] == [(order.lines.get(), 1)]
    kinds = [(txn.txn_type, txn.amount) for txn in order.sources.get().transactions.order_by("pk")]
    assert kinds == [("Authorise", 12505), ("Debit", 12505)]


def test_payment_that_is_signalled_again_is_recorded_once(client: Client, gateway: FakeGateway) -> None:
    order, payment = bought(client)
    with deliver_signals():
        redeliver_signals(pay(payment), get_user_model().objects.create_user("staff"), "Once more.")
    assert order.sources.get().amount_debited == 12505
    assert order.payment_events.count() == 1


def test_mail_that_fails_is_retried(client: Client, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    order, payment = bought(client)
    with monkeypatch.context() as patched:
        patched.setattr(EmailMessage, "send", lambda self: 1 / 0)
        notify(payment)
    assert status_of(order) == "Being processed"
    assert mail.outbox == []
    PaymentEvent.objects.filter(deliver_at__isnull=False).update(deliver_at=timezone.now() - timedelta(hours=1))
    reconcile()
    assert [message.to for message in mail.outbox] == [[EMAIL]]
    assert order.sources.get().amount_debited == 12505


def test_customer_without_an_address_gets_no_mail(client: Client, gateway: FakeGateway) -> None:
    order, payment = bought(client)
    Order.objects.update(guest_email="")
    pay(payment)
    assert status_of(order) == "Being processed"
    assert mail.outbox == []


def test_refunds_are_recorded_once_each(client: Client, gateway: FakeGateway) -> None:
    order, payment = bought(client)
    pay(payment)
    staff = get_user_model().objects.create_user("staff")
    for amount in (500, 500):
        with deliver_signals():
            refund_payment(payment, staff, amount=amount, reason="Broken.")
    with deliver_signals():
        refund_payment(payment, staff, amount=11505, reason="All of it.")
    with deliver_signals():
        redeliver_signals(payment, staff, "Once more.")
    source = order.sources.get()
    assert source.amount_refunded == 12505
    assert [txn.amount for txn in source.transactions.filter(txn_type="Refund").order_by("pk")] == [500, 500, 11505]
    assert order.payment_events.filter(event_type__name="Refunded").count() == 3


@pytest.mark.parametrize("end", [expire, cancel])
def test_stock_is_given_back_and_allocated_again(
    client: Client, gateway: FakeGateway, end: Callable[[Payment], object]
) -> None:
    product = make_product(stock=1)
    order, payment = bought(client, product)
    assert free_stock(product) == 0
    end(payment)
    assert status_of(order) == "Cancelled"
    assert free_stock(product) == 1
    assert order.sources.get().amount_allocated == 0
    pay(payment)
    assert status_of(order) == "Being processed"
    assert free_stock(product) == 0
    line = order.lines.get()
    assert (line.num_allocated, line.allocation_cancelled) == (1, False)
    assert order.sources.get().amount_allocated == 12505
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("is_deleted", [False, True])
def test_late_money_for_goods_that_are_gone_is_flagged(client: Client, gateway: FakeGateway, is_deleted: bool) -> None:
    product = make_product(stock=1)
    order, payment = bought(client, product)
    expire(payment)
    if is_deleted:
        product.stockrecords.all().delete()
    else:
        product.stockrecords.update(num_in_stock=0)
    pay(payment)
    assert status_of(order) == "Cancelled"
    assert order.sources.get().amount_debited == 12505
    assert findings_of(payment) == [f"Order {order.number} has been paid, but its goods are gone."]
    assert mail.outbox == []


def test_goods_that_are_deleted_are_not_given_back(client: Client, gateway: FakeGateway) -> None:
    product = make_product()
    order, payment = bought(client, product)
    product.stockrecords.all().delete()
    expire(payment)
    assert status_of(order) == "Cancelled"


def test_stock_that_is_not_tracked_is_left_alone(client: Client, gateway: FakeGateway) -> None:
    product = make_product(stock=1)
    type(product.product_class).objects.update(track_stock=False)
    order, payment = bought(client, product)
    expire(payment)
    pay(payment)
    assert status_of(order) == "Being processed"
    assert free_stock(product) == 1


def test_order_that_staff_have_cancelled_cannot_be_paid(client: Client, gateway: FakeGateway) -> None:
    product = make_product(stock=1)
    order, payment = bought(client, product)
    with deliver_signals():
        order.set_status("Cancelled")
    payment.refresh_from_db()
    assert payment.status == Payment.Status.CANCELLED
    assert free_stock(product) == 1
    pay(payment)
    assert status_of(order) == "Cancelled"
    assert order.sources.get().amount_debited == 12505
    assert f"Order {order.number} is cancelled, but has been paid." in findings_of(payment)


def test_order_that_cannot_leave_its_status_is_flagged(client: Client, gateway: FakeGateway) -> None:
    order, payment = bought(client)
    order.set_status("Being processed")
    order.set_status("Complete")
    pay(payment)
    assert status_of(order) == "Complete"
    assert order.sources.get().amount_debited == 12505
    assert findings_of(payment) == [f"Order {order.number} was “Complete” when it was paid."]


def test_order_that_staff_have_taken_on_keeps_its_stock(client: Client, gateway: FakeGateway) -> None:
    product = make_product(stock=1)
    order, payment = bought(client, product)
    order.set_status("Being processed")
    expire(payment)
    assert status_of(order) == "Being processed"
    assert free_stock(product) == 0


def test_order_with_another_payment_is_not_cancelled(client: Client, gateway: FakeGateway) -> None:
    product = make_product(stock=1)
    order, payment = bought(client, product)
    with deliver_signals():
        Order.objects.update(total_incl_tax=12000)  # a discount, given by telephone
        other = open_payment(order, 12000, description="Order")
    payment.refresh_from_db()
    assert payment.status == Payment.Status.CANCELLED
    assert status_of(order) == "Pending"
    assert free_stock(product) == 0
    pay(other)
    assert status_of(order) == "Being processed"
    assert sorted(source.amount_debited for source in order.sources.all()) == [0, 12000]


def test_order_that_two_payments_have_paid_is_flagged(client: Client, gateway: FakeGateway) -> None:
    order, payment = bought(client)
    with deliver_signals():
        Order.objects.update(total_incl_tax=12000)
        other = open_payment(order, 12000, description="Order")
    pay(other)
    pay(payment)
    assert status_of(order) == "Being processed"
    assert sorted(source.amount_debited for source in order.sources.all()) == [12000, 12505]
    assert f"Order {order.number} has been paid already." in findings_of(payment)
    assert len(mail.outbox) == 1


def test_payments_of_other_things_are_left_alone(client: Client, gateway: FakeGateway) -> None:
    order, _payment = bought(client)
    staff = get_user_model().objects.create_user("staff")
    other = make_payment(status="pending", attempt=1, content_object=order.lines.get())
    with deliver_signals():
        refund_payment(pay(other), staff, amount=500, reason="Broken.")
    cancel(make_payment())
    assert not order.sources.filter(amount_debited__gt=0).exists()
    assert mail.outbox == []


def test_money_for_an_order_that_is_deleted_is_flagged(client: Client, gateway: FakeGateway) -> None:
    order, payment = bought(client)
    order.delete()
    pay(payment)
    assert findings_of(payment) == ["The order has been deleted."]


# Checks ---------------------------------------------------------------------------------------------------------------


def test_settings_of_the_shop_are_in_order() -> None:
    assert check_orders() == []


def test_pipelines_that_would_leave_orders_as_they_are_are_found(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Order, "pipeline", {"Pending": ["Paid"], "Paid": []})
    assert [found.id for found in check_orders()] == ["paiementpro_oscar.E001", "paiementpro_oscar.W001"]
    settings.PAIEMENTPRO_OSCAR_PAID_STATUS = "Paid"
    assert [found.id for found in check_orders()] == ["paiementpro_oscar.W001"]
    settings.PAIEMENTPRO_OSCAR_PAID_STATUS = 1
    assert check_orders() == []  # paiementpro.E002 reports it


def test_currency_that_cannot_be_charged_is_found(settings: Any) -> None:
    settings.OSCAR_DEFAULT_CURRENCY = "GBP"
    assert [found.id for found in check_orders()] == ["paiementpro_oscar.W002"]


def test_templates_that_are_not_found_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    configs = list(apps.get_app_configs())
    monkeypatch.setattr(apps, "get_app_configs", lambda: configs[::-1])
    assert [found.id for found in check_orders()] == ["paiementpro_oscar.W003"]
    monkeypatch.setattr(apps, "get_app_configs", lambda: [apps.get_app_config("oscar")])
    assert check_orders() == []


def test_order_is_paid_again_after_a_refund(client: Client, gateway: FakeGateway) -> None:
    order, payment = bought(client)
    staff = get_user_model().objects.create_user("staff")
    with deliver_signals():
        refund_payment(pay(payment), staff, amount=12505, reason="Wrong account.")
    again = open_payment(order, 12505, description="Order")
    pay(again)
    assert sorted(source.amount_debited for source in order.sources.all()) == [12505, 12505]
    assert status_of(order) == "Being processed"
    assert findings_of(again) == []


def test_order_that_costs_more_by_now_is_not_paid(client: Client, gateway: FakeGateway) -> None:
    order, payment = bought(client)
    Order.objects.update(total_incl_tax=20000)
    pay(payment)
    assert status_of(order) == "Pending"
    assert order.sources.get().amount_debited == 12505
    assert findings_of(payment) == [f"Order {order.number} is paid in part: 12505 of 20000."]


def test_money_that_went_back_before_it_was_recorded_pays_nothing(
    client: Client, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, payment = bought(client)
    with monkeypatch.context() as patched:
        patched.setattr("django_paiementpro.contrib.oscar.receivers.record_event", lambda *args: 1 / 0)
        notify(payment)
    payment.refresh_from_db()
    staff = get_user_model().objects.create_user("staff")
    with deliver_signals():
        refund_payment(payment, staff, amount=12505, reason="The shop's site was broken.")
    PaymentEvent.objects.filter(deliver_at__isnull=False).update(deliver_at=timezone.now() - timedelta(hours=1))
    reconcile()
    assert order.sources.get().amount_debited == 12505
    assert status_of(order) == "Pending"


def test_late_payment_leaves_no_other_to_pay(client: Client, gateway: FakeGateway) -> None:
    order, late = bought(client)
    cancel(late)
    other = open_payment(order, 12505, description="Order")
    pay(late)
    other.refresh_from_db()
    assert other.status == Payment.Status.CANCELLED
    assert status_of(order) == "Being processed"


def test_parts_that_add_up_pay_the_order(client: Client, gateway: FakeGateway) -> None:
    order, payment = bought(client)
    cancel(payment)
    Order.objects.update(status="Pending")
    first, second = (make_payment(status="pending", attempt=1, content_object=order, amount=n) for n in (5000, 7505))
    pay(first)
    assert status_of(order) == "Pending"
    assert mail.outbox == []
    pay(second)
    assert status_of(order) == "Being processed"
    assert len(mail.outbox) == 1
    assert findings_of(second) == []
