import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.db.models import Count, F
from django.db.models.signals import post_save
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from django_paiementpro.admin.daybook.statistics import day_book
from django_paiementpro.models import Payment, PaymentEvent, Refund
from django_paiementpro.sandbox.models import SandboxSession
from django_paiementpro.services import refund_payment
from django_paiementpro.services.reconciliation import preview_reconciliation
from django_paiementpro.testing import FakeGateway
from shop.catalogue import PRODUCTS, stock_the_shop
from shop.models import Order, Product
from shop.past_sales import record_past_sales
from shop.receivers import close_refunded_order, fulfil_order
from shop.templatetags.shop import francs
from tests.conftest import Notify

EXAMPLE = Path(__file__).resolve().parent.parent / "example_project"

BUYER = {
    "quantity": "2",
    "first_name": "Aminata",
    "last_name": "Koné",
    "phone": "07 07 12 34 56",
    "email": "aminata@example.com",
    "channel": "OMCIV2",
}


@pytest.fixture(autouse=True)
def closed_shop(settings: Any, admins: None) -> None:
    """Keep the receivers of the shop connected, and require no login."""
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "LoginRequired" not in name]


@pytest.fixture
def product(db: None) -> Product:
    return Product.objects.create(slug="wax", name_fr="Pagne", name_en="Cloth", picture="wax", price=12500, stock=5)


Buy = Callable[..., HttpResponse]


@pytest.fixture
def buy(client: Client, product: Product) -> Buy:
    def buy(**fields: str) -> Any:
        return client.post(reverse("shop:buy", args=[product.slug]), {**BUYER, **fields})

    return buy


@pytest.fixture
def order(buy: Buy) -> Order:
    """An order of this client's, whose payment page has been opened."""
    buy()
    Payment.objects.update(status="pending", attempt=1)
    return Order.objects.get()


@pytest.fixture
def transactions_begin_as_writers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set SQLite up as the shop's own settings do."""
    options = {"transaction_mode": "IMMEDIATE", "timeout": 20} if connection.vendor == "sqlite" else {}
    common = connections.settings["default"]
    monkeypatch.setitem(common, "OPTIONS", {**common.get("OPTIONS", {}), **options})


def payment_of(order: Order) -> Payment:
    return order.payments.get()


def fulfil(payment: Payment) -> None:
    fulfil_order(sender=Payment, payment=payment, event=None)


def pay(client: Client, order: Order) -> Any:
    return client.post(reverse("shop:pay", args=[order.pk]))


def cancel(client: Client, order: Order) -> Any:
    return client.post(reverse("shop:cancel", args=[order.pk]))


def page(client: Client, order: Order, **query: str) -> str:
    return client.get(order.get_absolute_url(), query).content.decode()


def stock() -> int:
    return Product.objects.get().stock


# Buying


def test_buying_leads_to_the_checkout(buy: Buy) -> None:
    response = buy()
    order = Order.objects.get()
    payment = payment_of(order)
    assert response.url == payment.get_checkout_url()
    assert (order.status, order.quantity, order.total) == ("open", 2, 25000)
    assert (payment.amount, payment.channel, payment.content_object) == (25000, "OMCIV2", order)
    assert payment.description == f"Order {order.pk} (2 × Cloth)"
    assert payment.customer_last_name == "Koné"
    payment.full_clean()


def test_buyer_cannot_set_the_price(buy: Buy) -> None:
    buy(price="1", total="1", amount="1", status="paid", buyer="x")
    order = Order.objects.get()
    assert (order.total, order.status, payment_of(order).amount) == (25000, "open", 25000)


def test_price_change_does_not_change_orders(client: Client, order: Order) -> None:
    Product.objects.update(price=1)
    Payment.objects.all().delete()
    pay(client, order)
    assert payment_of(order).amount == 25000


@pytest.mark.parametrize(
    "fields",
    [
        {"quantity": "0"},
        {"quantity": "6"},
        {"quantity": "-1"},
        {"quantity": "x"},
        {"phone": "12"},
        {"phone": "abc"},
        {"email": "x"},
        {"first_name": ""},
        {"channel": "XX"},
    ],
)
def test_invalid_form_is_shown_again(buy: Buy, fields: dict[str, str]) -> None:
    response = buy(**fields)
    assert response.status_code == 200
    assert 'role="alert"' in response.content.decode()
    assert not Order.objects.exists()
    assert not Payment.objects.exists()


