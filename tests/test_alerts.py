"""The mail to the shop's staff."""

import io
import smtplib
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.core.signals import request_finished
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.alerts import mail as mail_module
from django_paiementpro.alerts import sending, watch
from django_paiementpro.alerts.conditions import find_conditions
from django_paiementpro.enums import Reason
from django_paiementpro.models import Alert, Finding, Observation, Payment, ReconciliationRun, Refund, Verification
from django_paiementpro.testing import make_payment
from tests.conftest import due_event, just_before
from tests.server.threads import Gate, meanwhile

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("admins")]


@pytest.fixture(autouse=True)
def staff(settings: Any) -> None:
    settings.PAIEMENTPRO_ALERT_EMAILS = ["caisse@example.com"]


@pytest.fixture(autouse=True)
def reconciled() -> None:
    """A reconciliation has just finished."""
    now = timezone.now()
    ReconciliationRun.objects.create(host="host", process_id=1, finished_at=now)


def flag(reason: str = Reason.AMOUNT) -> Payment:
    payment = make_payment(status="pending", attempt=1, needs_review=True)
    Finding.objects.create(payment=payment, reason=reason, detail="6250 != 12500")
    return payment


def send(minutes: float = 0) -> list[str]:
    """Send the alerts, that many minutes from now, and return what was mailed."""
    mail.outbox.clear()
    sending.send_alerts(timezone.now() + timedelta(minutes=minutes))
    return [f"{message.subject}\n{message.body}" for message in mail.outbox]


def test_nothing_is_mailed_while_all_is_well() -> None:
    make_payment(status="succeeded", settled_at=timezone.now())

    assert send() == []
    assert not Alert.objects.exists()


def test_payment_to_review_is_mailed_without_its_customer() -> None:
    payment = flag()

    [text] = send()

    assert "1 payment needs a review." in text
    assert payment.short_reference in text
    assert "Another amount" in text
    assert "https://testserver/admin/paiementpro/payment/?review=1" in text
    for secret in (payment.customer_email, payment.customer_last_name, payment.customer_phone, payment.reference):
        assert secret not in text + str(mail.outbox[0].alternatives)


def test_payments_to_review_are_mailed_once_an_hour() -> None:
    flag()
    send()
    flag()
    flag()

    assert send(minutes=59) == []
    [text] = send(minutes=61)

    assert "2 payments need a review." in text
    assert send(minutes=200) == []


def test_finding_that_appears_below_a_mailed_one_is_mailed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "BATCH", 1)
    payments = [flag(), flag(), flag()]
    late = Finding.objects.get(payment=payments[0])
    Finding.objects.filter(pk=late.pk).delete()
    [text] = send()
    assert "2 payments need a review." in text

    late.save(force_insert=True)
    assert late.pk < min(Finding.objects.exclude(pk=late.pk).values_list("pk", flat=True))

    [text] = send(minutes=61)
    assert "1 payment needs a review." in text
    assert payments[0].short_reference in text
    assert send(minutes=200) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_finding_that_is_committed_late_is_mailed() -> None:  # pragma: no cover  coverage is measured on SQLite
    slow = make_payment(status="pending", attempt=1, needs_review=True)
    gate = Gate()

    def raise_slowly() -> None:
        with transaction.atomic():
            Finding.objects.create(payment=slow, reason=Reason.PAID_TWICE)
            gate()

    with meanwhile(raise_slowly) as raised:
        gate.await_arrival()
        quick = flag()
        [text] = send()
        gate.open()
        raised.result()
    assert quick.short_reference in text
    assert slow.short_reference not in text
    assert Finding.objects.get(payment=slow).pk < Finding.objects.get(payment=quick).pk

    [text] = send(minutes=61)
    assert slow.short_reference in text
    assert quick.short_reference not in text


def test_findings_that_another_process_mails_meanwhile_are_mailed_once() -> None:
    flag()
    send(minutes=-61)
    flag()
    mail.outbox.clear()
    with just_before(sending.send_alerts, "UPDATE", "paiementpro_alert", "claimed_at"):
        assert sending.send_alerts() == 0

    assert len(mail.outbox) == 1


def test_reviewed_payment_is_not_mailed() -> None:
    flag()
    Finding.objects.update(reviewed_at=timezone.now())

    assert send() == []


def test_clock_that_was_ahead_does_not_silence_the_alerts() -> None:
    flag()
    send(minutes=60 * 24 * 365)
    flag()

    assert len(send()) == 1


def test_undelivered_signal_is_mailed_once_and_again_when_it_is_over() -> None:
    event = due_event(make_payment(status="succeeded", settled_at=timezone.now()))
    type(event).objects.update(created_at=timezone.now() - timedelta(hours=1))

    [text] = send()
    assert "a receiver keeps failing" in text
    assert send() == []

    type(event).objects.update(deliver_at=None)
    [text] = send()
    assert "All signals have been delivered again" in text
    assert send() == []
    assert not Alert.objects.exists()


