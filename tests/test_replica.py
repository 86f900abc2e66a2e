"""
A host that reads from a replica, or has the payments in another database than its own.

What decides about money is read where it is written: a replica is behind.
"""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, OperationalError, connections, transaction
from django.db.backends.dummy.base import DatabaseWrapper
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.db import sql
from django_paiementpro.gateway.messages import Notification
from django_paiementpro.models import Finding, IdempotencyKey, Payment, PaymentEvent, Refund
from django_paiementpro.monitoring.health import health
from django_paiementpro.services.idempotency import IdempotentRequest, find_key, forget_keys, store_payment
from django_paiementpro.services.notifications import receive_notification
from django_paiementpro.services.staff import undelivered_events_of
from django_paiementpro.testing import FakeGateway, make_payment
from django_paiementpro.testing.gateway import NO_TRANSACTION
from tests.conftest import EVENT_INSERTS, STATUS_URL, Notify, due_event, stored
from tests.host.models import Order

pytestmark = pytest.mark.django_db


class Replica:
    """Sends each read of the app's own to a database of no kind, where it is an error."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "replica" if model._meta.app_label == "paiementpro" else None

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"

    def allow_relation(self, *objects: Any, **hints: Any) -> bool:
        return True


@pytest.fixture
def replica() -> Any:
    connections["replica"] = DatabaseWrapper({}, "replica")
    with override_settings(DATABASE_ROUTERS=[Replica()], PAIEMENTPRO_STATUS_URL=STATUS_URL):
        yield
    del connections["replica"]


@pytest.mark.usefixtures("replica")
def test_order_from_another_database_has_one_payment() -> None:
    order = Order.objects.create()
    order._state.db = "replica"
    ContentType.objects.clear_cache()

    payments = [services.open_payment(order, 12500, description="Order 1") for _click in range(2)]

    assert payments == [Payment.objects.using("default").get()] * 2
    assert payments[1].is_for(Order)
    assert payments[1].object_id == str(order.pk)


class Shop:
    """Keeps the orders in a database of their own."""

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "shop" if model is Order else "default"


@pytest.fixture
def shop(db: None) -> Any:
    """The tests' database under a second name."""
    connections["shop"] = connections["default"]
    with override_settings(DATABASE_ROUTERS=[Shop()]):
        yield
    del connections["shop"]


@pytest.mark.usefixtures("shop")
def test_order_is_locked_in_its_own_database() -> None:
    order = Order.objects.create()
    assert order._state.db == "shop"
    ContentType.objects.get_for_model(Order)  # other tests may have emptied the cache

    with CaptureQueriesContext(connections["default"]) as queries:
        payment = services.open_payment(order, 12500, description="Order 1")

    assert payment.object_id == str(order.pk)
    assert [query["sql"].split()[0] for query in queries][:2] == ["SAVEPOINT", "SAVEPOINT"]  # one in each database
    Order.objects.filter(pk=order.pk).delete()
    with pytest.raises(Order.DoesNotExist):
        services.open_payment(order, 12500, description="Order 1")


class Elsewhere(Replica):
    """Sends the app's reads and writes to a database that is not the default."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "elsewhere" if model._meta.app_label == "paiementpro" else None

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return self.db_for_read(model) or "default"


@pytest.fixture
def elsewhere(payment: Payment) -> Any:
    """The tests' database under another name; by its own it is of no kind, where all that comes is an error."""
    own = connections["default"]
    connections["elsewhere"], connections["default"] = own, DatabaseWrapper({}, "default")
    with override_settings(DATABASE_ROUTERS=[Elsewhere()], PAIEMENTPRO_STATUS_URL=STATUS_URL):
        yield
    connections["default"] = own
    del connections["elsewhere"]


@pytest.fixture
def awa(db: None) -> User:
    return User.objects.create_user("awa")


@pytest.mark.usefixtures("replica")
def test_replica_is_unavailable() -> None:
    with pytest.raises(ImproperlyConfigured):
        list(Payment.objects.all())


@pytest.mark.usefixtures("replica")
def test_notifications_read_the_primary(payment: Payment, notify: Notify) -> None:
    assert notify(payment, amount=1).status_code == 400
    assert notify(payment).status_code == 200
    assert notify(payment, payId="another").status_code == 200
    receive_notification(payment.url_key, notification_of(payment))
    assert stored(payment).status == "succeeded"


def notification_of(payment: Payment) -> Any:
    fields = {"merchantId": "PP-F324", "referenceNumber": payment.reference, "amount": "12500", "responsecode": "0"}
    return Notification.from_fields(list(fields.items()))


@pytest.mark.usefixtures("replica")
def test_checkout_reads_the_primary(gateway: FakeGateway, client: Any) -> None:
    payment = make_payment()
    gateway.refuses()
    assert client.get(payment.get_checkout_url()).status_code == 502
    gateway.opens()
    assert client.get(payment.get_checkout_url()).status_code == 302
    gateway.confirms(stored(payment), 2)
    gateway.tells(payment.reference, NO_TRANSACTION)
    assert client.get(payment.get_return_url()).status_code == 200
    assert stored(payment).status == "succeeded"


@pytest.mark.usefixtures("replica")
def test_waiting_checkout_reads_the_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    payment = make_payment(attempt=1, leased_until=timezone.now() + timedelta(seconds=20))
    event = PaymentEvent(payment=payment, kind="initialize", outcome="refused", message="Echec")

    def give_up(seconds: float) -> None:
        event.save(using="default")
        Payment.objects.using("default").update(leased_until=None)

    monkeypatch.setattr(services.checkout.time, "sleep", give_up)
    with override_settings(PAIEMENTPRO_SITE_URL="https://example.com"), pytest.raises(Exception, match="Echec"):
        services.initialize_payment(payment)


