"""Numbers without gaps: under load, across years, after crashes."""

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone as django_timezone

from django_paiementpro import services
from django_paiementpro.models import Payment, Refund
from django_paiementpro.receipts import issuing, receipts_of, receivers
from django_paiementpro.receipts.issuing import issue_missing_receipts, issue_owed, issue_receipt
from django_paiementpro.receipts.models import Counter, Installation, Receipt
from django_paiementpro.signals import payment_succeeded
from django_paiementpro.testing import make_payment, notify, pay
from django_paiementpro.testing.notifications import notification_fields
from tests.conftest import expire_leases, settled_event
from tests.host.models import Order
from tests.receipts.conftest import paid, receipt_of, refund
from tests.server import wire
from tests.server.site import Site, running
from tests.server.threads import at_once

MIDNIGHT = datetime(2027, 1, 1, tzinfo=ZoneInfo("Africa/Abidjan"))


def sequences(**conditions: Any) -> list[int]:
    return list(Receipt.objects.filter(**conditions).order_by("sequence").values_list("sequence", flat=True))


def settled(**values: Any) -> Payment:
    """Return a paid payment without a receipt."""
    return make_payment(**{"status": "succeeded", "attempt": 1, "settled_at": django_timezone.now(), **values})


def at(monkeypatch: pytest.MonkeyPatch, *moments: datetime) -> None:
    """Let the clock show these moments in turn, and then the last one."""
    left = list(moments)
    monkeypatch.setattr(django_timezone, "now", lambda: left.pop(0) if len(left) > 1 else left[0])


# One receipt for each payment and each refund.


def test_paid_payment_has_a_receipt(receipt: Receipt) -> None:
    payment = receipt.payment
    assert receipt.number == f"{receipt.issued_at.year}-000001"
    assert (receipt.kind, receipt.refund, receipt.original) == ("payment", None, None)
    assert (receipt.amount, receipt.currency, receipt.reference) == (12500, "XOF", payment.reference)
    assert (receipt.customer_name, receipt.customer_phone) == ("Awa Koné", "+225 ******3456")
    assert receipt.seller["registration"] == "CI-ABJ-2020-B-123"
    assert receipt.paid_at == payment.settled_at
    assert receipt.channel == "OMCIV2"
    assert str(receipt) == receipt.number


def test_unpaid_payments_have_none(payment: Payment, notify: Callable[..., Any]) -> None:
    notify(payment, responsecode=-1)
    assert issue_receipt(payment) is None
    assert issue_receipt(payment, Refund(payment=payment, amount=500)) is None
    assert not Receipt.objects.exists()
    assert not Counter.objects.filter(last__gt=0).exists()


def test_repeated_signals_issue_no_second_receipt(receipt: Receipt, staff: User) -> None:
    assert notify(receipt.payment).status_code == 200
    services.redeliver_signals(receipt.payment, staff, "again")
    receivers.issue_for_payment(receipt.payment)
    assert sequences() == [1]


def test_each_refund_has_a_receipt_that_names_the_first(receipt: Receipt) -> None:
    first = refund(receipt.payment, 500, reference="R-1")
    rest = refund(receipt.payment, 12000, kind="chargeback", fee=100)

    assert (first.kind, first.amount, first.original, first.gateway_id) == ("refund", 500, receipt, "R-1")
    assert (rest.kind, rest.amount, rest.original) == ("chargeback", 12000, receipt)
    assert sequences() == [1, 2, 3]
    assert first.refunded_on == first.refund.refunded_on


def test_refund_is_never_numbered_before_its_payment(payment: Payment, staff: User) -> None:
    payment_succeeded.disconnect(dispatch_uid="paiementpro_receipts.payment_succeeded")
    pay(payment)
    assert sequences() == []

    paper = refund(payment, 500)

    assert paper.original == receipt_of(payment)
    assert (paper.original.sequence, paper.sequence) == (1, 2)


@pytest.mark.django_db
def test_refund_alone_brings_the_receipt_of_its_payment() -> None:
    payment = settled(refunded_amount=500)
    row = Refund.objects.create(payment=payment, amount=500, refunded_on=django_timezone.localdate())
    paper = issue_receipt(payment, row)
    assert paper
    assert paper.original == receipt_of(payment)
    assert sequences(kind="payment") == [1]


