"""Documents of a tax administration, from a double of its platform over HTTP."""

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import requests
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.receipts import FiscalDocument, outgoing
from django_paiementpro.receipts.models import Receipt
from django_paiementpro.testing import make_payment
from django_paiementpro.testing.notifications import notification_fields
from tests.receipts.conftest import Platform, page_of, paid, pdf_of, refund
from tests.server import wire
from tests.server.site import Site, running
from tests.server.threads import Gate, at_once, meanwhile

#: What the issuer below answers or raises instead.
instead: list[Any] = []
gates: list[Gate] = []


def hold_issuer() -> Gate:
    """Hold the first call of the issuer below."""
    gates[:] = [Gate()]
    return gates[0]


def issuer(receipt: Receipt) -> Any:
    """Ask the platform whose URL is in the seller's name, as a host's issuer would."""
    if instead:
        answer = instead.pop()
        if isinstance(answer, Exception):
            raise answer
        return answer
    base = receipt.seller["name"]
    if receipt.original is None:
        body = {"number": receipt.number, "amount": receipt.amount}
        response = requests.post(f"{base}/invoices", json=body, timeout=5)
    else:
        first = receipt.original.fiscal_document
        assert first
        response = requests.post(
            f"{base}/invoices/{first.raw['id']}/refund", json={"amount": receipt.amount}, timeout=5
        )
    response.raise_for_status()
    answer = response.json()
    return FiscalDocument(answer["reference"], answer["token"], raw={"id": answer["id"]})


@pytest.fixture(autouse=True)
def fiscal(settings: Any, platform: Platform) -> Platform:
    instead.clear()
    settings.PAIEMENTPRO_FISCAL_ISSUER = f"{__name__}.issuer"
    settings.PAIEMENTPRO_SHOP = {"name": platform.url}
    return platform


def reconcile() -> int:
    """Run a reconciliation once the pauses are over, and return how many documents it got."""
    owed = Receipt.objects.filter(fiscal_due_at__isnull=False)
    owed.update(fiscal_due_at=timezone.now() - timedelta(seconds=1))
    return services.reconcile().extensions["fiscal_documents"]


@pytest.mark.django_db
def test_receipt_gets_a_document_and_prints_it(fiscal: Platform) -> None:
    receipt = paid()
    assert receipt.fiscal_document == FiscalDocument("FNE-1", "https://tax.example.com/v/1", raw={"id": "inv-1"})
    assert (receipt.fiscal_due_at, receipt.fiscal_attempts) == (None, 1)
    assert receipt.fiscal_issued_at
    for text in (page_of(receipt), pdf_of(receipt)):
        assert "FNE-1" in text
        assert "https://tax.example.com/v/1" in text
        assert "Scan to verify the fiscal document" in text
    assert page_of(receipt).count("<svg") == 2
    assert fiscal.asked == [("/invoices", {"number": receipt.number, "amount": 12500})]


@pytest.mark.django_db
def test_document_is_asked_for_once(fiscal: Platform) -> None:
    receipt = paid()
    assert reconcile() == 0
    Receipt.objects.update(fiscal_due_at=timezone.now())  # as a clock that was set back may have it
    assert reconcile() == 1
    assert len(fiscal.asked) == 1
    receipt.refresh_from_db()
    assert receipt.fiscal_reference == "FNE-1"


@pytest.mark.django_db
def test_refund_uses_the_document_of_its_payment(fiscal: Platform) -> None:
    receipt = paid()
    paper = refund(receipt.payment, 500)
    assert fiscal.asked[1:] == [("/invoices/inv-1/refund", {"amount": 500})]
    assert paper.fiscal_reference == "FNE-2"


@pytest.mark.django_db
def test_refund_waits_until_its_payment_has_a_document(fiscal: Platform) -> None:
    fiscal.status = 503
    receipt = paid()
    paper = refund(receipt.payment, 500)
    assert len(fiscal.asked) == 1
    assert paper.fiscal_attempts == 0

    fiscal.status = 200
    assert reconcile() + reconcile() == 2
    assert [path for path, _sent in fiscal.asked[1:]] == ["/invoices", "/invoices/inv-2/refund"]


@pytest.mark.django_db
@pytest.mark.parametrize("answer", [ConnectionError("awa@example.com"), None, "FNE-1", {"reference": "FNE-1"}])
def test_whatever_the_issuer_does_wrong_is_logged_and_retried(caplog: pytest.LogCaptureFixture, answer: Any) -> None:
    instead.append(answer)
    receipt = paid()
    assert receipt.payment.status == "succeeded"
    assert (receipt.fiscal_document, receipt.fiscal_attempts) == (None, 1)
    assert "receipt_fiscal_failed" in caplog.text

    assert reconcile() == 1
    receipt.refresh_from_db()
    assert receipt.fiscal_reference == "FNE-1"


@pytest.mark.django_db
def test_document_is_never_given_up(fiscal: Platform) -> None:
    fiscal.status = 500
    receipt = paid()
    for attempts in range(2, 12):
        assert reconcile() == 0
        receipt.refresh_from_db()
        assert receipt.fiscal_attempts == attempts
        assert receipt.fiscal_due_at
    assert receipt.fiscal_due_at - timezone.now() < timedelta(hours=3, minutes=1)


