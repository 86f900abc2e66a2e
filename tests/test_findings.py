"""What a person must look at: rows that are raised once, reviewed, and raised anew."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client, override_settings
from django.utils import timezone
from requests import PreparedRequest

from django_paiementpro import services
from django_paiementpro.models import Payment
from django_paiementpro.testing import FakeGateway, pay
from django_paiementpro.testing.gateway import paid_answer
from django_paiementpro.testing.notifications import notification_of
from tests.conftest import PAYMENT_UPDATES, STATUS_URL, Heard, Notify

pytestmark = pytest.mark.django_db


def facts(payment: Payment) -> list[tuple[str, str]]:
    return list(payment.findings.values_list("reason", "detail"))


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_user("fatou", is_staff=True)


def test_mismatch_is_stored_as_a_finding(payment: Payment, notify: Notify) -> None:
    assert notify(payment, amount=6250).status_code == 400
    [finding] = payment.findings.all()
    event = payment.events.get()
    assert (finding.reason, finding.detail, str(finding)) == (
        "amount_mismatch",
        "6250 != 12500",
        "amount_mismatch: 6250 != 12500",
    )
    assert (finding.event, finding.created_at) == (event, event.created_at)
    assert (finding.reviewed_at, finding.reviewed_by, finding.note) == (None, None, "")
    assert event.message == "amount_mismatch: 6250 != 12500"
    payment.refresh_from_db()
    assert payment.needs_review


def test_every_mismatch_is_stored_as_a_finding(payment: Payment, notify: Notify) -> None:
    notify(payment, amount=1, merchantId="PP-F9", countryCurrencyCode="840")
    assert facts(payment) == [
        ("merchant_mismatch", "PP-F9 != PP-F324"),
        ("amount_mismatch", "1 != 12500"),
        ("currency_mismatch", "840 != 952"),
    ]


def test_repeated_finding_is_neither_stored_nor_signalled(payment: Payment, notify: Notify, heard: Heard) -> None:
    for _ in range(3):
        notify(payment, amount=6250)
    assert facts(payment) == [("amount_mismatch", "6250 != 12500")]
    assert heard.names == ["payment_flagged"]
    assert payment.events.count() == 3


def test_many_findings_are_still_deduplicated(payment: Payment, notify: Notify, heard: Heard) -> None:
    for amount in range(1, 121):
        notify(payment, amount=amount)
    heard.clear()
    for amount in (1, 60, 120) * 3:
        notify(payment, amount=amount)
    assert heard == []
    assert payment.findings.count() == 120
    notify(payment, amount=999)
    assert heard.names == ["payment_flagged"]


def test_finding_is_kept_behind_many_long_ones(payment: Payment, notify: Notify) -> None:
    for number in range(60):
        notify(payment, merchantId=f"PP-F{number}" + "x" * 60)
    pay(payment)
    notify(payment, payId="ANOTHER-1")
    assert facts(payment)[-1][0] == "paid_twice"


def test_details_are_ascii(payment: Payment, notify: Notify) -> None:
    notify(payment, referenceNumber="réf\u2011№1 é\U0001f600", merchantId="PP-Fé")
    for _reason, detail in facts(payment):
        assert detail.isascii()


def test_review_closes_all_open_findings(payment: Payment, notify: Notify, staff: User) -> None:
    notify(payment, amount=1)
    notify(payment, amount=2)
    payment.refresh_from_db()
    event = services.review_payment(payment, staff, "Nothing was paid.")
    payment.refresh_from_db()
    assert not payment.needs_review
    assert {(each.reviewed_by, each.note, each.reviewed_at) for each in payment.findings.all()} == {
        (staff, "Nothing was paid.", event.created_at)
    }
    assert event.data["findings"] == ["amount_mismatch: 1 != 12500", "amount_mismatch: 2 != 12500"]
    with pytest.raises(ValidationError) as caught:
        services.review_payment(payment, staff, "Again.")
    assert caught.value.code == "not_to_review"


def test_review_may_close_one_finding(payment: Payment, notify: Notify, staff: User) -> None:
    notify(payment, amount=1)
    notify(payment, amount=2)
    first, second = payment.findings.all()
    payment.refresh_from_db()
    services.review_payment(payment, staff, "The first.", first)
    payment.refresh_from_db()
    assert payment.needs_review
    assert [each.pk for each in payment.open_findings] == [second.pk]
    with pytest.raises(ValidationError):
        services.review_payment(payment, staff, "The first again.", first)
    services.review_payment(payment, staff, "The second.", second)
    payment.refresh_from_db()
    assert not payment.needs_review


def test_finding_is_raised_again_after_its_review(payment: Payment, notify: Notify, staff: User, heard: Heard) -> None:
    notify(payment, amount=1)
    payment.refresh_from_db()
    services.review_payment(payment, staff, "Nothing was paid.")
    heard.clear()
    notify(payment, amount=1)
    assert heard.names == ["payment_flagged"]
    assert [finding.reviewed_at is None for finding in payment.findings.all()] == [False, True]


@pytest.mark.django_db(transaction=True)
def test_concurrent_mismatches_are_flagged_once(payment: Payment, notify: Notify, heard: Heard) -> None:
    notify(payment, amount=1)  # already under review for something else
    heard.clear()

    def send(number: int) -> int:
        try:
            return notify(payment, amount=2 + number % 2).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(send, range(24))) == {400}
    assert sorted(facts(payment)) == [("amount_mismatch", f"{amount} != 12500") for amount in (1, 2, 3)]
    assert heard.names == ["payment_flagged"] * 2


def test_finding_of_another_process_is_not_repeated(payment: Payment, notify: Notify) -> None:
    notify(payment, amount=1)  # under review already, so that this flag tells nothing
    others: list[int] = []

    def interfere(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if not others and sql.startswith(PAYMENT_UPDATES) and "paiementpro_payment" in sql:
            others.append(2)
            notify(payment, amount=2)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(interfere):
        notify(payment, amount=2)
    assert facts(payment) == [("amount_mismatch", "1 != 12500"), ("amount_mismatch", "2 != 12500")]


# What was decided is what is stored.


def raise_price(pk: int, **changes: Any) -> None:
    Payment.objects.filter(pk=pk).update(**(changes or {"amount": 50000}))


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"amount": 50000}, ("amount_mismatch", "12500 != 50000")),
        ({"merchant_id": "PP-F9"}, ("merchant_mismatch", "PP-F324 != PP-F9")),
        ({"currency": "XAF"}, ("currency_mismatch", "952 != None")),
    ],
)
def test_terms_changed_while_the_verifier_runs_are_compared(
    payment: Payment, notify: Notify, heard: Heard, changes: dict[str, Any], finding: tuple[str, str]
) -> None:
    with override_settings(PAIEMENTPRO_HASHCODE_VERIFIER="tests.test_findings.slow_verifier"):
        slow_verifier.work = lambda: raise_price(payment.pk, **changes)  # type: ignore[attr-defined]
        assert notify(payment).status_code == 400
    stored = Payment.objects.get(pk=payment.pk)
    assert stored.status == "pending"
    assert facts(stored) == [finding]
    assert heard.names == ["payment_flagged"]


def raise_price_and_close(pk: int) -> None:
    try:
        raise_price(pk)
    finally:
        connection.close()


def slow_verifier(notification: object) -> bool:
    slow_verifier.work()  # type: ignore[attr-defined]
    return True


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", ["check", "return", "reconcile"])
def test_price_raised_during_the_status_check_is_compared(
    payment: Payment, gateway: FakeGateway, client: Client, way: str
) -> None:
    Payment.objects.filter(pk=payment.pk).update(initialized_at=timezone.now())
    answer = paid_answer(notification_of(payment))

    def play(request: PreparedRequest) -> tuple[int, dict[str, str], Any]:
        # Reconciliation asks in a thread of its own.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(raise_price_and_close, payment.pk).result()
        return 200, {}, json.dumps(answer)

    gateway.tells(payment.reference, play)
    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL):
        if way == "check":
            services.check_payment(payment)
        elif way == "return":
            client.get(payment.get_return_url())
        else:
            services.reconcile()
    stored = Payment.objects.get(pk=payment.pk)
    assert (stored.status, stored.amount) == ("pending", 50000)
    assert facts(stored) == [("amount_mismatch", "12500 != 50000")]


@pytest.mark.django_db(transaction=True)
def test_repeated_lookup_mismatch_is_stored_once(payment: Payment, gateway: FakeGateway, heard: Heard) -> None:
    gateway.confirms(payment, amount=100)
    with override_settings(PAIEMENTPRO_STATUS_URL=STATUS_URL):
        for _ in range(3):
            services.check_payment(payment)
    assert facts(payment) == [("amount_mismatch", "100 != 12500")]
    assert payment.events.count() == 1
    assert heard.names == ["payment_flagged"]