def test_payment_method_may_be_chosen_at_the_gateway(buy: Buy) -> None:
    buy(channel="")
    assert payment_of(Order.objects.get()).channel == ""


def test_product_without_stock_cannot_be_bought(client: Client, buy: Buy) -> None:
    Product.objects.update(stock=0)
    assert "Sold out" in client.get(reverse("shop:buy", args=["wax"])).content.decode()
    assert buy(quantity="1").status_code == 200
    assert not Order.objects.exists()


def test_double_click_creates_one_order(buy: Buy) -> None:
    assert buy().url == buy().url
    assert Order.objects.count() == Payment.objects.count() == 1


def test_other_details_make_another_order(buy: Buy) -> None:
    buy()
    buy(quantity="1")
    assert Order.objects.count() == Payment.objects.count() == 2


def test_product_may_be_bought_again_after_payment(buy: Buy, order: Order) -> None:
    fulfil(payment_of(order))
    buy()
    assert Order.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("transactions_begin_as_writers")
def test_two_clicks_at_once_make_one_order(client: Client, product: Product) -> None:
    url = reverse("shop:buy", args=[product.slug])
    client.get(url)
    barrier = Barrier(2)

    def click() -> str:
        browser = Client()
        browser.cookies = client.cookies.copy()
        barrier.wait()
        try:
            return browser.post(url, BUYER).url
        finally:
            connections.close_all()

    connection.close()
    with ThreadPoolExecutor(2) as pool:
        clicks = [pool.submit(click) for _ in range(2)]
    assert len({done.result() for done in clicks}) == 1
    assert Order.objects.count() == Payment.objects.count() == 1


# Paying again, and cancelling


@pytest.mark.parametrize("status", ["created", "pending", "failed"])
def test_open_payment_is_reused(client: Client, order: Order, status: str) -> None:
    Payment.objects.update(status=status)
    assert pay(client, order).url == payment_of(order).get_checkout_url()


def test_order_whose_money_has_come_is_not_paid_again(client: Client, order: Order) -> None:
    Payment.objects.update(status="succeeded")
    assert pay(client, order).url == order.get_absolute_url()
    assert payment_of(order).status == "succeeded"


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_new_payment_follows_a_final_one(client: Client, order: Order, status: str) -> None:
    Payment.objects.update(status=status)
    response = pay(client, order)
    assert order.payments.count() == 2
    assert response.url == order.payments.first().get_checkout_url()


def test_paid_order_is_not_paid_again(client: Client, order: Order) -> None:
    fulfil(payment_of(order))
    assert pay(client, order).url == order.get_absolute_url()
    assert Payment.objects.count() == 1


def test_order_without_stock_cannot_be_paid(client: Client, order: Order) -> None:
    Product.objects.update(stock=1)
    assert pay(client, order).url == order.get_absolute_url()
    assert "can no longer pay" in page(client, order)


def test_cancelling_ends_the_payment_too(client: Client, order: Order) -> None:
    assert cancel(client, order).url == order.get_absolute_url()
    order.refresh_from_db()
    assert (order.status, payment_of(order).status) == ("cancelled", "cancelled")
    assert "Order cancelled" in page(client, order)


def test_order_with_a_payment_is_not_cancelled(client: Client, order: Order) -> None:
    Payment.objects.update(status="succeeded")
    cancel(client, order)
    order.refresh_from_db()
    assert order.status == "open"
    assert "Do not pay again" in page(client, order)


def test_paid_order_is_not_cancelled(client: Client, order: Order) -> None:
    fulfil(payment_of(order))
    cancel(client, order)
    order.refresh_from_db()
    assert order.status == "paid"


# Fulfilment


