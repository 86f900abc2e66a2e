"""The two front pages: what they show works, as it stands there."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.dispatch import receiver
from django.shortcuts import redirect
from django.test import RequestFactory
from django.urls import include, path

from django_paiementpro.models import Payment
from django_paiementpro.signals import payment_succeeded
from tests.conftest import Notify
from tests.host.models import Order

ROOT = Path(__file__).parent.parent


def ten_lines(page: str) -> str:
    """Return the only block of Python of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    [block] = re.findall(r"^\.\. code-block:: python\n\n((?: {4}.*\n|\n)+)", text, re.MULTILINE)
    return textwrap.dedent(block)


@pytest.mark.parametrize("page", ["README.rst", "LISEZMOI.rst"])
@pytest.mark.django_db(transaction=True)
def test_the_ten_lines_sell_an_order(page: str, notify: Notify, monkeypatch: pytest.MonkeyPatch) -> None:
    order = Order.objects.create()
    vars(order).update(email="awa@example.com", first_name="Awa", last_name="Koné", phone="07 07 12 34 56")
    monkeypatch.setattr(Order, "mark_paid", lambda order: paid.append(order.pk), raising=False)
    paid: list[int] = []
    # What a host has of its own, and imports.
    host: dict[str, Any] = {
        "INSTALLED_APPS": [],
        "Order": Order,
        "Payment": Payment,
        "env": {"PAIEMENTPRO_MERCHANT_ID": "PP-F324"}.__getitem__,
        "get_object_or_404": lambda model, *, pk, user: {order.pk: order}[pk],
        "include": include,
        "path": path,
        "payment_succeeded": payment_succeeded,
        "receiver": receiver,
        "redirect": redirect,
        "urlpatterns": [],
    }
    exec(ten_lines(page), host)

    request = RequestFactory().post("/")
    request.user = AnonymousUser()
    try:
        response = host["pay"](request, order.pk)
        [payment] = Payment.objects.for_object(order)
        assert response.url == payment.get_absolute_url()
        assert notify(payment).status_code == 200
    finally:
        payment_succeeded.disconnect(host["fulfil"])

    assert paid == [order.pk]
    assert payment.amount == order.total
    assert payment.customer_email == "awa@example.com"
    assert host["INSTALLED_APPS"] == ["django_paiementpro"]
    assert host["PAIEMENTPRO_MERCHANT_ID"] == payment.merchant_id
    assert host["urlpatterns"][0].app_name == "paiementpro"


@pytest.mark.parametrize("page", ["README.rst", "LISEZMOI.rst"])
def test_the_pages_that_it_names_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    names = [name for name in re.findall(r"``(docs/[\w./-]+)``", text) if not name.startswith("docs/_build/")]

    assert names
    assert [name for name in names if not (ROOT / name).exists()] == []