def test_merchants_and_years_have_their_own_numbers(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for merchant in ("PP-A1", "PP-B2", "PP-A1"):
        paid(merchant_id=merchant)
    at(monkeypatch, MIDNIGHT + timedelta(days=800))
    issue_receipt(settled(merchant_id="PP-A1"))

    assert sequences(merchant_id="PP-A1", year=2029) == [1]
    assert sequences(merchant_id="PP-A1") == [1, 1, 2]
    assert sequences(merchant_id="PP-B2") == [1]


@pytest.mark.parametrize(
    ("zone", "active", "year"),
    [("Africa/Abidjan", "Asia/Tokyo", 2026), ("Africa/Lagos", "America/Lima", 2027)],
)
@pytest.mark.django_db
def test_year_is_that_of_the_site(
    settings: Any, monkeypatch: pytest.MonkeyPatch, zone: str, active: str, year: int
) -> None:
    settings.TIME_ZONE = zone
    payment = settled()
    at(monkeypatch, MIDNIGHT - timedelta(minutes=30))
    with django_timezone.override(active):
        receipt = issue_receipt(payment)
    assert str(receipt) == f"{year}-000001"


@pytest.mark.django_db
def test_year_that_ends_while_the_counter_is_locked_gives_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    payment, before = settled(), MIDNIGHT - timedelta(microseconds=1)
    Counter.objects.create(merchant_id=payment.merchant_id, year=2026, last=7)
    at(monkeypatch, before, MIDNIGHT)

    receipt = issue_receipt(payment)

    assert str(receipt) == "2027-000001"
    assert Counter.objects.get(year=2026).last == 7


def test_receipts_are_never_deleted(receipt: Receipt) -> None:
    other = paid()
    paper = refund(other.payment, 500)
    for delete in (
        receipt.delete,
        Receipt.objects.all().delete,
        receipt.payment.delete,
        paper.refund.delete,
        Payment.objects.all().delete,
    ):
        with pytest.raises(models.ProtectedError), transaction.atomic():
            delete()
    assert sequences() == [1, 2, 3]


def test_deleted_payment_gets_no_receipt(payment: Payment) -> None:
    payment.refresh_from_db()
    pk = payment.pk
    payment.delete()
    payment.pk = pk
    assert issue_receipt(payment) is None
    assert not Receipt.objects.exists()


@pytest.mark.django_db
def test_error_after_the_number_is_taken_gives_it_back() -> None:
    payments = [settled(), settled()]

    def broken(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if sql.startswith("INSERT") and '_receipt"' in sql.replace("`", '"'):
            raise IntegrityError("a rule of the host's")
        return execute(sql, *arguments)

    with connection.execute_wrapper(broken), pytest.raises(IntegrityError):
        issue_receipt(payments[0])
    assert [getattr(issue_receipt(payment), "sequence", None) for payment in payments] == [1, 2]


@pytest.mark.django_db
def test_receipt_that_another_process_has_issued_meanwhile_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    payment = settled()
    first = issue_receipt(payment)
    find, looked = issuing._find, []

    def late(source: str) -> Receipt | None:
        looked.append(source)
        return None if len(looked) == 1 else find(source)

    monkeypatch.setattr(issuing, "_find", late)
    assert issue_receipt(payment) == first
    assert Counter.objects.get().last == 1


# Under load, through the view of notifications, with a thread and a connection for each of them.


@pytest.mark.usefixtures("alone")
@pytest.mark.django_db(transaction=True)
def test_fifty_payments_at_once_have_numbers_without_gaps(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    payments = [make_payment(status="pending", attempt=1) for _ in range(50)]
    with running(Site()) as site:

        def settle(payment: Payment) -> int:
            answer = wire.notify(site.url + payment.get_notification_url(), notification_fields(payment))
            return answer.status

        assert at_once(*[partial(settle, payment) for payment in payments]) == [200] * 50
    expire_leases()
    services.reconcile()

    assert sequences() == list(range(1, 51))
    assert Counter.objects.get().last == 50
    assert {receipt.payment_id for receipt in Receipt.objects.all()} == {payment.pk for payment in payments}


@pytest.mark.usefixtures("alone")
@pytest.mark.django_db(transaction=True)
def test_same_payment_in_twenty_threads_has_one_receipt() -> None:
    payment = settled()
    receipts = at_once(*[partial(issue_receipt, payment)] * 20)
    assert len({receipt.pk for receipt in receipts if receipt}) == 1
    assert sequences() == [1]
    assert Counter.objects.get().last == 1


# What was missed.


def test_reconciliation_issues_what_is_missing(db: None, staff: User) -> None:
    for name in ("payment_succeeded", "payment_refunded"):
        payment_succeeded.disconnect(dispatch_uid=f"paiementpro_receipts.{name}")
    payment = settled()
    taken_back = make_payment(status="refunded", attempt=1, settled_at=django_timezone.now(), refunded_amount=12500)
    Refund.objects.create(payment=taken_back, amount=12500, refunded_on=django_timezone.localdate())

    assert services.reconcile().extensions["receipts_issued"] == 3
    assert services.reconcile().extensions["receipts_issued"] == 0

    kinds = Receipt.objects.order_by("sequence").values_list("payment", "kind")
    assert list(kinds) == [(payment.pk, "payment"), (taken_back.pk, "payment"), (taken_back.pk, "refund")]


def test_late_refund_of_an_old_payment_with_a_receipt_is_made_good(receipt: Receipt) -> None:
    long_ago = django_timezone.now() - timedelta(days=90)
    Payment.objects.update(settled_at=long_ago)
    Refund.objects.create(payment=receipt.payment, amount=1, refunded_on=django_timezone.localdate())
    assert services.reconcile().extensions["receipts_issued"] == 1


def test_reconciliation_looks_back_a_few_days(db: None) -> None:
    settled(settled_at=django_timezone.now() - issuing.LOOK_BACK - timedelta(hours=1))
    assert services.reconcile().extensions["receipts_issued"] == 0


def test_verification_of_the_account_gets_no_receipt(db: None) -> None:
    settled(is_verification=True)
    assert services.reconcile().extensions["receipts_issued"] == 0


def test_one_bad_payment_does_not_keep_others_from_their_receipts(
    db: None, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = settled(), settled()

    def broken(execute: Callable[..., Any], sql: str, params: Any, *arguments: Any) -> Any:
        if sql.startswith("INSERT") and bad.reference in str(params):
            raise IntegrityError("a rule of the host's")
        return execute(sql, params, *arguments)

    with connection.execute_wrapper(broken):
        assert issue_missing_receipts(bad.created_at - timedelta(hours=1)) == 1
    assert receipt_of(good).sequence == 1
    assert "receipt_failed" in caplog.text


def test_stopped_run_issues_nothing_more(db: None) -> None:
    settled()
    stop = threading.Event()
    stop.set()
    assert issuing.make_good(stop) == 0


def test_staff_who_let_a_signal_go_lose_no_receipt(payment: Payment) -> None:
    payment_succeeded.disconnect(dispatch_uid="paiementpro_receipts.payment_succeeded")
    pay(payment)
    event = settled_event(payment)
    assert event.deliver_at is None
    services.reconcile()
    assert receipt_of(payment).sequence == 1


# Payments from before the app was installed.


@pytest.mark.parametrize(("is_allowed", "count"), [(True, 1), (False, 0)])
@pytest.mark.django_db
def test_migration_stores_when_it_was_run_where_the_tables_are(settings: Any, is_allowed: bool, count: int) -> None:
    settings.DATABASE_ROUTERS = [type("Router", (), {"allow_migrate": lambda *args, **hints: is_allowed})()]
    Installation.objects.all().delete()
    migration = import_module("django_paiementpro.receipts.migrations.0002_installation")
    migration.note_installation(apps, SimpleNamespace(connection=connection))
    assert Installation.objects.count() == count


def test_rows_beside_the_receipts_have_names(receipt: Receipt) -> None:
    assert str(Counter.objects.get()) == f"PP-F324 {receipt.year}: 1"
    install(receipt.issued_at)
    assert str(Installation.objects.get()) == receipt.issued_at.isoformat()


def install(moment: datetime) -> None:
    Installation.objects.all().delete()
    Installation.objects.create(installed_at=moment)


def test_earlier_payments_get_none_by_themselves(payment: Payment, staff: User) -> None:
    pay(payment)
    Receipt.objects.all()._raw_delete("default")
    install(django_timezone.now())

    services.redeliver_signals(payment, staff, "again")
    services.reconcile()
    services.refund_payment(payment, staff, amount=500, reason="broken")
    receivers.issue_for_refund(payment, payment.events.get(refunds__isnull=False))

    assert sequences() == []


def test_later_payments_do(payment: Payment) -> None:
    install(django_timezone.now() - timedelta(seconds=1))
    pay(payment)
    assert sequences() == [1]


def test_refund_of_an_earlier_payment_that_the_command_gave_a_receipt_gets_one(payment: Payment) -> None:
    pay(payment)
    install(django_timezone.now())
    assert refund(payment, 500).original == receipt_of(payment)


def test_payment_without_a_date_gets_none(db: None) -> None:
    assert issue_owed(settled(settled_at=None)) == []


def test_receipts_of_an_order_and_of_a_payment(db: None) -> None:
    order, other = Order.objects.create(), Order.objects.create()
    first, _, second = (paid(content_object=each) for each in (order, other, order))
    back = refund(first.payment, 500)

    assert list(receipts_of(order)) == [first, second, back]
    assert list(receipts_of(first.payment)) == [first, back]


def test_importing_the_package_loads_no_models() -> None:
    code = "import sys; import django_paiementpro.receipts; print('django_paiementpro.models' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