@pytest.mark.django_db(transaction=True)
def test_notification_pays_the_order(order: Order, notify: Notify) -> None:
    payment = payment_of(order)
    assert notify(payment).status_code == 200
    assert notify(payment).status_code == 200
    order.refresh_from_db()
    assert (order.status, order.paid_with, stock()) == ("paid", payment, 3)
    assert order.paid_at is not None
    assert not mail.outbox


@pytest.mark.django_db(transaction=True)
def test_failed_attempt_leaves_the_order_open(client: Client, order: Order, notify: Notify) -> None:
    notify(payment_of(order), responsecode=-1)
    order.refresh_from_db()
    assert (order.status, stock()) == ("open", 5)
    assert "The payment didn’t go through" in page(client, order)
    pay(client, order)
    notify(payment_of(order))
    order.refresh_from_db()
    assert (order.status, stock()) == ("paid", 3)


def test_repeated_signal_is_handled_once(order: Order) -> None:
    fulfil(payment_of(order))
    paid_at = Order.objects.get().paid_at
    fulfil(payment_of(order))
    order.refresh_from_db()
    assert (order.status, order.paid_at, stock()) == ("paid", paid_at, 3)
    assert not mail.outbox


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("transactions_begin_as_writers")
def test_concurrent_signals_are_handled_once(order: Order) -> None:
    payment = payment_of(order)
    calls = 4
    barrier = Barrier(calls)
    saved: list[Order] = []

    def call() -> None:
        barrier.wait()
        try:
            fulfil(Payment.objects.get(pk=payment.pk))
        finally:
            connections.close_all()

    def note(instance: Order, **kwargs: Any) -> None:
        saved.append(instance)

    connection.close()
    post_save.connect(note, sender=Order)
    try:
        with ThreadPoolExecutor(calls) as pool:
            threads = [pool.submit(call) for _ in range(calls)]
        for thread in threads:
            thread.result()
    finally:
        post_save.disconnect(note, sender=Order)
    order.refresh_from_db()
    assert (order.status, stock(), len(saved)) == ("paid", 3, 1)


@pytest.mark.django_db(transaction=True)
def test_payment_of_a_cancelled_order_is_refunded(client: Client, order: Order, notify: Notify) -> None:
    cancel(client, order)
    payment = payment_of(order)
    assert notify(payment).status_code == 200
    order.refresh_from_db()
    assert (order.status, order.paid_with, stock()) == ("to_refund", payment, 5)
    subjects = " ".join(message.subject for message in mail.outbox)
    assert f"Order {order.pk}: to be refunded" in subjects
    assert f"Payment {payment}: please review it" in subjects
    assert "We owe you a refund" in page(client, order)


def test_payment_without_stock_is_refunded(order: Order) -> None:
    Product.objects.update(stock=1)
    fulfil(payment_of(order))
    fulfil(payment_of(order))
    order.refresh_from_db()
    assert (order.status, stock(), len(mail.outbox)) == ("to_refund", 1, 1)


def test_late_success_pays_an_open_order(client: Client, order: Order) -> None:
    late = payment_of(order)
    Payment.objects.update(status="expired")
    pay(client, order)
    fulfil(late)
    order.refresh_from_db()
    assert (order.status, order.paid_with, stock()) == ("paid", late, 3)


def test_second_payment_of_an_order_is_refunded(client: Client, order: Order) -> None:
    first = payment_of(order)
    Payment.objects.update(status="expired")
    pay(client, order)
    second = order.payments.first()
    fulfil(first)
    fulfil(second)
    order.refresh_from_db()
    assert (order.status, order.paid_with, stock()) == ("paid", first, 3)
    assert str(second) in mail.outbox[0].body


def test_nothing_is_stored_when_the_mail_fails(order: Order, settings: Any) -> None:
    Product.objects.update(stock=0)
    settings.EMAIL_SUBJECT_PREFIX = "no\nsubject"
    with pytest.raises(ValueError, match=r"newline|linefeed"):
        fulfil(payment_of(order))
    order.refresh_from_db()
    assert (order.status, order.paid_with) == ("open", None)


@pytest.mark.django_db(transaction=True)
def test_payment_of_a_deleted_order_is_left_alone(order: Order, notify: Notify) -> None:
    payment = payment_of(order)
    order.delete()
    assert notify(payment).status_code == 200
    assert not payment.events.filter(deliver_at__isnull=False).exists()
    assert stock() == 5