@pytest.mark.usefixtures("replica")
def test_reconciliation_reads_the_primary(gateway: FakeGateway) -> None:
    old = timezone.now() - timedelta(days=2)
    paid, unpaid = (make_payment(status="pending", attempt=1, initialized_at=old) for _ in range(2))
    gateway.confirms(paid)
    gateway.tells(unpaid.reference, NO_TRANSACTION)
    due_event(paid)

    assert services.preview_reconciliation() == {"asked": 2, "expired": 2, "delivered": 1}
    totals = services.reconcile()

    assert (totals.asked, totals.settled, totals.expired, totals.failed) == (2, 1, 1, 0)
    assert health().undelivered == 1


@pytest.mark.usefixtures("replica")
def test_staff_act_on_the_primary(awa: User, gateway: FakeGateway) -> None:
    payment = make_payment(status="pending", attempt=1, needs_review=True)
    finding = Finding(payment=payment, reason="unknown_code", detail="7")
    finding.save(using="default")
    gateway.tells(payment.reference, NO_TRANSACTION)

    services.review_payment(payment, awa, "Nothing")
    finding.refresh_from_db(using="default")
    assert finding.note == "Nothing"
    services.ask_gateway(payment, awa, "She says so")
    services.confirm_payment(payment, awa, gateway_id="CI1", amount=12500, reason="Seen")
    assert not undelivered_events_of(payment)
    services.refund_payment(payment, awa, amount=1, reference="R", reason="One franc too many")
    services.refund_payment(payment, awa, amount=12499, reference="R2", reason="Returned")
    other = make_payment(status="pending", attempt=1)
    services.cancel_payment(other, "Given up")

    assert (stored(payment).status, stored(other).status) == ("refunded", "cancelled")
    assert Refund.objects.using("default").filter(payment=payment).count() == 2


@pytest.mark.usefixtures("replica")
def test_personal_data_are_blanked_on_the_primary() -> None:
    old = timezone.now() - timedelta(days=400)
    payment = make_payment(status="succeeded", created_at=old)
    Payment.objects.using("default").update(updated_at=old)
    due = make_payment(status="failed", customer_email="ama@example.com")
    PaymentEvent.objects.create(
        payment=payment, kind="notification", outcome="accepted", created_at=old, data={"a": "b"}
    )

    assert services.count_personal_data(email="ama@example.com").payments == 1
    assert services.erase_personal_data(email="ama@example.com").payments == 1
    assert services.prune_personal_data(timezone.now() - timedelta(days=30)).payments == 1
    assert not stored(payment).has_customer
    assert not stored(due).has_customer


@pytest.mark.usefixtures("replica")
def test_keys_are_found_on_the_primary() -> None:
    request = IdempotentRequest.of("1", "key", "{}")
    payment = make_payment()
    assert store_payment(payment, request) is None
    found = find_key(request)
    assert found is not None
    assert found.payment == payment

    IdempotencyKey.objects.using("default").update(created_at=timezone.now() - timedelta(days=2))
    forget_keys()
    assert not IdempotencyKey.objects.using("default").exists()


@pytest.mark.usefixtures("replica")
def test_payment_is_read_from_the_given_database() -> None:
    payment = make_payment()
    Payment.objects.using("default").update(amount=7)

    payment.refresh_from_db(using="default")

    assert payment.amount == 7


# Another database


@pytest.mark.django_db(transaction=True)
def test_payments_may_be_in_another_database(
    awa: User, payment: Payment, notify: Notify, gateway: FakeGateway, client: Any, elsewhere: None
) -> None:
    other = make_payment()
    assert client.get(other.get_checkout_url()).status_code == 302
    assert notify(payment, amount=1).status_code == 400
    assert notify(payment).status_code == 200
    services.confirm_payment(
        Payment.objects.get(pk=other.pk), awa, gateway_id="CI1", amount=12500, reason="Seen in the back office"
    )
    gateway.confirms(payment)
    assert services.check_payment(Payment.objects.get(pk=payment.pk)) == "succeeded"
    request = IdempotentRequest.of("1", "key", "{}")
    assert store_payment(make_payment(), request) is None
    assert find_key(request) is not None
    assert services.reconcile().failed == 0
    assert list(Payment.objects.filter(status="succeeded").order_by("pk")) == [payment, other]


@pytest.mark.django_db(transaction=True)
def test_transition_on_another_database_is_retried(payment: Payment, elsewhere: None) -> None:
    left: list[OperationalError] = []

    def conflict(execute: Any, sql: str, *arguments: Any) -> Any:
        if left and sql.startswith(EVENT_INSERTS):
            raise left.pop()
        return execute(sql, *arguments)

    with connections["elsewhere"].execute_wrapper(conflict):
        left.append(OperationalError("deadlock"))
        with pytest.raises(OperationalError), transaction.atomic(using="elsewhere"):
            receive_notification(payment.url_key, notification_of(payment))
        payment.refresh_from_db()
        assert payment.status == "pending"
        left.append(OperationalError("deadlock"))
        receive_notification(payment.url_key, notification_of(payment))
    assert Payment.objects.get(pk=payment.pk).status == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_error_on_another_database_breaks_only_its_transaction(payment: Payment, elsewhere: None) -> None:
    with transaction.atomic(using="elsewhere"):
        with pytest.raises(IntegrityError):
            sql.update(Payment, {"pk": payment.pk}, {"amount": 0})
        with pytest.raises(transaction.TransactionManagementError):
            Payment.objects.exists()
        transaction.set_rollback(True, using="elsewhere")
