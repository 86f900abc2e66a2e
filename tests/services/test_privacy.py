"""What tells who paid goes, everywhere; what the books need stays, and everything still works."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import JSONField, Value
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_paiementpro import log, services
from django_paiementpro.admin.daybook.statistics import day_book
from django_paiementpro.admin.export import export_payments
from django_paiementpro.exceptions import GatewayRefusedError
from django_paiementpro.links.models import LinkPayment, PaymentLink
from django_paiementpro.models import (
    Finding,
    Payment,
    PaymentEvent,
    Refund,
    SearchKey,
    Statement,
    StatementLine,
    StatementPart,
    StatementProof,
)
from django_paiementpro.receipts.models import Receipt
from django_paiementpro.services.statements.confirmation import compared_line, confirm_from_line
from django_paiementpro.testing import FakeGateway, make_payment
from django_paiementpro.webhooks.models import Delivery
from tests.conftest import Heard, Notify, Statements, stored
from tests.host.models import Order
from tests.server import moments
from tests.server.threads import DEADLINE, Gate, at_once, meanwhile
from tests.test_admin import flag

pytestmark = pytest.mark.django_db(transaction=True)

Capture = pytest.CaptureFixture[str]

ROOT = Path(__file__).parents[2]
DAY = timedelta(days=1)

#: What tells who Awa is, who serves her, or what either of them wrote.
PERSONAL = re.compile(
    r"awa|kon|07\W*07\W*12\W*34|binta|dupont|sessionid|1a0ab9|secret|10\.1\.2\.3|tante", re.IGNORECASE
)

PERSON = {
    "customer_email": "Awa.Kone@example.com",
    "customer_phone": "+225 07 07 12 34 56",
    "description": "A dress for Awa",
    "return_context": {"for": "Tante Awa"},
    "success_url": "/thanks/awa/",
    "failure_url": "/sorry/awa/",
}


def texts_of(*payments: Payment) -> str:
    """Return everything that is stored about payments."""
    rows: list[Any] = list(Payment.objects.filter(pk__in=[payment.pk for payment in payments]).values())
    for model in (PaymentEvent, Finding, Refund, SearchKey):
        rows += model.objects.filter(payment__in=payments).values()
    return "\n".join(map(str, rows))


def age(payment: Payment, days: float) -> None:
    """Move all dates of a payment back by this many days."""
    earlier = timedelta(days=days)
    row = stored(payment)
    moved = {"created_at": row.created_at - earlier, "updated_at": row.updated_at - earlier}
    moved |= {"settled_at": row.settled_at - earlier} if row.settled_at else {}
    moved |= {"initialized_at": row.initialized_at - earlier} if row.initialized_at else {}
    Payment.objects.filter(pk=payment.pk).update(**moved)
    for event in payment.events.all():
        PaymentEvent.objects.filter(pk=event.pk).update(created_at=event.created_at - earlier)


def old(days: float = 400, **values: Any) -> Payment:
    payment = make_payment(**{"status": "succeeded", "attempt": 1, **PERSON, **values})
    age(payment, days)
    return stored(payment)


def prune(days: float = 365, **options: Any) -> services.Blanked:
    return services.prune_personal_data(timezone.now() - timedelta(days=days), **options)


def event_of(payment: Payment, kind: str = "notification", outcome: str = "accepted", **values: Any) -> PaymentEvent:
    values.setdefault("created_at", payment.created_at)
    return PaymentEvent.objects.create(payment=payment, kind=kind, outcome=outcome, **values)


def data_of(event: PaymentEvent) -> Any:
    return PaymentEvent.objects.get(pk=event.pk).data


@pytest.fixture
def lived(gateway: FakeGateway, notify: Notify, settings: Any) -> Payment:
    """A payment with a life behind it: taken to the gateway three times, notified in many ways, and refunded."""
    settings.PAIEMENTPRO_SITE_URL = "https://shop.example"
    binta = User.objects.create_user("binta.dupont")
    awa = User.objects.create_user("awa")
    payment = make_payment(**PERSON, content_object=Order.objects.create(), user=awa, channel="OMCIV2")
    gateway.refuses("Le compte de tante Awa est bloqué")
    with pytest.raises(GatewayRefusedError):
        services.initialize_payment(payment)
    gateway.opens()
    services.initialize_payment(payment)
    payer = {
        "CUSTOMEREMAIL": "awa.kone@example.com",
        "customer_first_name": "Awa",
        "customerlastname": "Koné",
        "telephone": "0707123456",
        "returnContext": json.dumps({"for": "Tante Awa"}),
        "message": "Merci Awa",
        "transactiondt": "2026-09-25 15:44:25",
    }
    notify(payment, **payer, responsecode=-1)
    payment = stored(payment)
    services.initialize_payment(payment)
    notify(payment, **payer, responsecode="", token="secret")  # malformed
    notify(payment, **payer, merchantId="Awa Koné")  # another merchant
    notify(payment, **payer, amount=1)
    notify(payment, **payer)
    notify(payment, **payer, payId="CI2")  # paid twice
    services.review_payment(stored(payment), binta, "Awa called, from tante Konan")
    notify(payment, **payer, payId="CI3")
    services.refund_payment(stored(payment), binta, amount=12500, reference="R-1", reason="Awa Koné asked")
    return stored(payment)


BOOKS = (
    *("reference", "attempt", "merchant_id", "amount", "currency", "channel", "content_type", "object_id", "status"),
    "is_verification",
    *("needs_review", "settled_by", "settled_attempt", "opened_attempt", "gateway_id", "gateway_key"),
    *("gateway_channel", "effective_channel", "transaction_date", "response_code", "refunded_amount", "created_at"),
    *("updated_at", "initialized_at", "settled_at", "leased_until", "checked_at", "asked_attempt", "url_nonce"),
)
PERSONS = (*services.privacy.BLANK, "blanked_at")

#: What stays of each row beside a payment.
KEPT: dict[Any, tuple[str, ...]] = {
    Finding: ("payment", "reason", "gateway_key", "event", "created_at", "mailed_at", "reviewed_at", "reviewed_by"),
    Refund: ("payment", "amount", "fee", "kind", "reference", "refunded_on", "event", "user", "created_at"),
}
#: What is blanked of it, if need be.
BLANKED: dict[Any, set[str]] = {Finding: {"detail", "note"}, Refund: {"reason"}}


# What goes, and what stays


def test_every_field_of_a_payment_stays_or_is_blanked() -> None:
    assert {*BOOKS, *PERSONS} == {field.name for field in Payment._meta.concrete_fields} - {"id"}
    assert not {*BOOKS} & {*PERSONS}
    for model, kept in KEPT.items():
        assert {*kept} | BLANKED[model] == {field.name for field in model._meta.concrete_fields} - {"id"}


def test_erased_payment_identifies_no_person(lived: Payment) -> None:
    Payment.objects.filter(pk=lived.pk).update(response_message="Merci Awa")
    PaymentEvent.objects.filter(kind="notification").update(remote_address="10.1.2.3")
    assert len(set(map(str.lower, PERSONAL.findall(texts_of(lived))))) >= 9
    for model in (Finding, Refund, SearchKey):
        assert PERSONAL.search(str(model.objects.values()))
    age(lived, 400)

    blanked = prune()

    assert (blanked.payments, blanked.events, blanked.left) == (1, PaymentEvent.objects.count(), 0)
    assert PERSONAL.findall(texts_of(lived)) == []


def test_accounting_data_are_kept(lived: Payment) -> None:
    age(lived, 400)
    books = Payment.objects.filter(pk=lived.pk).values(*BOOKS)
    events = PaymentEvent.objects.values("pk", "kind", "outcome", "reason", "created_at", "signals", "delivered")
    findings, refunds = (model.objects.values("pk", *kept) for model, kept in KEPT.items())
    before = [list(rows.all()) for rows in (books, events, findings, refunds)]
    assert all(before)

    prune()

    assert [list(rows.all()) for rows in (books, events, findings, refunds)] == before
    payment = stored(lived)
    assert payment.content_object == lived.content_object
    assert (payment.customer_email, payment.user, payment.return_context) == ("", None, {})
    assert timezone.now() - payment.blanked_at < timedelta(minutes=1)


def test_findings_keep_only_figures_and_ids(lived: Payment) -> None:
    flag(lived, "merchant_mismatch", "Awa Kone != PP-F324")
    flag(lived, "hashcode_mismatch", "awa")
    flag(lived, "unknown_code", "Awa calls back", note="Awa called", reviewed_at=timezone.now())
    age(lived, 400)

    prune()

    assert list(lived.findings.values_list("reason", "detail", "note")) == [
        ("merchant_mismatch", "", ""),
        ("amount_mismatch", "1 != 12500", ""),
        ("paid_twice", f"{lived.reference}-3 CI2", ""),
        ("paid_twice", f"{lived.reference}-3 CI3", ""),
        ("merchant_mismatch", "", ""),
        ("hashcode_mismatch", "", ""),
        ("unknown_code", "", ""),
    ]
    assert lived.findings.filter(reviewed_at=None).count() == 3


def test_search_keys_of_other_payments_stay() -> None:
    payment, other = old(), make_payment(**PERSON)

    prune()

    assert not SearchKey.objects.filter(payment=payment).exists()
    assert set(SearchKey.objects.filter(payment=other).values_list("text", flat=True)) == other.search_keys()


def test_event_keeps_the_figures_of_the_gateway(lived: Payment) -> None:
    age(lived, 400)
    prune()

    story = {(event.kind, event.outcome, event.reason): event for event in lived.events.all()}
    assert story["initialize", "accepted", ""].data == {
        "merchantId": "PP-F324",
        "amount": 12500,
        "channel": "OMCIV2",
        "countryCurrencyCode": "952",
        "referenceNumber": f"{lived.reference}-3",
    }
    assert story["notification", "accepted", ""].data == {
        "merchantId": "PP-F324",
        "payId": f"PAY-{lived.reference}-3",
        "channel": "OMCIV2",
        "countryCurrencyCode": "952",
        "referenceNumber": f"{lived.reference}-3",
        "amount": "12500",
        "transactiondt": "2026-09-25 15:44:25",
        "responsecode": "0",
    }
    assert story["notification", "refused", "amount_mismatch"].message == "amount_mismatch: 1 != 12500"
    # The merchant id in the notification may be any text; the name of the finding is ours alone.
    assert story["notification", "refused", "merchant_mismatch"].message == "merchant_mismatch"
    assert story["initialize", "refused", ""].message == ""


def test_staff_events_keep_the_act_and_the_user_id(lived: Payment) -> None:
    binta = User.objects.get(username="binta.dupont")
    age(lived, 400)
    prune()

    review, refund = lived.events.filter(kind="staff")
    assert review.data == {
        "action": "review",
        "user_id": str(binta.pk),
        "findings": ["merchant_mismatch", "amount_mismatch: 1 != 12500", f"paid_twice: {lived.reference}-3 CI2"],
    }
    assert refund.data == {
        "action": "refund",
        "user_id": str(binta.pk),
        "amount": 12500,
        "refund_reference": "R-1",
        "kind": "refund",
        "refunded_on": timezone.localdate().isoformat(),
    }
    assert (review.message, refund.message) == ("", "")


def test_row_that_proved_a_payment_keeps_its_figures() -> None:
    binta = User.objects.create_user("binta.dupont")
    payment = old(status="pending", reference="abc")
    file = io.BytesIO(b"Transaction;Ref;Montant;Date\nTX1;abc;12500;2026-11-03 12:00")
    done = services.import_statement(file, file_name="Binta, for tante Awa.csv", user=binta, all_paid=True)
    assert done.statement
    line = compared_line(done.statement.lines.get().pk)
    event = confirm_from_line(payment, binta, line, note="Awa called")
    before = event.data["statement"]
    age(payment, 400)

    prune()

    assert PERSONAL.findall(texts_of(payment)) == []
    assert data_of(event) == {
        "action": "confirm",
        "user_id": str(binta.pk),
        "gateway_id": "TX1",
        "amount": 12500,
        "statement": {name: value for name, value in before.items() if name not in {"file", "imported_by"}},
    }
    assert before["imported_by_id"] == str(binta.pk)
    # The page of the payment still says what proved it.
    client = Client()
    client.force_login(User.objects.create_superuser("owner"))
    content = client.get(reverse("admin:paiementpro_payment_change", args=[payment.pk])).content.decode()
    assert f"tatement “PP-F324 {before['id']}”, row 2, transaction TX1, reference abc, 12" in content
    assert f"imported by User {binta.pk} on " in content


def test_chargeback_keeps_its_fee() -> None:
    payment = old()
    values = {"amount": 100, "kind": "chargeback", "fee": 2500}
    services.refund_payment(payment, User.objects.create_user("binta"), reason="Awa asked her bank", **values)
    age(payment, 400)

    prune()

    assert payment.events.get().data.items() >= values.items()
    assert list(payment.refunds.values("amount", "kind", "fee", "reason")) == [{**values, "reason": ""}]


def test_erased_payment_loses_its_user() -> None:
    awa = User.objects.create_user("awa")
    payment, other = old(content_object=awa), old(content_object=Order.objects.create())

    prune()

    assert (stored(payment).content_object, stored(payment).object_id) == (None, None)
    assert stored(other).content_object == other.content_object


def test_unreadable_body_is_erased(payment: Payment, notify: Notify) -> None:
    # What contradicted the rest is nothing that stays: without it the rest would prove a payment.
    notify(payment, hashcode=["0b 19", "0b 20"])
    [event] = payment.events.all()
    assert event.reason == "malformed"
    Payment.objects.filter(pk=payment.pk).update(status="expired")
    age(payment, 400)

    prune()

    event = payment.events.select_related("payment").get()
    assert event.data == {}
    assert services.preview_replay(event).changes == {}


@pytest.mark.parametrize(
    ("name", "stays"),
    [
        *(
            (name, True)
            for name in ("merchantId", "MERCHANTID", " amount ", "payid", "pay_id", "marchant_id", "hashcode")
        ),
        *(
            (name, False)
            for name in ("customerEmail", "customer_email", "sessionId", "token", "returnContext", "x", "")
        ),
    ],
)
def test_fields_are_kept_by_name(name: str, stays: bool) -> None:
    payment = old()
    event = event_of(payment, data={name: ["1", "2"]})

    prune()

    assert data_of(event) == ({name: ["1", "2"]} if stays else {})


@pytest.mark.parametrize(
    ("value", "stays"),
    [
        *((value, True) for value in ("", "PP-F324", "12500.00", -1, True, "2026-09-25 15:44:25", ["1", "2"])),
        *((value, False) for value in ("Awa Kone", "awa@example.com", "Koné", "x" * 129, ["1", "Awa Kone"], {"a": 1})),
    ],
)
def test_values_that_are_not_codes_are_erased(value: Any, stays: bool) -> None:
    payment = old()
    event = event_of(payment, data={"merchantId": value})

    prune()

    assert data_of(event) == ({"merchantId": value} if stays else {})


def test_replayed_notification_is_erased_in_the_staff_event() -> None:
    payment = old()
    data = {
        "action": "replay",
        "user": "binta",
        "fields": {"payId": "1", "customerEmail": "awa@example.com"},
        "finding": "merchant_mismatch: Awa != PP-F324; paid_twice: r-2 CI2",
    }
    event = event_of(payment, "staff", data=data, message="Awa called")

    prune()

    kept = {"action": "replay", "fields": {"payId": "1"}, "finding": "merchant_mismatch; paid_twice: r-2 CI2"}
    assert data_of(event) == kept


def test_owed_signals_survive_erasure(heard: Heard) -> None:
    payment = old()
    event = event_of(payment, signals=["payment_succeeded"], deliver_at=payment.created_at, data={"x": "Awa"})

    prune()
    assert data_of(event) == {"x": "Awa"}

    call_command("paiementpro_reconcile", stdout=io.StringIO())
    assert heard == [("payment_succeeded", payment)]
    prune()
    assert data_of(event) == {}


def test_staff_text_is_erased_and_findings_stay() -> None:
    payment = old()
    written = event_of(payment, "staff", message="paid_twice: Awa called")
    found = event_of(payment, message="merchant_mismatch: Awa: Koné; paid_twice: r-2 CI2; Awa: Koné")

    prune()

    messages = {event.pk: event.message for event in PaymentEvent.objects.all()}
    assert messages == {written.pk: "", found.pk: "merchant_mismatch; paid_twice: r-2 CI2"}


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("reference_mismatch: x; amount_mismatch: Zoukou 0505060708", "reference_mismatch; amount_mismatch"),
        ("reference_mismatch: x; amount_mismatch: 0505060708 != 12500", "reference_mismatch; amount_mismatch"),
        ("reference_mismatch: x; paid_twice: Awa Zoukou", "reference_mismatch; paid_twice"),
        ("reference_mismatch: x; paid_twice: 1 2 Zoukou", "reference_mismatch; paid_twice"),
        ("reference_mismatch: x; failure_after_success: Zoukou", "reference_mismatch; failure_after_success"),
        ("merchant_mismatch: Awa; amount_mismatch: 1 != 12500", "merchant_mismatch; amount_mismatch: 1 != 12500"),
        ("amount_mismatch: None != 12500", "amount_mismatch: None != 12500"),
    ],
)
def test_text_that_looks_like_a_finding_is_erased(message: str, kept: str) -> None:
    payment = old()
    found = event_of(payment, message=message)
    acted = event_of(payment, "staff", data={"action": "replay", "finding": message})
    closed = event_of(payment, "staff", data={"action": "review", "findings": [message]})

    services.erase_personal_data(email=payment.customer_email)

    assert PaymentEvent.objects.get(pk=found.pk).message == kept
    assert data_of(acted)["finding"] == kept
    assert data_of(closed)["findings"] == [kept]


def test_notified_reference_with_a_finding_in_it_is_erased(payment: Payment, notify: Notify) -> None:
    notify(payment, referenceNumber="x; amount_mismatch: Zoukou 0505060708")
    Payment.objects.update(status="expired")
    assert payment.events.get().message == "reference_mismatch: x, amount_mismatch: Zoukou 0505060708"

    services.erase_personal_data(email=payment.customer_email)

    assert payment.events.get().message == "reference_mismatch"
    assert "Zoukou" not in texts_of(payment)


ODD_DATA = [["Awa Koné"], [{"amount": 1}], "Awa Koné", 12500, None, True]


@pytest.mark.parametrize("data", ODD_DATA)
@pytest.mark.parametrize("kind", ["notification", "status", "initialize", "host", "staff", "expiry"])
@pytest.mark.parametrize("way", ["erase", "prune"])
def test_event_data_that_are_not_an_object_are_erased(data: Any, kind: str, way: str) -> None:
    payment = old()
    event = event_of(payment, kind, data=Value(data, JSONField()))
    others = [event_of(payment, data={"amount": "1", "name": "Awa"})]

    blanked = prune() if way == "prune" else services.erase_personal_data(email=payment.customer_email)

    assert blanked.payments == 1
    assert (data_of(event), data_of(others[0])) == ({}, {"amount": "1"})


def test_staff_event_with_unusual_data_is_erased() -> None:
    payment = old()
    event = event_of(payment, "staff", data={"fields": ["Awa"], "finding": ["Awa"], "findings": "Awa", "amount": 1})

    prune()

    assert data_of(event) == {"finding": "", "amount": 1}


def test_user_as_content_object_is_erased() -> None:
    payment = old(content_object=User.objects.create_user("awa"))

    prune()

    assert (stored(payment).content_type, stored(payment).object_id) == (None, None)


def test_remaining_payments_are_counted_per_batch(monkeypatch: pytest.MonkeyPatch, statements: Statements) -> None:
    monkeypatch.setattr(services.privacy, "BATCH_SIZE", 2)
    for status in ("pending", "failed", "pending", "failed", "failed"):
        make_payment(**PERSON, status=status)

    with statements:
        assert services.erase_personal_data(email=PERSON["customer_email"]) == services.Blanked(3, left=2)

    updates = [sql for sql in statements if "blanked_at" in sql and sql.startswith("UPDATE")]
    assert len(updates) == 3


# When


def test_recent_payments_are_not_pruned() -> None:
    make_payment(status="failed")
    Payment.objects.update(updated_at=timezone.now() - timedelta(days=400))

    assert prune() == services.Blanked()


def test_only_old_final_payments_are_pruned() -> None:
    hour = timedelta(hours=1)
    left = {
        "young": old(364),
        "pending": old(status="pending"),
        "changed": old(),
        "heard of": old(),
    }
    Payment.objects.filter(pk=left["changed"].pk).update(updated_at=timezone.now() - 364 * DAY)
    event_of(left["heard of"], created_at=timezone.now() - 364 * DAY)
    blanked = [old(366, status=status) for status in Payment.Status.values if status != "pending"]
    assert {*services.prunable_payments(timezone.now() - 365 * DAY)} == {*blanked}

    assert prune().payments == len(blanked) == 6

    assert {*Payment.objects.filter(blanked_at=None)} == {*left.values()}
    assert prune(364 - hour / DAY).payments == 3
    assert {*Payment.objects.filter(blanked_at=None)} == {left["pending"]}


def test_payment_in_checkout_is_not_pruned() -> None:
    payment = old(status="failed")
    Payment.objects.filter(pk=payment.pk).update(leased_until=timezone.now() + timedelta(seconds=20))

    assert prune().payments == 0
    assert services.erase_personal_data(email=payment.customer_email) == services.Blanked(left=1)

    Payment.objects.filter(pk=payment.pk).update(leased_until=timezone.now() - timedelta(seconds=1))
    assert prune().payments == 1


def test_erased_payment_is_not_erased_again(statements: Statements) -> None:
    payment = old()
    event_of(payment, data={"x": "Awa"})
    prune()
    before = texts_of(payment)

    with statements:
        assert prune() == services.Blanked()

    assert texts_of(payment) == before
    # Of the statements of the gateway, the uploads, and the payments.
    assert [statement.split()[0] for statement in statements] == ["SELECT"] * 3


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the others read a small table whole")
def test_payments_to_prune_are_found_by_index() -> None:
    rows = services.prunable_payments(timezone.now()).order_by("created_at", "pk")

    assert "paiementpro_created" in rows.explain()
    assert "TEMP B-TREE" not in rows.explain()


@pytest.mark.parametrize("batch_size", [1, 2, 5, 500])
def test_every_batch_size_prunes_everything(batch_size: int) -> None:
    moment = timezone.now() - 400 * DAY
    payments = [old() for _ in range(5)]
    Payment.objects.filter(pk__in=[payment.pk for payment in payments[1:4]]).update(created_at=moment)
    steps: list[int] = []

    assert prune(batch_size=batch_size, progress=steps.append).payments == 5

    assert sum(steps) == 5
    assert max(steps) <= batch_size
    assert prune().payments == 0


def test_many_events_of_one_payment_are_read_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services.privacy, "EVENTS_PAGE", 2)
    payment = old()
    events = [event_of(payment, data={"x": "Awa"}) for _ in range(5)]
    event_of(payment, data={"amount": "1"})  # nothing to blank

    assert prune().events == 5
    assert [data_of(event) for event in events] == [{}] * 5


# Afterwards


def test_late_success_settles_a_blanked_payment(notify: Notify, heard: Heard) -> None:
    payment = old(status="expired")
    prune()

    response = notify(payment, returnContext="Tante Awa")

    assert (response.status_code, response.content) == (200, b"OK")
    payment = stored(payment)
    assert (payment.status, payment.gateway_id) == ("succeeded", f"PAY-{payment.reference}")
    assert heard == [("payment_succeeded", payment)]
    # What has come with it is due once more, when it is old.
    assert payment.blanked_at is None
    assert prune().payments == 0
    age(payment, 400)
    assert prune().payments == 1
    assert PERSONAL.findall(texts_of(payment)) == []


@pytest.mark.parametrize(("fields", "status"), [({}, 200), ({"amount": ""}, 400)])
def test_late_duplicate_is_erased_by_the_next_run(notify: Notify, fields: dict[str, str], status: int) -> None:
    payment = old(settled_attempt=1)
    prune()

    assert notify(payment, returnContext="Tante Awa", **fields).status_code == status

    assert stored(payment).blanked_at is None
    assert prune().payments == 0  # it is of today
    age(payment, 400)
    assert prune() == services.Blanked(1, 1)
    assert PERSONAL.findall(texts_of(payment)) == []


def test_staff_can_act_on_a_page_opened_before_erasure() -> None:
    binta = User.objects.create_user("binta")
    payment = old()
    finding = flag(payment, "merchant_mismatch", "Awa != PP-F324")
    prune()

    services.review_payment(payment, binta, "Awa called")

    payment = stored(payment)
    assert not payment.needs_review
    assert payment.blanked_at is None
    assert payment.customer_email == ""
    # The note is personal data, and goes with the next run.
    finding.refresh_from_db()
    assert (finding.detail, finding.note) == ("", "Awa called")
    age(payment, 400)
    prune()
    finding.refresh_from_db()
    assert finding.note == ""


@pytest.mark.parametrize("ways", ["save", "update_fields", "bulk_update"])
def test_saved_stale_copy_is_erased_by_the_next_run(ways: str) -> None:
    payment = old()
    prune()

    # The shop's own process has read the payment before it was blanked, and writes the customer's data back.
    if ways == "save":
        payment.save()
    elif ways == "update_fields":
        payment.save(update_fields=["customer_email"])
    else:
        Payment.objects.bulk_update([payment], ["customer_email"])

    assert stored(payment).customer_email == PERSON["customer_email"]
    assert stored(payment).blanked_at is None
    age(payment, 400)
    assert prune().payments == 1
    assert PERSONAL.findall(texts_of(payment)) == []


def test_checkout_begun_before_erasure_sends_nothing(gateway: FakeGateway, settings: Any) -> None:
    settings.PAIEMENTPRO_SITE_URL = "https://shop.example"
    payment = old(status="failed")
    prune()

    with pytest.raises(ValidationError) as caught:
        services.initialize_payment(payment)

    assert "customer_email" in caught.value.message_dict
    assert gateway.page_requests == []
    # A shop that asks again for the payer's data can go on.
    for name in ("customer_email", "customer_first_name", "customer_last_name", "customer_phone", "description"):
        setattr(payment, name, getattr(make_payment(), name))
    payment.save()
    services.initialize_payment(payment)
    assert stored(payment).blanked_at is None


def test_blanked_payment_has_no_payment_page(client: Client) -> None:
    payment = old(status="failed")
    prune()

    assert client.get(payment.get_checkout_url()).status_code == 400
    page = client.get(payment.get_return_url())
    assert page.status_code == 200
    assert "<dt>For</dt>" not in page.content.decode()
    assert client.get(payment.get_status_url()).json()["status"] == "failed"


def test_reports_and_exports_agree_after_erasure(lived: Payment) -> None:
    age(lived, 400)
    day = stored(lived).settled_at.date()

    def books() -> tuple[Any, list[list[str]]]:
        book = day_book(day - DAY, day + DAY, currency="XOF")
        lines = b"".join(export_payments(Payment.objects.all())).decode("utf-8-sig").splitlines()
        return book.days, [line.split(",") for line in lines]

    days, [headers, before] = books()
    prune()
    days_after, [_headers, after] = books()

    assert days == days_after
    changed = {header for header, was, now in zip(headers, before, after, strict=True) if was != now}
    assert changed == {"Description", "First name", "Last name", "E-mail", "Phone"}


def test_back_office_shows_blanked_payments(lived: Payment) -> None:
    age(lived, 400)
    prune()
    owner = User.objects.create_superuser("owner")
    client = Client()
    client.force_login(owner)
    binta = User.objects.get(username="binta.dupont")

    page = client.get(reverse("admin:paiementpro_payment_change", args=[lived.pk])).content.decode()
    listed = client.get(reverse("admin:paiementpro_payment_changelist")).content.decode()
    act = client.get(reverse("admin:paiementpro_payment_review", args=[lived.pk])).content.decode()

    assert '<span class="pp-quiet">–</span>' in listed
    assert "Personal data erased" in page
    assert f"User {binta.pk} recorded a refund" in page
    assert "Notification: paid" in page
    assert "Paid twice" in page
    assert " ·  · " not in act
    for text in (page, listed, act):
        assert re.findall("awa|koné|tante", text, re.IGNORECASE) == []


@pytest.mark.parametrize("status", ["created", "failed"])
def test_erased_payment_cannot_be_paid(status: str) -> None:
    payment = old(status=status)
    client = Client()
    client.force_login(User.objects.create_superuser("owner"))
    url = reverse("admin:paiementpro_payment_change", args=[payment.pk])
    assert "The customer’s link" in client.get(url).content.decode()

    prune()

    page = client.get(url).content.decode()
    assert "The customer’s link" not in page
    assert "The customer must place a new order to pay." in page


def test_erased_customer_has_no_heading() -> None:
    payment = old()
    prune()
    Payment.objects.filter(pk=payment.pk).update(blanked_at=None)
    client = Client()
    client.force_login(User.objects.create_superuser("owner"))

    page = client.get(reverse("admin:paiementpro_payment_change", args=[payment.pk])).content.decode()

    assert not re.search(r"fieldset-heading[^>]*>\s*Customer", page)


# Beside others


def test_two_runs_at_once_blank_each_payment_once() -> None:
    payments = [old() for _ in range(12)]
    for payment in payments:
        event_of(payment, data={"x": "Awa"})

    runs = at_once(*[partial(prune, batch_size=2)] * 3)

    assert sum(run.payments for run in runs) == 12
    assert PERSONAL.findall(texts_of(*payments)) == []


def test_payment_settled_meanwhile_is_not_blanked(notify: Notify) -> None:
    payments = [old(status="failed", settled_attempt=1) for _ in range(2)]
    gate = Gate()
    with moments.at("UPDATE", "blanked_at", before=gate), meanwhile(prune) as run:
        gate.await_arrival()
        assert notify(payments[0]).status_code == 200
        gate.open()

        assert run.result(DEADLINE) == services.Blanked(payments=1, events=0, left=1)
    late, blanked = map(stored, payments)
    assert (late.status, late.customer_email, late.blanked_at) == ("succeeded", "Awa.Kone@example.com", None)
    assert blanked.customer_email == ""
    assert late.events.get().data["returnContext"] == '{"for":"Tante Awa"}'


def test_payment_blanked_meanwhile_is_settled(notify: Notify, heard: Heard) -> None:
    """The notification has read the payment before it was blanked."""
    payment = old(status="failed")
    gate = Gate()
    with (
        moments.at("UPDATE", "paiementpro_payment", "succeeded", before=gate),
        meanwhile(partial(notify, payment)) as told,
    ):
        gate.await_arrival()
        assert prune().payments == 1
        gate.open()
        assert told.result(DEADLINE).status_code == 200

    payment = stored(payment)
    assert (payment.status, payment.customer_email, payment.blanked_at) == ("succeeded", "", None)
    assert heard.names == ["payment_succeeded"]


START = """
import json, os, signal, sys
import django
from django.conf import settings
settings.DATABASES = json.loads(sys.argv[1])
django.setup()
from django.core.management import call_command
from tests.server.moments import at