def test_payments_of_others_are_left_alone(payment: Payment) -> None:
    fulfil(payment)
    close_refunded_order(sender=Payment, payment=payment, event=None)
    assert not mail.outbox


def refunded(content: str) -> list[str]:
    found = re.findall("<dt>Refunded</dt><dd>(.*?)</dd>", content)
    return [re.sub("[\u00a0\u202f]", " ", text) for text in found]


@pytest.mark.django_db(transaction=True)
def test_order_is_closed_once_all_of_its_money_went_back(client: Client, order: Order, notify: Notify) -> None:
    notify(payment_of(order))
    assert refunded(page(client, order)) == []
    staff = User.objects.create_user("staff")

    refund_payment(payment_of(order), staff, amount=1000, reason="A torn corner")

    order.refresh_from_db()
    assert (order.status, payment_of(order).status) == ("paid", "succeeded")
    assert "Paid, thank you!" in page(client, order)
    assert refunded(page(client, order)) == ["1 000 F CFA of 25 000 F CFA"]

    refund_payment(payment_of(order), staff, amount=24000, reason="Sent back")

    order.refresh_from_db()
    assert (order.status, payment_of(order).status, stock()) == ("refunded", "refunded", 3)
    assert "given you the money back" in page(client, order)
    assert refunded(page(client, order)) == ["25 000 F CFA of 25 000 F CFA"]
    assert not mail.outbox


@pytest.mark.django_db(transaction=True)
def test_staff_are_mailed_about_a_flagged_payment_once(order: Order, notify: Notify) -> None:
    payment = payment_of(order)
    for _ in range(3):
        notify(payment, amount=1)
    [message] = mail.outbox
    assert message.subject.endswith(f"Payment {payment}: please review it")
    assert message.body == "amount_mismatch: 1 != 25000"
    assert message.to == ["staff@example.com"]


# What the buyer sees


def test_order_page_ignores_the_query_string(client: Client, order: Order) -> None:
    text = page(client, order, responsecode="0", status="paid", referenceNumber=payment_of(order).reference)
    assert "Paid, thank you!" not in text
    assert payment_of(order).get_return_url() in text
    order.refresh_from_db()
    assert (order.status, stock()) == ("open", 5)


def test_payment_under_review_is_not_requested_again(client: Client, order: Order) -> None:
    Payment.objects.update(needs_review=True)
    text = page(client, order)
    assert "We are looking at your payment" in text
    assert reverse("shop:pay", args=[order.pk]) not in text


def test_buyer_sees_that_the_order_is_paid(client: Client, order: Order) -> None:
    payment = payment_of(order)
    fulfil(payment)
    text = page(client, order)
    assert "Paid, thank you!" in text
    assert payment.reference in text
    assert reverse("shop:pay", args=[order.pk]) not in text


@pytest.mark.django_db(transaction=True)
def test_paid_payer_returns_to_the_order(client: Client, order: Order, notify: Notify) -> None:
    payment = payment_of(order)
    notify(payment)
    thanks = client.get(payment.get_return_url()).url
    assert payment.reference in thanks
    assert client.get(thanks).url == order.get_absolute_url()
    elsewhere = Client().get(thanks).content.decode()
    assert order.email not in elsewhere
    assert order.first_name not in elsewhere


def test_only_its_buyer_sees_an_order(client: Client, order: Order) -> None:
    stranger = Client()
    stranger.get(reverse("shop:buy", args=["wax"]))
    for visitor in (stranger, Client()):
        assert visitor.get(order.get_absolute_url()).status_code == 404
        assert pay(visitor, order).status_code == 404
        assert cancel(visitor, order).status_code == 404
        assert f"Order {order.pk}" not in visitor.get(reverse("shop:orders")).content.decode()
    assert f"Order {order.pk}" in client.get(reverse("shop:orders")).content.decode()
    assert client.get(order.get_absolute_url()).status_code == 200


