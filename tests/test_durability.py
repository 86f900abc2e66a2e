"""What a notification costs: four statements and one commit that waits for the disk."""

import pytest
from django.db import connection, transaction
from django.test import Client, override_settings

from django_paiementpro import outbox, services
from django_paiementpro.models import Payment
from django_paiementpro.signals import payment_succeeded
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import Notify, Statements, due_event

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
def test_a_success_makes_four_statements_and_one_commit_that_waits(
    payment: Payment, notify: Notify, statements: Statements
) -> None:
    with statements:
        assert notify(payment, payId="CI20230113").status_code == 200
    read, transition, event, mark = statements
    assert read.startswith("SELECT")
    assert (transition.split()[:2], event.split()[:3]) == (
        ["UPDATE", connection.ops.quote_name("paiementpro_payment")],
        ["INSERT", "INTO", connection.ops.quote_name("paiementpro_paymentevent")],
    )
    assert mark.split()[:2] == ["UPDATE", connection.ops.quote_name("paiementpro_paymentevent")]
    # The transition is one transaction; the mark is on its own.
    assert [is_asynchronous(sql) for sql in statements] == [False, False, False, connection.vendor == "postgresql"]


@pytest.mark.usefixtures("receiver")
def test_later_commits_wait_for_the_disk_again(payment: Payment, notify: Notify) -> None:
    before = synchronous_commit()
    notify(payment)
    assert synchronous_commit() == before == "on"


def test_a_mark_inside_of_a_transaction_of_the_host_leaves_its_commit_alone(
    payment: Payment, statements: Statements
) -> None:
    event = due_event(payment)
    with transaction.atomic(), statements:
        outbox.deliver(event)
    assert not any(map(is_asynchronous, statements))


def test_a_page_is_recorded_without_waiting(gateway: FakeGateway, client: Client, statements: Statements) -> None:
    """A crash in the next moment leaves a counted attempt whose page was lost: it may be paid, and is asked about."""
    payment = make_payment()
    with override_settings(PAIEMENTPRO_SITE_URL="https://shop.example.com"), statements:
        assert client.get(payment.get_checkout_url()).status_code == 302
    _read, lease, page, event = statements
    assert [is_asynchronous(sql) for sql in (lease, page, event)] == [False, connection.vendor == "postgresql", False]


def test_what_the_host_asks_for_is_durable(payment: Payment, statements: Statements) -> None:
    with statements:
        services.cancel_payment(payment, "Out of stock")
    assert not any(map(is_asynchronous, statements))