def test_condition_that_ends_before_it_was_mailed_is_forgotten() -> None:
    Alert.objects.create(key="undelivered")

    assert send() == []
    assert not Alert.objects.exists()


def pay(count: int, paid: int, *, age: timedelta, channel: str = "WAVECI") -> None:
    """Store payments of different customers, the first of which were paid within a minute."""
    opened_at = timezone.now() - age
    for number in range(count):
        is_paid = number < paid
        make_payment(
            status="succeeded" if is_paid else "failed",
            attempt=1,
            channel=channel,
            customer_phone=f"07071234{number:02}",
            created_at=opened_at,
            initialized_at=opened_at,
            settled_at=opened_at + timedelta(seconds=50),
            settled_by="notification",
        )


def test_payment_method_is_mailed_when_it_fails_and_when_it_is_back() -> None:
    pay(40, 38, age=timedelta(days=2))
    pay(20, 2, age=timedelta(minutes=40))

    [text] = send()
    assert "Wave Côte d’Ivoire is having problems" in text
    assert "?channel=WAVECI" in text
    assert send() == []

    Payment.objects.filter(created_at__gt=timezone.now() - timedelta(hours=2)).update(status="succeeded")
    [text] = send()
    assert "Wave Côte d’Ivoire works again." in text


def test_payment_method_with_too_few_payments_is_not_said_to_be_back() -> None:
    pay(40, 38, age=timedelta(days=2))
    pay(20, 2, age=timedelta(minutes=40))
    send()
    Payment.objects.filter(created_at__gt=timezone.now() - timedelta(hours=2)).update(
        created_at=timezone.now() - timedelta(days=3), initialized_at=timezone.now() - timedelta(days=3)
    )

    assert send() == []
    assert Alert.objects.get(key="channel:WAVECI").is_active


def settle(count: int, settled_by: str, age: timedelta = timedelta(minutes=5)) -> None:
    for _number in range(count):
        make_payment(status="succeeded", attempt=1, settled_by=settled_by, settled_at=timezone.now() - age)


def test_notifications_that_stop_are_mailed() -> None:
    settle(3, "status")
    settle(1, "notification", age=timedelta(hours=7))

    [text] = send()
    assert "notifications have stopped arriving" in text

    settle(1, "notification")
    [text] = send()
    assert "notifications arrive again" in text


@pytest.mark.parametrize("count", [0, 2])
def test_few_payments_say_nothing_about_notifications(count: int) -> None:
    settle(count, "status")

    assert "silent" not in find_conditions(timezone.now())


def test_mail_server_that_is_away_loses_no_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    flag()
    with monkeypatch.context() as patch:
        patch.setattr(mail.EmailMultiAlternatives, "send", _refuse)
        assert send() == []

    assert len(send()) == 1


def _refuse(*args: Any, **kwargs: Any) -> None:
    raise smtplib.SMTPServerDisconnected


def test_alert_that_another_process_mails_is_left_to_it() -> None:
    flag()
    Alert.objects.create(key="review", claimed_at=timezone.now() - timedelta(minutes=1))

    assert send() == []
    assert len(send(minutes=10)) == 1


def test_reconciliation_mails_the_alerts_and_counts_them(settings: Any) -> None:
    flag()

    assert services.reconcile().extensions["alerts"] == 1
    assert len(mail.outbox) == 1

    settings.PAIEMENTPRO_ALERT_EMAILS = []
    assert "alerts" not in services.reconcile().extensions


def test_each_recipient_reads_their_language(settings: Any) -> None:
    settings.PAIEMENTPRO_ALERT_EMAILS = ["a@example.com", ("b@example.com", "fr"), ("c@example.com", "fr")]
    settings.PAIEMENTPRO_SHOP = {"name": "Boutique Awa"}
    flag()
    send()

    english, french = mail.outbox
    assert (english.to, french.to) == (["a@example.com"], ["b@example.com", "c@example.com"])
    assert english.subject == "[Boutique Awa] 1 payment needs a review."
    assert "à vérifier" in french.subject


def test_site_without_admin_or_address_mails_no_links(settings: Any) -> None:
    settings.PAIEMENTPRO_SITE_URL = None
    flag()
    [text] = send()
    assert "http" not in text

    settings.PAIEMENTPRO_SITE_URL = "https://testserver"
    settings.ROOT_URLCONF = "django_paiementpro.urls"
    assert mail_module.admin_url("admin:paiementpro_payment_changelist") == ""


# Without reconciliation.


