"""Mails of receipts: once, with the receipt in them, and never at the expense of a notification."""

import re
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from threading import Event
from typing import Any

import django
import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.receipts import outgoing
from django_paiementpro.receipts.models import Receipt
from django_paiementpro.signals import payment_succeeded
from django_paiementpro.testing import make_payment, pay
from django_paiementpro.testing.notifications import notification_fields
from tests.receipts.conftest import SHOP, paid, plain, refund
from tests.server import wire
from tests.server.site import SmallSite, running
from tests.server.threads import wait_until

ONE_MAIL = 1
REFUSAL = "awa@example.com: greylisted"


class Broken(BaseEmailBackend):
    """A mail server that refuses."""

    def send_messages(self, messages: Any) -> int:
        raise OSError(REFUSAL)


def use(settings: Any, backend: str, **options: Any) -> None:
    if django.VERSION < (6, 1):
        settings.EMAIL_BACKEND = backend
        for name, value in options.items():
            setattr(settings, f"EMAIL_{name.upper()}", value)
    else:  # pragma: no cover  coverage is measured with an older Django
        settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": options}}


def break_mail(settings: Any) -> None:
    use(settings, f"{__name__}.Broken")


def owed(receipt: Receipt) -> tuple[bool, int]:
    receipt.refresh_from_db()
    return receipt.mail_due_at is not None, receipt.mail_attempts


def html_of(message: EmailMessage) -> str:
    [(html, kind)] = message.alternatives
    assert kind == "text/html"
    return str(html)


def let_time_pass(**changes: Any) -> None:
    Receipt.objects.update(mail_due_at=timezone.now() - timedelta(seconds=1), **changes)


def test_receipt_is_mailed_once_with_what_it_says(mailed: list[Any]) -> None:
    receipt = paid()
    services.reconcile()

    [message] = mailed
    assert message.to == ["awa@example.com"]
    assert message.subject == f"Receipt of payment no. {receipt.number} · Chez Awa"
    assert message.reply_to == [SHOP["email"]]
    for text in (message.body, html_of(message)):
        assert receipt.number in text
        assert "12\u202f500\u00a0F\u00a0CFA" in text
        assert "Twelve thousand five hundred CFA francs" in text
        assert f"https://testserver{receipt.get_absolute_url()}" in text
        assert "CI-ABJ-2020-B-123" in text
        assert "not a normalised invoice" in text
    assert receipt.mailed_at
    assert owed(receipt) == (False, ONE_MAIL)


def test_mail_is_off_by_default(receipt: Receipt, mailoutbox: list[Any]) -> None:
    services.reconcile()
    assert mailoutbox == []
    assert receipt.mail_due_at is None


def test_refund_is_mailed_too(mailed: list[Any]) -> None:
    receipt = refund(paid().payment, 500)
    assert [message.subject.partition(" no.")[0] for message in mailed] == ["Receipt of payment", "Receipt of refund"]
    assert str(receipt.original) in mailed[1].body


def test_mail_is_in_the_language_of_the_site(mailed: list[Any], settings: Any) -> None:
    settings.LANGUAGE_CODE = "fr"
    receipt = paid()
    [message] = mailed
    assert plain(message.subject) == f"Reçu de paiement n° {receipt.number} · Chez Awa"
    assert "Douze mille cinq cents francs CFA" in message.body
    assert "n’est pas une facture normalisée" in message.body
    assert '<html lang="fr">' in html_of(message)


def test_without_the_address_of_the_site_there_is_no_link(mailed: list[Any], settings: Any) -> None:
    settings.PAIEMENTPRO_SITE_URL = None
    paid()
    assert "http" not in mailed[0].body
    assert "Twelve thousand" in mailed[0].body