def test_staff_see_every_order_but_cannot_act_for_the_buyer(order: Order, admin_client: Client) -> None:
    text = page(admin_client, order)
    assert f"Order {order.pk}" in text
    assert reverse("shop:pay", args=[order.pk]) not in text
    assert pay(admin_client, order).status_code == 404


def test_other_accounts_see_no_order(order: Order) -> None:
    visitor = Client()
    visitor.force_login(User.objects.create_user("visitor"))
    assert visitor.get(order.get_absolute_url()).status_code == 404


def test_orders_survive_a_login(client: Client, order: Order, admin_user: User) -> None:
    client.force_login(admin_user)
    assert pay(client, order).url == payment_of(order).get_checkout_url()


def test_get_changes_nothing(client: Client, order: Order) -> None:
    for name in ("pay", "cancel"):
        assert client.get(reverse(f"shop:{name}", args=[order.pk])).status_code == 405


@pytest.mark.django_db
def test_staff_find_orders_and_their_payments(order: Order, admin_client: Client) -> None:
    assert "25\u202f000\u00a0F\u00a0CFA" in admin_client.get(reverse("admin:shop_order_changelist")).content.decode()
    text = admin_client.get(reverse("admin:shop_order_change", args=[order.pk])).content.decode()
    assert reverse("admin:paiementpro_payment_change", args=[payment_of(order).pk]) in text
    assert admin_client.get(reverse("admin:shop_product_changelist")).status_code == 200


def test_failing_operator_is_marked_but_selectable(client: Client, buy: Buy) -> None:
    url = reverse("shop:buy", args=["wax"])
    assert "in trouble" not in client.get(url).content.decode()
    common = {"amount": 1000, "currency": "XOF", "attempt": 1, "channel": "OMCIV2"}
    last_week, lately = timezone.now() - timedelta(days=3), timezone.now() - timedelta(minutes=40)
    for number, (status, opened_at) in enumerate([("succeeded", last_week)] * 30 + [("pending", lately)] * 10):
        moments = {"created_at": opened_at, "initialized_at": opened_at}
        if status == "succeeded":
            moments["settled_at"] = opened_at + timedelta(minutes=1)
        Payment.objects.create(**common, **moments, status=status, customer_phone=f"07071234{number:02}")
    cache.clear()

    choices = re.findall(r"[^<>]*having problems right now", client.get(url).content.decode())

    assert choices == ["Orange Money Côte d’Ivoire: having problems right now"]
    assert buy(channel="OMCIV2").status_code == 302
    assert Order.objects.get().channel == "OMCIV2"


# The single page, and the API behind it

PAYMENTS = "/api/payments/"
ORDERS = "/shop/api/products/wax/orders/"


@pytest.fixture
def post(client: Client, product: Product, settings: Any) -> Callable[..., Any]:
    """Post JSON as the page does."""
    settings.PAIEMENTPRO_PAYMENT_FACTORY = "shop.payments.new_payment"

    def post(url: str, content: Any, **headers: str) -> Any:
        return client.post(url, content, content_type="application/json", headers=headers)

    return post


def test_single_page_shows_the_stock(client: Client, product: Product) -> None:
    assert "12\u202f500\u00a0F\u00a0CFA" in client.get("/shop/express/").content.decode()
    Product.objects.update(stock=0)
    assert "Everything is sold out" in client.get("/shop/express/").content.decode()


def test_single_page_order_has_the_shops_price(post: Any, buy: Buy) -> None:
    answer = post(ORDERS, {**BUYER, "total": 1, "price": 1})
    order = Order.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {
        "order": str(order.pk),
        "url": order.get_absolute_url(),
        "title": f"Order {order.pk}",
        "total": 25000,
    }
    assert order.total == 25000
    assert post(ORDERS, BUYER).json() == answer.json()
    buy()
    assert Order.objects.count() == 1


@pytest.mark.parametrize("content", [[], ["x"], {}, {**BUYER, "quantity": 6}, {**BUYER, "phone": "12"}])
def test_single_page_reports_why_an_order_is_invalid(post: Any, content: Any) -> None:
    answer = post(ORDERS, content)
    assert answer.status_code == 400
    assert answer.json().keys() & {"quantity", "phone"}
    assert not Order.objects.exists()


