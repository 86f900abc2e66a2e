"""How long webhooks are kept, and what is erased from them."""

import json
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import RequestFactory, override_settings
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.extensions import extensions
from django_paiementpro.models import Payment
from django_paiementpro.testing import make_payment, pay
from django_paiementpro.webhooks import retention
from django_paiementpro.webhooks.models import Delivery
from tests.webhooks.conftest import Receive
from tests.webhooks.test_receivers import make_endpoint
from tests.webhooks.test_sending import make_delivery

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("private")]

OLD = timedelta(days=31)


def test_old_deliveries_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    now = timezone.now()
    endpoint, off = make_endpoint(), make_endpoint()
    for _ in range(5):
        make_delivery(endpoint, status="delivered", next_at=None, created_at=now - OLD)
    kept = [
        make_delivery(endpoint, status="delivered", next_at=None, created_at=now - timedelta(days=29)),
        make_delivery(endpoint, next_at=now + timedelta(hours=1), created_at=now - OLD),
    ]
    make_delivery(off, next_at=now, created_at=now - OLD)
    type(off).objects.filter(pk=off.pk).update(is_active=False)

    services.reconcile()

    assert {*Delivery.objects.all()} == {*kept}


def test_pruning_ends_when_it_is_stopped() -> None:
    make_delivery(make_endpoint(), next_at=None, created_at=timezone.now() - OLD)
    stop = Event()
    stop.set()
    assert retention.prune(stop) == 0
    assert retention.prune(Event()) == 1


def paid(receive: Receive, **values: Any) -> Payment:
    receiver = receive(lambda visitor: visitor.answers(b"Merci Awa"))
    make_endpoint(receiver.url, include_customer=True)
    make_endpoint(receiver.url)
    payment = make_payment(status="pending", attempt=1, **values)
    pay(payment)
    return payment


@pytest.mark.usefixtures("connected")
def test_customer_is_erased_from_webhooks(receive: Receive) -> None:
    payment, other = paid(receive), paid(receive, customer_email="other@example.com", customer_phone="0101020304")
    before = Delivery.objects.filter(event__payment=payment).earliest("pk")
    assert json.loads(before.body)["data"]["customer"]["email"] == payment.customer_email
    assert before.last_attempt["answer"] == "Merci Awa"

    services.erase_personal_data(email=payment.customer_email)

    for delivery in Delivery.objects.filter(event__payment=payment):
        assert {"customer", "description"}.isdisjoint(json.loads(delivery.body)["data"])
        assert (delivery.last_attempt["status"], delivery.last_attempt["answer"]) == (200, "")
    texts = [f"{row.body}{row.attempts}" for row in Delivery.objects.filter(event__payment=other)]
    assert len(texts) == 4
    assert all("Merci Awa" in text for text in texts)
    assert "other@example.com" in texts[0] + texts[1] + texts[2] + texts[3]


@pytest.mark.usefixtures("connected")
def test_webhook_without_personal_data_is_not_written(receive: Receive) -> None:
    make_endpoint(receive(lambda visitor: visitor.answers(b"")).url)
    payment = make_payment(status="pending", attempt=1)
    pay(payment)
    before = Delivery.objects.values().get()
    retention.blank([payment.pk])
    assert Delivery.objects.values().get() == before


def links(payment: Payment, user: User) -> list[tuple[str, str]]:
    request = RequestFactory().get("/")
    request.user = user
    return [link for extension in extensions() for link in extension.admin_links(request, payment)]


@pytest.mark.usefixtures("connected")
def test_payment_links_to_its_webhooks(receive: Receive) -> None:
    payment = paid(receive)
    user = User.objects.create(username="viewer", is_staff=True)
    assert links(payment, user) == []
    user.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    user = User.objects.get()
    url = f"/admin/paiementpro_webhooks/delivery/?event__payment__id__exact={payment.pk}"
    assert links(payment, user) == [("Webhooks", url)]
    assert links(make_payment(), user) == []
    with override_settings(ROOT_URLCONF="tests.webhooks.no_urls"):
        assert links(payment, user) == []