def test_request_notices_that_no_reconciliation_runs(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    monkeypatch.setattr(watch, "_looked_at", watch._looked_at - watch.INTERVAL)
    long_ago = timezone.now() - timedelta(hours=2)
    ReconciliationRun.objects.update(finished_at=long_ago, seen_at=long_ago)
    watch.watch_requests()
    try:
        client.get("/")
        client.get("/")
    finally:
        request_finished.disconnect(dispatch_uid="paiementpro.alerts")

    [message] = mail.outbox
    assert "paiementpro_reconcile has not run for over an hour" in message.subject
    ReconciliationRun.objects.update(finished_at=timezone.now())
    assert "runs again" in send()[0]


def test_site_that_was_never_reconciled_is_noticed() -> None:
    ReconciliationRun.objects.all().delete()

    watch.look()

    assert len(mail.outbox) == 1


def test_request_leaves_alerts_to_the_reconciliation() -> None:
    flag()

    watch.look()

    assert mail.outbox == []


def test_error_while_looking_does_not_reach_the_request(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "_looked_at", watch._looked_at - watch.INTERVAL)
    monkeypatch.setattr(watch, "look", _refuse)

    watch._look_sometimes()

    assert "alerts_not_sent" in caplog.text


def test_app_watches_requests_only_if_there_is_staff_to_mail(settings: Any) -> None:
    from django.apps import apps

    config = apps.get_app_config("paiementpro")

    def is_watching() -> bool:
        return request_finished.disconnect(dispatch_uid="paiementpro.alerts")

    config.ready()
    assert is_watching()
    settings.PAIEMENTPRO_ALERT_EMAILS = []
    config.ready()
    assert not is_watching()


# The digest.

DAY = datetime(2026, 11, 28, 10, tzinfo=timezone.get_fixed_timezone(0))


@pytest.fixture
def day() -> None:
    """A day with payments by two methods, and a refund."""
    for number, (status, channel, amount) in enumerate(
        [
            ("succeeded", "WAVECI", 10000),
            ("succeeded", "WAVECI", 2500),
            ("failed", "WAVECI", 700),
            ("succeeded", "OMCIV2", 5000),
        ]
    ):
        moment = DAY + timedelta(minutes=number)
        payment = make_payment(
            status=status,
            channel=channel,
            amount=amount,
            attempt=1,
            created_at=moment,
            initialized_at=moment,
            settled_at=moment,
        )
    Refund.objects.create(payment=payment, amount=1000, refunded_on=DAY.date())


@pytest.mark.usefixtures("day")
def test_digest_shows_the_day() -> None:
    flag()
    call_command("paiementpro_digest", day="2026-11-28")

    [message] = mail.outbox
    text = message.body.replace("\u202f", " ").replace("\u00a0", " ")
    assert "17 500 F CFA" in message.subject
    assert "Wave Côte d’Ivoire: 12 500 F CFA (2 payments, success rate 66.7%)" in text
    assert "Orange Money Côte d’Ivoire: 5 000 F CFA (1 payment, success rate 100.0%); 1 000 F CFA refunded" in text
    assert "Total: 17 500 F CFA (3 payments, success rate 75.0%)" in text
    assert "Net of refunds: 16 500 F CFA" in text
    assert "1 payment needs a review." in text
    assert "https://testserver/admin/paiementpro/payment/takings/?from=2026-11-28&to=2026-11-28" in text
    [alternative] = message.alternatives
    assert "12\u202f500\u00a0F\u00a0CFA" in alternative[0]
    assert "awa@example.com" not in text + alternative[0]


def test_digest_of_a_quiet_day_says_so() -> None:
    call_command("paiementpro_digest")

    [message] = mail.outbox
    assert message.subject.endswith(": 0 F CFA")
    assert "No payment needs a review." in message.body


def test_digest_is_written_instead_of_mailed(settings: Any) -> None:
    settings.PAIEMENTPRO_ALERT_EMAILS = []
    out = io.StringIO()

    call_command("paiementpro_digest", dry_run=True, stdout=out)

    assert "Total: 0" in out.getvalue()
    assert mail.outbox == []
    with pytest.raises(CommandError, match="PAIEMENTPRO_ALERT_EMAILS"):
        call_command("paiementpro_digest")


@pytest.mark.parametrize("day", ["28/11/2026", "2026-02-30"])
def test_digest_of_an_impossible_day_is_refused(day: str) -> None:
    with pytest.raises(CommandError, match="Write the day like"):
        call_command("paiementpro_digest", day=day)


def test_rows_name_themselves() -> None:
    assert str(Alert(key="review")) == "review"
    assert str(Observation(kind="return")) == "return"
    assert str(Verification(started_at=DAY)) == "2026-11-28 10:00"
