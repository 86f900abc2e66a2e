"""Needs PostgreSQL, or MySQL: on SQLite the threads of a test share one connection."""

from functools import partial

import pytest
from django.core import mail
from django.test import Client

from django_paiementpro.models import Payment
from django_paiementpro.testing import FakeGateway, notify
from tests.adapters.oscar.shop import Order, check_out, make_product
from tests.server.threads import at_once


@pytest.mark.django_db(transaction=True)
def test_forty_notifications_at_once_pay_the_order_once() -> None:
    client = Client(enforce_csrf_checks=True)
    with FakeGateway():
        response = check_out(client, make_product())
        client.get(response["Location"])
        order = Order.objects.get()
        payment = Payment.objects.for_object(order).get()
        answers = at_once(*[partial(notify, payment)] * 40)
    assert [answer.status_code for answer in answers] == [200] * 40
    source = order.sources.get()
    assert source.amount_debited == 12505
    assert source.transactions.filter(txn_type="Debit").count() == 1
    assert [change.new_status for change in order.status_changes.all()] == ["Being processed"]
    assert order.payment_events.count() == 1
    assert len(mail.outbox) == 1
