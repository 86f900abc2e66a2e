"""One debt for each order: ``open_payment``."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import OperationalError, connection, connections, transaction

from django_paiementpro import services
from django_paiementpro.models import CUSTOMER_FIELDS, Payment
from django_paiementpro.services import open_payment
from django_paiementpro.services.customers import store_answers
from django_paiementpro.services.orders import cancel_payable
from django_paiementpro.signals import payment_cancelled
from django_paiementpro.testing import FakeGateway, expire, make_payment, pay
from django_paiementpro.testing.payments import ORDINARY
from tests.conftest import Heard, just_before, stored
from tests.host.models import Gift, Order

# Signals are sent after real commits.
pytestmark = pytest.mark.django_db(transaction=True)

DETAILS: dict[str, Any] = {name: value for name, value in ORDINARY.items() if name != "amount"}


@pytest.fixture
def order(db: None) -> Order:
    return Order.objects.create()


def test_new_payment_is_stored(order: Order) -> None:
    payment = open_payment(order, order.total, **DETAILS, success_url="/thanks/")

    assert stored(payment).content_object == order
    assert (payment.amount, payment.currency, payment.merchant_id, payment.status) == (
        12500,
        "XOF",
        "PP-F324",
        "created",
    )
    assert {name: getattr(stored(payment), name) for name in DETAILS} == DETAILS
    assert stored(payment).success_url == "/thanks/"
    assert payment.is_for(Order)


def test_same_payment_is_returned_again(order: Order, gateway: FakeGateway) -> None:
    payment = open_payment(order, 12500, **DETAILS)
    page = services.initialize_payment(payment)

    again = open_payment(order, Decimal("12500.00"), **DETAILS)

    assert again == payment
    assert again.content_object is order
    assert services.initialize_payment(again) == page
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("status", ["created", "pending", "failed"])
def test_payable_payment_is_reused(order: Order, status: str) -> None:
    payment = make_payment(content_object=order, status=status, attempt=1)

    assert open_payment(order, 12500, **DETAILS) == payment


@pytest.mark.parametrize("status", ["expired", "cancelled", "refunded"])
def test_ended_payment_gets_a_successor(order: Order, status: str) -> None:
    payment = make_payment(content_object=order, status=status, attempt=1)

    assert open_payment(order, 12500, **DETAILS) != payment
    assert stored(payment).status == status


def test_values_are_brought_up_to_date(order: Order, gateway: FakeGateway) -> None:
    payment = open_payment(order, 12500, **DETAILS)
    services.initialize_payment(payment)
    user = User.objects.create_user("awa")

    again = open_payment(
        order, 12500, **{**DETAILS, "customer_phone": "05 05 12 34 56", "channel": "WAVECI"}, user=user
    )

    assert again == payment
    assert (stored(again).customer_phone, stored(again).channel, stored(again).user) == (
        "05 05 12 34 56",
        "WAVECI",
        user,
    )
    services.initialize_payment(again)
    assert [page.customer_phone for page in gateway.page_requests] == ["0707123456", "0505123456"]


def test_user_may_be_given_by_its_key(order: Order) -> None:
    user = User.objects.create_user("awa")
    open_payment(order, 12500, **DETAILS)

    assert stored(open_payment(order, 12500, **DETAILS, user_id=user.pk)).user == user


def test_correction_is_kept_until_the_shop_has_another_value(order: Order) -> None:
    payment = open_payment(order, 12500, **DETAILS, channel="OMCIV2")
    for phone in ("05 05 12 34 56", "05 05 12 34 57"):
        store_answers(payment, {"customer_phone": phone, "channel": "WAVECI"})

    again = open_payment(order, 12500, **DETAILS, channel="OMCIV2")
    assert (stored(again).customer_phone, stored(again).channel) == ("05 05 12 34 57", "WAVECI")

    other = {**DETAILS, "customer_phone": "01 01 12 34 56"}
    for details in (other, other, DETAILS):
        again = open_payment(order, 12500, **details, channel="OMCIV2")
        assert (stored(again).customer_phone, stored(again).channel) == (details["customer_phone"], "WAVECI")
    assert stored(again).corrected_values == {"channel": "OMCIV2"}


def test_blank_details_keep_what_the_customer_entered(order: Order) -> None:
    payment = open_payment(order, 12500, description="Order 1", customer_phone="")
    store_answers(payment, {"customer_phone": "07 07 12 34 56"})

    again = open_payment(order, 12500, description="Order 1", customer_phone="", customer_email="awa@example.com")

    assert again == payment
    assert (stored(again).customer_phone, stored(again).customer_email) == ("07 07 12 34 56", "awa@example.com")


@pytest.mark.parametrize(
    "other", [{"amount": 13000}, {"merchant_id": "PP-F999"}, {"currency": "XAF"}], ids=lambda other: next(iter(other))
)
@pytest.mark.parametrize("status", ["created", "pending", "failed"])
def test_payment_of_another_debt_is_cancelled(
    order: Order, heard: Heard, settings: Any, other: dict[str, Any], status: str
) -> None:
    settings.PAIEMENTPRO_CURRENCIES = {"XOF": "952", "XAF": "950"}
    old = make_payment(content_object=order, status=status, attempt=1)

    payment = open_payment(order, **{"amount": 12500, **DETAILS, **other})

    assert payment != old
    assert {name: getattr(stored(payment), name) for name in other} == other
    assert stored(old).status == "cancelled"
    assert heard.names == ["payment_cancelled"]


def test_older_payments_of_the_same_debt_are_cancelled(order: Order) -> None:
    old, new = make_payment(content_object=order), make_payment(content_object=order)

    assert open_payment(order, 12500, **DETAILS) == new
    assert stored(old).status == "cancelled"


def test_payments_of_others_are_left_alone(order: Order) -> None:
    others = [
        make_payment(content_object=Order.objects.create()),
        make_payment(),
        make_payment(content_object=User.objects.create(pk=order.pk)),
    ]

    payment = open_payment(order, 13000, **DETAILS)

    assert payment not in others
    assert {stored(other).status for other in others} == {"created"}


def test_paid_order_is_refused(order: Order) -> None:
    pay(open_payment(order, 12500, **DETAILS))

    with pytest.raises(ValidationError) as error:
        open_payment(order, 13000, **DETAILS)

    assert error.value.code == "already_paid"
    assert Payment.objects.count() == 1


def test_partly_refunded_order_is_paid(order: Order) -> None:
    payment = pay(open_payment(order, 12500, **DETAILS))
    staff = User.objects.create_user("staff")
    services.refund_payment(payment, staff, amount=2500, reason="Broken")

    with pytest.raises(ValidationError, match="paid already"):
        open_payment(order, 12500, **DETAILS)

    services.refund_payment(payment, staff, amount=10000, reason="All of it")
    assert open_payment(order, 12500, **DETAILS) != payment


def test_refused_order_cancels_nothing(order: Order, heard: Heard) -> None:
    other = make_payment(content_object=order, amount=500)
    make_payment(content_object=order, status="succeeded")

    with pytest.raises(ValidationError):
        open_payment(order, 12500, **DETAILS)

    assert stored(other).status == "created"
    assert heard == []


@pytest.mark.parametrize(
    "values",
    [{"amount": Decimal("12500.50")}, {"amount": 99}, {"amount": "abc"}, {"description": ""}, {"currency": "EUR"}],
    ids=str,
)
def test_what_only_the_shop_can_fix_is_refused(order: Order, values: dict[str, Any]) -> None:
    old = make_payment(content_object=order)

    with pytest.raises(ValidationError) as error:
        open_payment(order, **{"amount": 13000, **DETAILS, **values})

    assert list(error.value.message_dict) == list(values)
    assert stored(old).status == "created"
    assert Payment.objects.count() == 1


def test_customer_may_be_unknown(order: Order) -> None:
    payment = open_payment(order, 12500, description="Order 1", customer_phone="unknown")

    assert not payment.customer_email
    assert payment.customer_phone == "unknown"


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        *[(name, None, "") for name in (*sorted(CUSTOMER_FIELDS), "channel", "success_url")],
        ("customer_first_name", "A" * 151, ""),
        ("customer_email", f"{'a' * 250}@example.com", ""),
        ("customer_phone", "07 07 12 34 56 / 05 05 12 34 56 / 01", ""),
        ("customer_last_name", "Ko\0né\ud800", "Ko\ufffdné\ufffd"),
        ("customer_phone", 2250707123456, "2250707123456"),
        ("user", None, None),
    ],
)
def test_value_that_cannot_be_stored_is_left_to_the_checkout(order: Order, name: str, value: Any, kept: Any) -> None:
    payment = open_payment(order, 12500, **{**DETAILS, name: value})

    assert getattr(stored(payment), name) == kept


def test_correction_of_a_value_that_is_no_text_is_kept(order: Order) -> None:
    for _click in range(2):
        payment = open_payment(order, 12500, **{**DETAILS, "customer_phone": 707123456, "customer_email": None})
        store_answers(payment, {"customer_phone": "05 05 12 34 56", "customer_email": "awa@example.com"})

    again = open_payment(order, 12500, **{**DETAILS, "customer_phone": 707123456, "customer_email": None})

    assert (stored(again).customer_phone, stored(again).customer_email) == ("05 05 12 34 56", "awa@example.com")


@pytest.mark.parametrize("name", ["status", "object_id", "attempt", "reference", "amout"])
def test_other_values_are_refused(order: Order, name: str) -> None:
    with pytest.raises(TypeError, match=f"does not take {name}"):
        open_payment(order, 12500, **DETAILS, **{name: 1})


def test_deleted_object_is_refused(order: Order) -> None:
    Order.objects.all().delete()

    with pytest.raises(Order.DoesNotExist):
        open_payment(order, 12500, **DETAILS)

    assert not Payment.objects.exists()


def test_proxy_of_an_object_has_the_same_payment(order: Order) -> None:
    payment = open_payment(order, 12500, **DETAILS)

    assert open_payment(Gift.objects.get(), 12500, **DETAILS) == payment
    assert payment.is_for(Gift)


def test_payment_can_be_opened_inside_a_transaction(order: Order, heard: Heard) -> None:
    make_payment(content_object=order, amount=500)
    with transaction.atomic():
        payment = open_payment(order, 12500, **DETAILS)
        assert heard == []

    assert stored(payment).status == "created"
    assert heard.names == ["payment_cancelled"]


def test_what_can_still_be_paid_is_cancelled(order: Order) -> None:
    payable = [make_payment(content_object=order, status=status) for status in ("created", "pending", "failed")]
    others = [make_payment(content_object=order, status="succeeded"), make_payment()]

    with just_before(lambda: Payment.objects.filter(pk=payable[1].pk).update(status="succeeded"), "UPDATE", "payment"):
        cancel_payable(order, "Paid by another.")

    assert [stored(payment).status for payment in payable] == ["cancelled", "succeeded", "cancelled"]
    assert [stored(payment).status for payment in others] == ["succeeded", "created"]


def test_rolled_back_payment_can_be_opened_again(order: Order) -> None:
    with transaction.atomic():
        open_payment(order, 12500, **DETAILS)
        transaction.set_rollback(True)

    assert open_payment(order, 12500, **DETAILS) == Payment.objects.get()


def test_aborted_transaction_is_tried_again(order: Order) -> None:
    def abort() -> None:
        raise OperationalError("deadlock detected")

    with just_before(abort, "INSERT", "paiementpro_payment"):
        payment = open_payment(order, 12500, **DETAILS)

    assert Payment.objects.get() == payment


def test_expired_order_can_be_paid_again(order: Order) -> None:
    payment = expire(open_payment(order, 12500, **DETAILS))

    assert open_payment(order, 12500, **DETAILS) != payment


def test_receiver_may_open_the_next_payment(order: Order) -> None:
    opened = []

    def reopen(sender: Any, payment: Payment, **kwargs: Any) -> None:
        opened.append(open_payment(payment.content_object, 12500, **DETAILS))

    payment_cancelled.connect(reopen)
    try:
        services.cancel_payment(open_payment(order, 12500, **DETAILS), "given up")
    finally:
        payment_cancelled.disconnect(reopen)

    assert opened == list(Payment.objects.payable())


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("is_inside", [False, True] if connection.features.has_select_for_update else [False])
@pytest.mark.parametrize("amounts", [[12500] * 12, [12500, 13000] * 6], ids=["same", "different"])
def test_clicks_at_once_leave_one_payment(order: Order, amounts: list[int], is_inside: bool) -> None:
    barrier = Barrier(len(amounts))

    def click(amount: int) -> Payment:
        try:
            barrier.wait(60)
            with transaction.atomic() if is_inside else nullcontext():
                return open_payment(order, amount, **DETAILS)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(amounts)) as threads:
        payments = list(threads.map(click, amounts))

    open_ones = Payment.objects.payable()
    assert len(open_ones) == 1
    if len(set(amounts)) == 1:
        assert set(payments) == set(open_ones)
        assert Payment.objects.count() == 1