updates = 0

def die_in_the_third_batch():
    global updates
    updates += 1
    if updates == 3:
        os.kill(os.getpid(), signal.SIGKILL)

with at("UPDATE", "paiementpro_paymentevent", after=die_in_the_third_batch):
    call_command("paiementpro_prune", older_than=365, batch_size=2)
"""


def test_killed_erasure_can_be_run_again() -> None:
    payments = [old() for _ in range(9)]
    for payment in payments:
        event_of(payment, data={"x": "Awa"})
    names = ["ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS"]
    database = {"default": {name: connection.settings_dict[name] for name in names}}

    run = subprocess.run([sys.executable, "-c", START, json.dumps(database)], cwd=ROOT, check=False, timeout=60)

    assert run.returncode == -signal.SIGKILL
    done = {payment.pk for payment in map(stored, payments) if payment.blanked_at}
    assert len(done) == 4
    # A payment is blanked with its events, or not at all.
    assert {event.payment_id for event in PaymentEvent.objects.filter(data={})} == done
    assert prune(batch_size=2) == services.Blanked(payments=5, events=5)
    assert PERSONAL.findall(texts_of(*payments)) == []


def test_interrupted_erasure_logs_what_was_done(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        old()

    def stop(payments: int) -> None:
        raise KeyboardInterrupt

    caplog.set_level("INFO", log.logger.name)
    with pytest.raises(KeyboardInterrupt):
        prune(batch_size=2, progress=stop)

    [message] = [record.getMessage() for record in caplog.records]
    assert message.startswith("personal_data_blanked outcome=accepted payments=2 events=0 ")
    assert Payment.objects.filter(blanked_at=None).count() == 1


# A person's payments


#: One number, as people type it or paste it from a chat, a sheet or a web page.
SPELLINGS = [
    "0707123456",
    "07 07 12 34 56",
    "+225 07-07-12-34-56",
    "00225.0707.123456",
    "225 0707123456",
    "(+225) 07 07 12 34 56",
    "07\u202f07\u00a012 34 56",
    "\u200e+225 07 07 12 34 56\u200f",
    "\u202a+2250707123456\u202c",
    "07\u200b07\u200b12\u200b34\u200b56",
    "07\u00ad07123456\ufeff",
    "07\u201107\u201112\u201134\u201156",
    "07\u201307\u201312\u201334\u201356",
    "07\u200707\u200712\u200734\u200756",
    "\u0660\u0667\u0660\u0667\u0661\u0662\u0663\u0664\u0665\u0666",
    "\u0660\u0667 \u0660\u0667 \u0661\u0662 \u0663\u0664 \u0665\u0666",
    "\uff10\uff17\uff10\uff17\uff11\uff12\uff13\uff14\uff15\uff16",
]


@pytest.mark.parametrize(
    "person",
    [
        {"email": "awa.kone@example.com"},
        {"email": " AWA.KONE@EXAMPLE.COM "},
        {"email": "awa.kone@\u200bexample.com\ufeff"},
        {"phone": "0707123456"},
        {"phone": "07 07 12 34 56"},
        {"phone": "07-07-12-34-56"},
        {"phone": "(07) 07.12/34 56"},
        {"phone": "+2250707123456"},
        {"phone": "00225 07 07 12 34 56"},
        {"phone": "\u202a+225 07\u201107\u201112\u201134\u201156\u202c"},
        {"phone": "\u0660\u0667\u0660\u0667\u0661\u0662\u0663\u0664\u0665\u0666"},
        {"email": "awa.kone@example.com", "phone": "0707123456"},
        {"email": "stranger@example.com", "phone": "0707123456"},
    ],
)
def test_person_is_found_in_any_spelling(person: dict[str, str]) -> None:
    payments = [make_payment(**PERSON | {"status": "failed", "customer_phone": phone}) for phone in SPELLINGS]
    others = [
        make_payment(customer_email="awa.kone@example.com.ci", customer_phone="0505050505"),
        make_payment(customer_email="akone@example.com", customer_phone="05 07 12 34 56"),  # ends alike
        make_payment(customer_email="", customer_phone=""),
    ]

    assert services.count_personal_data(**person) == services.Blanked(len(SPELLINGS))
    assert services.erase_personal_data(**person) == services.Blanked(len(SPELLINGS))

    assert PERSONAL.findall(texts_of(*payments)) == []
    assert [stored(other).blanked_at for other in others] == [None] * 3


def test_accent_distinguishes_people() -> None:
    payment, other = make_payment(customer_email="andre@example.com"), make_payment(customer_email="andré@example.com")

    assert services.erase_personal_data(email="andre@example.com").payments == 1

    assert stored(payment).blanked_at
    assert stored(other).blanked_at is None


@pytest.mark.parametrize(
    "written", ["Élodie@Example.com", " élodie@example.com ", "E\u0301LODIE@EXAMPLE.COM", "élodie@example.com\u200b"]
)
@pytest.mark.parametrize("asked", ["élodie@example.com", " ÉLODIE@example.com", "e\u0301lodie@example.com"])
def test_address_is_found_in_any_case_and_spelling(written: str, asked: str) -> None:
    payment, other = make_payment(customer_email=written), make_payment(customer_email="elodie@example.com")

    assert services.erase_personal_data(email=asked).payments == 1

    assert [stored(each).has_customer for each in (payment, other)] == [False, True]


def test_same_digits_in_another_country_are_another_person() -> None:
    mali = make_payment(customer_phone="+223 70 12 34 56")
    burkina = make_payment(customer_phone="+226 70 12 34 56")
    at_home = make_payment(customer_phone="70 12 34 56", channel="OMML")
    chosen_later = make_payment(customer_phone="70 12 34 56", gateway_channel="OMML")
    without_plus = make_payment(customer_phone="223 70 12 34 56", channel="OMML")
    not_a_number = make_payment(customer_phone="x70123456")

    assert services.erase_personal_data(phone="+223 70 12 34 56").payments == 4

    payments = (mali, burkina, at_home, chosen_later, without_plus, not_a_number)
    assert [stored(payment).has_customer for payment in payments] == [False, True, False, False, False, True]


@pytest.mark.parametrize("phone", ["+229 01 97 12 34 56", "+229 97 12 34 56", "00229 97123456"])
def test_number_of_benin_leaves_the_ivorian_with_the_same_digits(phone: str) -> None:
    ivorians = [
        make_payment(customer_phone="01 97 12 34 56", channel="FLOOZ"),
        make_payment(customer_phone="01 97 12 34 56", gateway_channel="FLOOZ"),
        make_payment(customer_phone="01 97 12 34 56"),
        make_payment(customer_phone="+225 01 97 12 34 56", channel="FLOOZBJ"),
    ]
    beninese = [
        make_payment(customer_phone="01 97 12 34 56", channel="FLOOZBJ"),
        make_payment(customer_phone="97 12 34 56", channel="MOMOBJ"),
        make_payment(customer_phone="97 12 34 56", gateway_channel="MOMOBJ"),
        make_payment(customer_phone="+229 97 12 34 56", channel="FLOOZ"),
        make_payment(customer_phone="+229 01 97 12 34 56"),
    ]

    assert services.count_personal_data(phone=phone) == services.Blanked(5)
    assert services.erase_personal_data(phone=phone) == services.Blanked(5)

    assert [stored(payment).has_customer for payment in ivorians] == [True] * 4
    assert [stored(payment).has_customer for payment in beninese] == [False] * 5
    assert services.erase_personal_data(phone="01 97 12 34 56") == services.Blanked(4)


def test_newly_known_channel_identifies_the_number(notify: Notify) -> None:
    payment = make_payment(customer_phone="01 97 12 34 56", status="pending", attempt=1)
    notify(payment, channel="FLOOZBJ")
    assert stored(payment).gateway_channel == "FLOOZBJ"

    assert services.erase_personal_data(phone="01 97 12 34 56").payments == 0
    assert services.erase_personal_data(phone="+229 01 97 12 34 56").payments == 1


def test_number_that_was_corrected_is_found_by_the_new_one_alone() -> None:
    payment = make_payment(customer_phone="0505050505")
    payment.customer_phone = "0707123456"
    payment.save()

    assert services.erase_personal_data(phone="0505050505").payments == 0
    assert services.erase_personal_data(phone="0707123456").payments == 1


@pytest.mark.parametrize("phone", ["90 12 34 56/57", "0707123456 / 0505050505", "+225 0707123456 +225 0505050505"])
def test_two_numbers_are_not_one_person(phone: str) -> None:
    with pytest.raises(ValueError, match=r"[Tt]elephone number has one \+|one telephone number|not a telephone number"):
        services.erase_personal_data(phone=phone)


def test_person_is_found_by_email_or_phone() -> None:
    make_payment(customer_email="awa.kone@example.com", customer_phone="0505050505")
    make_payment(customer_email="other@example.com", customer_phone="0707123456")
    make_payment(customer_email="xxxx", customer_phone="0101010101")

    assert services.count_personal_data(phone="0707123456") == services.Blanked(1)
    assert services.count_personal_data(email="awa.kone@example.com", phone="0707123456") == services.Blanked(2)
    assert services.erase_personal_data(email="awa.kone@example.com", phone="0707123456") == services.Blanked(2)


def test_pending_payment_is_not_erased() -> None:
    payment, *others = (make_payment(**PERSON, status=status) for status in ("created", "pending", "pending"))
    pending = others[0]

    assert services.count_personal_data(email=PERSON["customer_email"]) == services.Blanked(1, left=2)
    assert services.erase_personal_data(email=PERSON["customer_email"]) == services.Blanked(1, left=2)

    assert stored(payment).customer_email == ""
    assert stored(pending).customer_email == "Awa.Kone@example.com"


@pytest.mark.parametrize(
    ("person", "message"),
    [
        ({}, "^an e-mail address or a phone number"),
        ({"email": " "}, "^an e-mail address or a phone number"),
        ({"email": "\u200b"}, "^an e-mail address or a phone number"),
        ({"phone": " "}, "^an e-mail address or a phone number"),
        ({"phone": "awa"}, "^A telephone number has only digits"),
        ({"email": "a@b.ci", "phone": "1"}, "^This is not a telephone number"),
    ],
)
def test_erasure_without_a_person_is_an_error(person: dict[str, str], message: str) -> None:
    make_payment(customer_email="", customer_phone="")

    with pytest.raises(ValueError, match=message):
        services.erase_personal_data(**person)

    assert not Payment.objects.exclude(blanked_at=None).exists()


# The commands


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_prune_reports_what_it_did() -> None:
    event_of(old(), data={"x": "Awa"})
    old()

    assert run("paiementpro_prune", "--older-than", "365", "--dry-run") == "Payments to blank: 2.\n"
    assert json.loads(run("paiementpro_prune", "--older-than", "365", "--dry-run", "--json")) == {"payments": 2}
    assert Payment.objects.filter(blanked_at=None).count() == 2
    assert run("paiementpro_prune", "--older-than", "365", "--batch-size", "1") == "Payments blanked: 2, events: 1.\n"
    done = run("paiementpro_prune", "--older-than", "365", "--json")
    assert json.loads(done) == {"payments": 0, "events": 0}


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "x", "", "36501", "\u0663"])
def test_prune_takes_whole_days(days: str) -> None:
    with pytest.raises(CommandError, match="whole number from 1 to 36500"):
        run("paiementpro_prune", f"--older-than={days}")


def test_prune_does_not_choose_the_age() -> None:
    with pytest.raises(CommandError, match="--older-than"):
        run("paiementpro_prune")


def test_erase_requires_an_email_or_phone() -> None:
    for arguments in ([], ["--phone", "12"]):
        with pytest.raises(CommandError, match="Enter the person’s"):
            run("paiementpro_erase", "--no-input", *arguments)


def test_erase_prints_only_counts(caplog: pytest.LogCaptureFixture) -> None:
    event_of(make_payment(**PERSON), data={"x": "Awa"})
    caplog.set_level("INFO")

    said = run("paiementpro_erase", "--email", "awa.kone@example.com", "--no-input")

    assert said == ("Payments to blank: 1. Skipped, waiting for the customer: 0.\nPayments blanked: 1, events: 1.\n")
    assert PERSONAL.findall(said + "".join(str(vars(record)) for record in caplog.records)) == []
    assert "Payments to blank: 0." in run("paiementpro_erase", "--email", "awa.kone@example.com", "--no-input")


def test_erase_exit_code_shows_remaining_payments() -> None:
    payment, pending = make_payment(**PERSON), make_payment(**PERSON, status="pending")

    for _ in range(2):
        with pytest.raises(CommandError, match="1 payment is waiting for the customer") as caught:
            run("paiementpro_erase", "--phone", "0707123456", "--no-input")
        assert caught.value.returncode == 3

    assert [stored(payment).has_customer, stored(pending).has_customer] == [False, True]


def test_erase_names_the_same_digits_in_other_countries() -> None:
    benin = [make_payment(customer_phone="01 97 12 34 56", channel="FLOOZBJ", customer_email=f"{n}@b.bj") for n in "ab"]
    make_payment(customer_phone="+228 01 97 12 34 56", status="pending")
    make_payment(customer_phone="01 97 12 34 57", channel="FLOOZBJ")

    with pytest.raises(CommandError) as caught:
        run("paiementpro_erase", "--phone", "01 97 12 34 56", "--no-input")

    assert str(caught.value) == (
        "No payment has the number +2250197123456, but others have the same digits with another country code. If one "
        "of these is the person’s number, run this again with it: +2280197123456 (1), +2290197123456 (2)."
    )
    assert caught.value.returncode == 1
    assert all(stored(payment).has_customer for payment in benin)
    # What was found by the e-mail address is erased all the same.
    with pytest.raises(CommandError, match=r"\+2290197123456 \(1\)"):
        run("paiementpro_erase", "--phone", "01 97 12 34 56", "--email", "a@b.bj", "--no-input")
    assert [stored(payment).has_customer for payment in benin] == [False, True]
    assert "blanked: 1" in run("paiementpro_erase", "--phone", "+229 01 97 12 34 56", "--no-input")


def test_erase_names_no_other_country_where_the_number_is_found() -> None:
    ivorian = make_payment(customer_phone="01 97 12 34 56", channel="FLOOZ")
    beninese = make_payment(customer_phone="01 97 12 34 56", channel="FLOOZBJ")

    assert "blanked: 1" in run("paiementpro_erase", "--phone", "01 97 12 34 56", "--no-input")

    assert [stored(payment).has_customer for payment in (ivorian, beninese)] == [False, True]


def test_erase_names_no_other_country_where_the_code_is_given() -> None:
    make_payment(customer_phone="01 97 12 34 56", channel="FLOOZBJ")

    said = run("paiementpro_erase", "--phone", "+225 01 97 12 34 56", "--no-input")

    assert said == "Payments to blank: 0. Skipped, waiting for the customer: 0.\n"


def test_erase_reports_remaining_and_unknown_numbers() -> None:
    make_payment(customer_email="awa@example.com", customer_phone="", status="pending")
    make_payment(customer_phone="01 97 12 34 56", channel="FLOOZBJ", customer_email="b@example.com")

    with pytest.raises(CommandError, match=r"1 payment is waiting .* No payment has the number \+225") as caught:
        run("paiementpro_erase", "--email", "awa@example.com", "--phone", "01 97 12 34 56", "--no-input")

    assert caught.value.returncode == 3


def test_without_a_terminal_nothing_is_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    payment = make_payment(**PERSON)
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))

    with pytest.raises(CommandError, match="--no-input"):
        run("paiementpro_erase", "--email", "awa.kone@example.com")

    assert stored(payment).has_customer


@contextmanager
def typing(monkeypatch: pytest.MonkeyPatch, answer: str) -> Iterator[None]:
    """Sit at a terminal, and type an answer."""
    keyboard, terminal = pty.openpty()
    os.write(keyboard, answer.encode())
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield
    os.close(keyboard)


@pytest.mark.parametrize(("answer", "is_erased"), [("yes\n", True), ("Yes \n", True), ("no\n", False), ("\n", False)])
def test_erase_asks_for_confirmation_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, answer: str, is_erased: bool
) -> None:
    payment = make_payment(**PERSON)

    with typing(monkeypatch, answer):
        if is_erased:
            run("paiementpro_erase", "--email", "awa.kone@example.com")
        else:
            with pytest.raises(CommandError, match="Nothing was blanked"):
                run("paiementpro_erase", "--email", "awa.kone@example.com")

    assert "cannot be undone" in capsys.readouterr().out
    assert stored(payment).has_customer is not is_erased


# The documentation


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize(
    "model",
    [
        *(Payment, PaymentEvent, Finding, Refund, SearchKey, Statement, StatementLine, StatementPart, StatementProof),
        *(PaymentLink, LinkPayment, Receipt, Delivery),
    ],
)
def test_documentation_names_every_field(language: str, model: Any) -> None:
    text = (ROOT / "docs" / language / "explanation" / "privacy.rst").read_text(encoding="utf-8")

    names = [field.name for field in model._meta.concrete_fields]
    assert [name for name in names if f"``{name}``" not in text] == []