def test_api_opens_the_payment_of_an_order(post: Any, gateway: FakeGateway) -> None:
    gateway.opens()
    order = post(ORDERS, BUYER).json()["order"]
    answer = post(PAYMENTS, {"order": order, "return_to": "/shop/express/"}, idempotency_key="k" * 32)
    assert answer.status_code == 201
    payment = payment_of(Order.objects.get())
    assert (payment.reference, payment.status, payment.amount) == (answer.json()["reference"], "pending", 25000)
    assert (payment.success_url, payment.failure_url) == ("/shop/thanks/{reference}/", "/shop/express/")


def test_one_order_has_one_payment_for_all_keys(post: Any, gateway: FakeGateway) -> None:
    gateway.opens()
    order = post(ORDERS, BUYER).json()["order"]
    answers = [post(PAYMENTS, {"order": order}, idempotency_key=letter * 32).json() for letter in "abc"]
    assert answers[0] == answers[1] == answers[2]
    assert payment_of(Order.objects.get()).attempt == 1


@pytest.mark.parametrize("order", ["", "x", "-1", "1.5", "9" * 30, "\u0661", "0"])
def test_api_finds_no_invalid_or_unknown_order(post: Any, order: str) -> None:
    assert post(PAYMENTS, {"order": order}).status_code in {400, 404}
    assert not Payment.objects.exists()


def test_api_does_not_open_another_buyers_order(post: Any, order: Order) -> None:
    answer = Client().post(PAYMENTS, {"order": str(order.pk)}, content_type="application/json")
    assert answer.status_code == 404
    assert payment_of(order).attempt == 1


def test_api_refuses_an_order_whose_money_has_come(post: Any, order: Order) -> None:
    Payment.objects.update(status="succeeded")
    answer = post(PAYMENTS, {"order": str(order.pk)})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:paiementpro:problem:not-payable")


@pytest.mark.parametrize("changes", [{"status": "cancelled"}, {"quantity": 6}])
def test_api_refuses_a_final_order(post: Any, changes: dict[str, Any]) -> None:
    order = post(ORDERS, BUYER).json()["order"]
    Order.objects.update(**changes)
    answer = post(PAYMENTS, {"order": order})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:paiementpro:problem:not-payable")
    assert not Payment.objects.exists()


def test_api_refuses_an_order_under_review(post: Any, gateway: FakeGateway) -> None:
    order = post(ORDERS, BUYER).json()["order"]
    post(PAYMENTS, {"order": order})
    Payment.objects.update(needs_review=True)

    answer = post(PAYMENTS, {"order": order})

    assert (answer.status_code, answer.json()["detail"]) == (409, "We are looking at your payment: do not pay again.")


def test_order_with_unstorable_text_is_refused(client: Client, post: Any) -> None:
    for body in (b'{"first_name": "\\ud800"}', b"[" * 100_000):
        assert client.post(ORDERS, body, content_type="application/json").status_code == 400


# Languages, settings, the demo


@pytest.mark.django_db
def test_shop_is_in_french_and_english(client: Client) -> None:
    stock_the_shop()
    for language, words in {"fr": ["Acheter", "Café de Man", "Plus que 2"], "en": ["Buy", "Coffee", "Only 2"]}.items():
        client.cookies["django_language"] = language
        text = client.get(reverse("shop:products")).content.decode()
        assert f'<html lang="{language}">' in text
        assert all(word in text for word in words)


def test_every_page_names_its_language(client: Client, order: Order) -> None:
    product_url = reverse("shop:product", args=["wax"])
    for url in (product_url, f"{product_url}buy/", reverse("shop:orders"), order.get_absolute_url()):
        client.cookies["django_language"] = "fr"
        text = client.get(url).content.decode()
        assert '<html lang="fr">' in text
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', text)


def test_amounts_are_formatted() -> None:
    with translation.override("fr"):
        assert francs(1234567) == "1\u202f234\u202f567\u00a0F\u00a0CFA"
    assert francs(100) == "100\u00a0F\u00a0CFA"


