"""The code of the page about signals, run against an order that holds stock."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction
from django.dispatch import receiver

from django_paiementpro.models import Payment
from django_paiementpro.services import cancel_payment, open_payment
from django_paiementpro.signals import payment_cancelled, payment_expired
from django_paiementpro.testing import expire, make_payment, pay
from tests.docs.pages import LANGUAGES, blocks
from tests.host.models import Order

DESCRIPTION = "Order 1"


@pytest.fixture(params=LANGUAGES)
def released(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Connect the receiver of the page, and return the orders whose stock it releases."""
    orders: list[int] = []
    monkeypatch.setattr(Order, "release_stock", lambda order: orders.append(order.pk), raising=False)
    [block] = blocks(request.param, "explanation/signals")
    names: dict[str, Any] = {
        "Order": Order,
        "Payment": Payment,
        "receiver": receiver,
        "transaction": transaction,
        "payment_expired": payment_expired,
        "payment_cancelled": payment_cancelled,
    }
    exec(block.text, names)
    yield orders
    for signal in (payment_expired, payment_cancelled):
        assert signal.disconnect(names["release"])


def give_up(payment: Payment) -> None:
    cancel_payment(payment, "sold out")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", [expire, give_up])
def test_stock_is_released_once_no_payment_is_open_or_paid(
    released: list[int], end: Callable[[Payment], object]
) -> None:
    order = Order.objects.create()
    first = open_payment(order, amount=order.total, description=DESCRIPTION)
    second = make_payment(content_object=order)

    end(first)
    assert released == []

    end(second)
    assert released == [order.pk]


@pytest.mark.django_db(transaction=True)
def test_stock_of_a_paid_order_is_kept(released: list[int]) -> None:
    order = Order.objects.create()
    first = make_payment(content_object=order)
    pay(make_payment(content_object=order))

    expire(first)

    assert released == []


@pytest.mark.django_db(transaction=True)
def test_stock_is_kept_when_another_payment_takes_its_place(released: list[int]) -> None:
    order = Order.objects.create()
    old = open_payment(order, amount=order.total, description=DESCRIPTION)

    open_payment(order, amount=order.total + 100, description=DESCRIPTION)

    old.refresh_from_db()
    assert old.status == Payment.Status.CANCELLED
    assert released == []


@pytest.mark.django_db(transaction=True)
def test_payment_of_a_deleted_order_or_of_none_releases_nothing(released: list[int]) -> None:
    order = Order.objects.create()
    payments = [make_payment(content_object=order), make_payment()]
    order.delete()

    for payment in payments:
        expire(payment)
        assert not payment.events.filter(deliver_at__isnull=False).exists()

    assert released == []