@pytest.mark.django_db
def test_issuer_that_was_switched_off_leaves_nothing_owed(settings: Any, fiscal: Platform) -> None:
    fiscal.status = 500
    receipt = paid()
    settings.PAIEMENTPRO_FISCAL_ISSUER = None
    assert reconcile() == 1
    receipt.refresh_from_db()
    assert (receipt.fiscal_due_at, receipt.fiscal_document) == (None, None)
    assert paid().fiscal_due_at is None


@pytest.mark.django_db
def test_issuer_that_cannot_be_imported_keeps_no_receipt_back(settings: Any) -> None:
    path, settings.PAIEMENTPRO_FISCAL_ISSUER = settings.PAIEMENTPRO_FISCAL_ISSUER, "shop.nothing"
    receipt = paid()
    assert receipt.fiscal_due_at
    settings.PAIEMENTPRO_FISCAL_ISSUER = path
    assert reconcile() == 1


@pytest.mark.django_db
def test_document_that_comes_after_another_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    receipt = paid()
    Receipt.objects.update(fiscal_due_at=timezone.now(), fiscal_reference="")
    slow = outgoing.FISCAL._ready(receipt.pk)
    assert slow
    # Its lease runs out while the platform answers, and another process is quicker.
    instead.append(FiscalDocument("FNE-late"))
    perform = outgoing.FISCAL.perform

    def late(each: Receipt) -> Any:
        changes = perform(each)
        Receipt.objects.update(fiscal_reference="FNE-quick", fiscal_due_at=None)
        return changes

    object.__setattr__(outgoing.FISCAL, "perform", late)
    try:
        outgoing.FISCAL.do(slow)
    finally:
        object.__setattr__(outgoing.FISCAL, "perform", perform)
    receipt.refresh_from_db()
    assert receipt.fiscal_reference == "FNE-quick"
    assert "receipt_fiscal_twice" in caplog.text


@pytest.mark.django_db
def test_stopped_run_asks_for_nothing(fiscal: Platform) -> None:
    fiscal.status = 500
    paid()
    Receipt.objects.update(fiscal_due_at=timezone.now())
    stop = threading.Event()
    stop.set()
    assert outgoing.FISCAL.do_all(stop) == 0
    assert len(fiscal.asked) == 1


def held_issuer(receipt: Receipt) -> FiscalDocument:
    gates[0]()
    return FiscalDocument(f"FNE-{receipt.number}")


@pytest.mark.usefixtures("alone")
@pytest.mark.django_db(transaction=True)
def test_issuer_that_hangs_holds_up_no_notification(settings: Any) -> None:
    gate = hold_issuer()
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    settings.PAIEMENTPRO_FISCAL_ISSUER = f"{__name__}.held_issuer"
    payments = [make_payment(status="pending", attempt=1) for _ in range(3)]

    with running(Site()) as site:
        for payment in payments:
            answer = wire.notify(site.url + payment.get_notification_url(), notification_fields(payment))
            assert answer.status == 200
        gate.await_arrival()
        # The issuer runs in no transaction: the receipt is there, and its row is free.
        assert Receipt.objects.count() == 3
        assert Receipt.objects.update(customer_name="Awa") == 3
        gate.open()

    # The thread that was held has done them all.
    assert Receipt.objects.exclude(fiscal_reference="").count() == 3


@pytest.mark.usefixtures("alone")
@pytest.mark.django_db(transaction=True)
def test_two_processes_at_once_ask_for_one_document(fiscal: Platform) -> None:
    fiscal.status = 500
    receipts = [paid() for _ in range(3)]
    fiscal.status = 200
    fiscal.asked.clear()
    Receipt.objects.update(fiscal_due_at=timezone.now() - timedelta(seconds=1))

    assert sum(at_once(*[partial(outgoing.FISCAL.do_all, threading.Event())] * 4)) == 3
    assert sorted(sent["number"] for _path, sent in fiscal.asked) == sorted(map(str, receipts))


@pytest.mark.usefixtures("alone")
@pytest.mark.django_db(transaction=True)
def test_document_under_way_is_not_asked_for_by_another_run(settings: Any, fiscal: Platform) -> None:
    gate = hold_issuer()
    fiscal.status = 500
    paid()
    settings.PAIEMENTPRO_FISCAL_ISSUER = f"{__name__}.held_issuer"
    Receipt.objects.update(fiscal_due_at=timezone.now() - timedelta(seconds=1))
    run = partial(outgoing.FISCAL.do_all, threading.Event())
    with meanwhile(run) as first:
        gate.await_arrival()
        assert run() == 0
        gate.open()
    assert first.result() == 1


@pytest.mark.parametrize(
    "values",
    [
        {"reference": ""},
        {"reference": "x" * 256},
        {"reference": 7},
        {"url": None},
        {"url": "javascript:alert(1)"},
        {"url": "https://" + "x" * 2000},
        {"raw": object()},
        {"raw": float("nan")},
    ],
)
def test_document_that_cannot_be_stored_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="fiscal document"):
        FiscalDocument(**{"reference": "FNE-1", **values})
