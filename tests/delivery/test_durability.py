"""What a notification costs: four statements at most, and one commit that waits for the disk."""

import pytest
from django.db import connection, transaction
from django.test import Client, override_settings

from django_paiementpro import services
from django_paiementpro.delivery import outbox
from django_paiementpro.models import Payment
from django_paiementpro.signals import payment_succeeded
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import TRANSITION, Notify, Statements, due_event

pytestmark = pytest.mark.django_db(transaction=True)


def fulfil(sender: object, **kwargs: object) -> None:
    """Nothing: what counts is what surrounds the call."""


@pytest.fixture
def receiver() -> object:
    payment_succeeded.connect(fulfil)
    yield
    payment_succeeded.disconnect(fulfil)


def is_asynchronous(sql: str) -> bool:
    return "set_config('synchronous_commit', 'off', true)" in sql


def synchronous_commit() -> str:
    """Return what PostgreSQL is set to; other databases have no such setting, and read another that never changes."""
    with connection.cursor() as cursor:
        cursor.execute({"postgresql": "SHOW synchronous_commit"}.get(connection.vendor, "SELECT 'on'"))
        return str(cursor.fetchone()[0])


@pytest.mark.usefixtures("receiver")
def test_success_makes_one_durable_commit(payment: Payment, notify: Notify, statements: Statements) -> None:
    with statements:
        assert notify(payment, payId="CI20230113").status_code == 200
    assert [sql.split()[0] for sql in statements] == ["SELECT", *TRANSITION, "UPDATE"]
    event_table = connection.ops.quote_name("paiementpro_paymentevent")
    assert f"INSERT INTO {event_table}" in statements[-2]
    assert statements[-1].startswith(f"UPDATE {event_table}")
    # The transition is one transaction; the mark is on its own.
    waits = [not is_asynchronous(sql) for sql in statements]
    assert waits == [True] * (len(statements) - 1) + [connection.vendor != "postgresql"]


@pytest.mark.usefixtures("receiver")
def test_later_commits_are_durable_again(payment: Payment, notify: Notify) -> None:
    before = synchronous_commit()
    notify(payment)
    assert synchronous_commit() == before == "on"


def test_mark_in_the_hosts_transaction_keeps_its_commit_durable(payment: Payment, statements: Statements) -> None:
    event = due_event(payment)
    with transaction.atomic(), statements:
        outbox.deliver(event)
    assert not any(map(is_asynchronous, statements))


def test_page_is_recorded_without_waiting(gateway: FakeGateway, client: Client, statements: Statements) -> None:
    """A crash in the next moment leaves a counted attempt whose page was lost: it may be paid, and is asked about."""
    payment = make_payment()
    with override_settings(PAIEMENTPRO_SITE_URL="https://shop.example.com"), statements:
        assert client.get(payment.get_checkout_url()).status_code == 302
    _read, lease, page, *_event = statements
    assert [is_asynchronous(sql) for sql in (lease, page)] == [False, connection.vendor == "postgresql"]


def test_cancellation_commits_durably(payment: Payment, statements: Statements) -> None:
    with statements:
        services.cancel_payment(payment, "Out of stock")
    assert not any(map(is_asynchronous, statements))