@pytest.mark.django_db
def test_demo_is_stocked_once() -> None:
    stock_the_shop()
    Product.objects.update(stock=1)
    stock_the_shop()
    assert list(Product.objects.values_list("stock", flat=True)) == [1] * len(PRODUCTS)
    for product in Product.objects.all():
        product.full_clean()


@pytest.fixture
def past_sales(admin_user: User) -> None:
    stock_the_shop()
    record_past_sales(admin_user)


def test_demo_starts_with_sixty_days_of_sales(past_sales: None) -> None:
    now = timezone.now()
    payments = Payment.objects.all()
    assert 400 < len(payments) == Order.objects.count() < 800
    assert {payment.status for payment in payments} >= set(Payment.Status) - {Payment.Status.CREATED}
    assert {payment.effective_channel for payment in payments} > {"", "OMCIV2", "MOMOCI", "WAVECI", "WAVESN", "CARD"}
    assert {refund.kind for refund in Refund.objects.all()} == {"refund", "chargeback"}
    assert Refund.objects.filter(amount__lt=F("payment__amount"), payment__status="succeeded").exists()
    assert {order.status for order in Order.objects.all()} == set(Order.Status)
    assert (now - min(payment.created_at for payment in payments)).days in {59, 60}
    buyers = Order.objects.order_by().values("buyer").annotate(count=Count("pk"))
    assert 20 < len(buyers.filter(count__gt=2)) < len(buyers) / 2
    for payment in payments:
        payment.clean()
        assert payment.updated_at < now
        assert (
            payment.status in {"expired", "cancelled"} or payment.is_final or payment.waiting_time < timedelta(days=1)
        )
    assert not PaymentEvent.objects.filter(created_at__gt=now).exists()
    assert preview_reconciliation()["expired"] == preview_reconciliation()["delivered"] == 0
    lost = SandboxSession.objects.get()
    assert Payment.objects.get(reference=lost.reference, amount=lost.amount).status == "pending"


def test_past_sales_are_found_and_counted(past_sales: None, admin_client: Client) -> None:
    payment = Payment.objects.filter(status="succeeded").latest("created_at")
    page = admin_client.get(reverse("admin:paiementpro_payment_changelist"), {"q": payment.customer_phone})
    assert payment in page.context["cl"].result_list
    queue = admin_client.get(reverse("admin:paiementpro_payment_changelist"), {"review": "1"})
    reasons = {finding.reason for each in queue.context["cl"].result_list for finding in each.findings.all()}
    assert reasons == {"amount_mismatch", "failure_after_success", "paid_after_cancellation", "paid_twice"}
    book = day_book(timezone.localdate() - timedelta(days=60), timezone.localdate(), currency="XOF")
    settled = Payment.objects.filter(settled_at__isnull=False, status__in=["succeeded", "refunded"])
    assert book.total.taken == sum(settled.values_list("amount", flat=True))
    assert book.total.refunded == sum(Refund.objects.values_list("amount", flat=True))


def test_past_sales_are_the_same_each_time_and_recorded_once(past_sales: None, admin_user: User) -> None:
    def sold() -> list[Any]:
        return list(Payment.objects.order_by("pk").values_list("reference", "amount", "customer_email")[:300])

    first, count = sold(), Payment.objects.count()
    record_past_sales(admin_user)
    assert Payment.objects.count() == count
    Order.objects.all().delete()
    record_past_sales(admin_user)
    assert not Order.objects.exists()
    Payment.objects.all().delete()
    record_past_sales(admin_user)
    assert sold() == first


def test_demo_requires_debug(settings: Any) -> None:
    settings.PORT, settings.LOCAL_SANDBOX = 8000, True
    with pytest.raises(CommandError, match="DEBUG"):
        call_command("demo")


def test_every_setting_is_explained() -> None:
    settings_text = (EXAMPLE / "example_project" / "settings.py").read_text()
    used = set(re.findall(r'env(?:\.\w+)?\(\s*"([A-Z_]+)"', settings_text))
    explained = set(re.findall(r"^#([A-Z_]+)=", (EXAMPLE / ".env.example").read_text(), re.MULTILINE))
    assert used == explained