def test_without_a_shop_the_mail_is_whole(mailed: list[Any], settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = {}
    receipt = paid()
    assert mailed[0].subject == f"Receipt of payment no. {receipt.number}"
    assert mailed[0].reply_to == []


@pytest.mark.parametrize("address", ["", "awa", "awa@example.com\nBcc: all@example.com"])
def test_no_mail_without_a_valid_address(mailed: list[Any], address: str) -> None:
    receipt = paid(customer_email=address)
    assert mailed == []
    assert owed(receipt)[0] is False
    assert receipt.mailed_at is None


def test_no_header_can_be_injected(mailed: list[Any], settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = {**SHOP, "name": "Chez Awa\nBcc: all@example.com"}
    paid(customer_first_name="Awa\r\nBcc: all@example.com", description="Order\nBcc: all@example.com")
    [message] = mailed
    assert message.recipients() == ["awa@example.com"]
    assert re.search("^Bcc:", str(message.message()).partition("\n\n")[0], re.MULTILINE) is None


def test_html_in_a_mail_is_inert(mailed: list[Any]) -> None:
    paid(description="<script>alert(1)</script> & co", customer_last_name="<b>Koné</b>")
    html = html_of(mailed[0])
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co" in html
    assert "<script>alert(1)</script> & co" in mailed[0].body


def test_failed_mail_is_repeated_with_growing_pauses_and_given_up(
    mailed: list[Any], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    break_mail(settings)
    receipt = paid()
    assert owed(receipt) == (True, 1)

    pauses = []
    for attempt in range(2, 7):
        assert receipt.mail_due_at
        pauses.append(receipt.mail_due_at - timezone.now())
        assert services.reconcile().extensions["receipts_mailed"] == 0
        assert owed(receipt) == (True, attempt - 1)
        let_time_pass()
        services.reconcile()
        assert owed(receipt) == (attempt < 6, attempt)

    assert pauses == sorted(pauses)
    assert pauses[-1] > timedelta(hours=23)
    names = [record.getMessage().split()[0] for record in caplog.records if record.levelname != "INFO"]
    assert names == ["receipt_mail_failed"] * 5 + ["receipt_mail_given_up"]
    assert mailed == []


def test_reconciliation_mails_what_could_not_be_mailed(mailed: list[Any], settings: Any, admins: None) -> None:
    working = settings.MAILERS if django.VERSION >= (6, 1) else settings.EMAIL_BACKEND
    break_mail(settings)
    receipt = paid()
    setattr(settings, "MAILERS" if django.VERSION >= (6, 1) else "EMAIL_BACKEND", working)
    let_time_pass()
    assert services.reconcile().extensions["receipts_mailed"] == 1
    assert len(mailed) == ONE_MAIL
    assert owed(receipt) == (False, 2)


def test_mail_under_way_in_another_process_is_not_repeated(mailed: list[Any]) -> None:
    receipt = paid()
    Receipt.objects.update(mail_due_at=timezone.now() + outgoing.MAIL.lease)
    services.reconcile()
    assert len(mailed) == ONE_MAIL

    Receipt.objects.update(mail_due_at=timezone.now())
    stale = outgoing.MAIL._ready(receipt.pk)
    assert stale
    Receipt.objects.update(mail_due_at=timezone.now() + outgoing.MAIL.lease)
    assert outgoing.MAIL.do(stale) is None
    assert len(mailed) == ONE_MAIL


def test_date_from_a_clock_that_was_ahead_does_not_hold_a_mail_up(mailed: list[Any]) -> None:
    paid()
    Receipt.objects.update(mail_due_at=timezone.now() + timedelta(days=400))
    services.reconcile()
    assert len(mailed) == 2


def test_run_ends_after_a_few_failures_in_a_row(mailed: list[Any], settings: Any) -> None:
    receipts = [paid() for _ in range(5)]
    break_mail(settings)
    let_time_pass()
    services.reconcile()
    assert Receipt.objects.filter(mail_attempts=2).count() == outgoing.FAILURES_IN_A_ROW
    services.reconcile()
    assert Receipt.objects.filter(mail_attempts=2).count() == len(receipts)


def test_stopped_run_mails_nothing(mailed: list[Any]) -> None:
    paid()
    let_time_pass()
    stop = Event()
    stop.set()
    assert outgoing.MAIL.do_all(stop) == 0
    assert len(mailed) == ONE_MAIL


def test_erased_address_is_not_written_to(mailed: list[Any], settings: Any) -> None:
    break_mail(settings)
    receipt = paid()
    services.erase_personal_data(email="awa@example.com")
    assert owed(receipt)[0] is False

    let_time_pass()
    services.reconcile()
    assert mailed == []
    assert owed(receipt)[0] is False


@pytest.mark.django_db(transaction=True)
def test_mail_follows_the_response(mailed: list[Any]) -> None:
    seen = []

    def look(**kwargs: Any) -> None:
        seen.append((Receipt.objects.count(), len(mailed)))

    payment_succeeded.connect(look, dispatch_uid="shop.look")
    pay(make_payment(status="pending", attempt=1))
    assert seen == [(1, 0)]
    assert len(mailed) == ONE_MAIL


@pytest.fixture
def silent_server() -> Iterator[int]:
    """A mail server that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


@pytest.mark.usefixtures("alone")
@pytest.mark.django_db(transaction=True)
def test_mail_server_that_hangs_holds_up_one_thread_and_no_notification(settings: Any, silent_server: int) -> None:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    settings.PAIEMENTPRO_RECEIPT_EMAIL = True
    smtp = "django.core.mail.backends.smtp.EmailBackend"
    use(settings, smtp, host="127.0.0.1", port=silent_server, timeout=5)
    payments = [make_payment(status="pending", attempt=1) for _ in range(8)]

    with running(SmallSite(2)) as site:
        started_at = time.monotonic()
        for payment in payments:
            notify = partial(wire.notify, site.url + payment.get_notification_url(), notification_fields(payment))
            assert notify() == (200, None, b"OK")
        assert time.monotonic() - started_at < 5
        wait_until(lambda: Receipt.objects.filter(mail_attempts=1).count() == 1)

    assert Receipt.objects.count() == len(payments)
    assert Receipt.objects.filter(mail_attempts=1).count() == 1
    assert Receipt.objects.filter(mail_attempts=0, mail_due_at__lte=timezone.now()).count() == len(payments) - 1
