"""System checks, and the command for payments from before."""

import io
import json
from datetime import timedelta
from typing import Any

import django
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_paiementpro.models import Refund
from django_paiementpro.receipts import checks
from django_paiementpro.receipts.checks import check_receipts
from django_paiementpro.receipts.models import Receipt
from django_paiementpro.testing import make_payment
from tests.receipts.test_mail import use

SMTP = "django.core.mail.backends.smtp.EmailBackend"


def ids() -> list[str]:
    return [str(message.id).removeprefix("paiementpro_receipts.") for message in check_receipts()]


def test_sound_installation_has_nothing_to_report() -> None:
    assert ids() == []


def test_missing_packages_are_errors() -> None:
    [message] = checks.check_packages({**checks.PACKAGES, "no_such_module": "no-such-package"})
    assert (message.id, "no-such-package" in message.msg) == ("paiementpro_receipts.E001", True)
    assert "fpdf2" not in message.msg


def test_missing_urls_are_an_error(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.receipts.urls_without"
    assert ids() == ["E002"]


def test_seller_who_does_not_say_who_they_are_is_warned(settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = {"name": "Chez Awa", "phone": "+225 27 20 00 00 00"}
    [message] = check_receipts()
    assert message.id == "paiementpro_receipts.W001"
    assert message.msg.endswith("address, email, registration, tax_id.")


def test_wrong_settings_are_reported_elsewhere(settings: Any) -> None:
    settings.PAIEMENTPRO_SHOP = settings.PAIEMENTPRO_RECEIPT_EMAIL = 7
    assert ids() == []


def test_mail_without_an_address_of_the_site_is_warned(settings: Any) -> None:
    settings.PAIEMENTPRO_SITE_URL = None
    assert ids() == []
    settings.PAIEMENTPRO_RECEIPT_EMAIL = True
    assert "W002" in ids()


def test_mail_server_without_a_time_out_is_warned(settings: Any) -> None:
    use(settings, SMTP)
    assert ids() == []
    settings.PAIEMENTPRO_RECEIPT_EMAIL = True
    assert ids() == ["W003"]
    use(settings, SMTP, timeout=10)
    assert ids() == []


@pytest.mark.skipif(django.VERSION >= (6, 1), reason="MAILERS is real there")
def test_time_out_of_django_6_1_is_read_from_mailers(settings: Any) -> None:
    settings.PAIEMENTPRO_RECEIPT_EMAIL = True
    settings.MAILERS = {"default": {"BACKEND": SMTP}}
    assert ids() == ["W003"]
    settings.MAILERS = {"default": {"BACKEND": SMTP, "OPTIONS": {"timeout": 10}}}
    assert ids() == []


# paiementpro_issue_receipts


def issue(*arguments: str) -> str:
    output = io.StringIO()
    call_command("paiementpro_issue_receipts", *arguments, stdout=output)
    return output.getvalue().strip()


@pytest.fixture
def old(db: None) -> Any:
    """Payments of three days in a row, the last of which was refunded in part."""
    noon = timezone.now().replace(hour=12) - timedelta(days=400)
    payments = [
        make_payment(status="succeeded", attempt=1, settled_at=noon + timedelta(days=days)) for days in (2, 0, 1)
    ]
    Refund.objects.create(payment=payments[0], amount=500, refunded_on=noon.date())
    payments[0].refunded_amount = 500
    payments[0].save(update_fields=["refunded_amount"])
    return payments


def test_command_issues_what_is_asked_for_oldest_first(old: Any, mailoutbox: list[Any], settings: Any) -> None:
    settings.PAIEMENTPRO_RECEIPT_EMAIL = True
    latest, first, middle = old
    since = f"--since={first.settled_at.date().isoformat()}"
    assert issue(since, "--dry-run") == "Payments without a receipt: 3."
    assert not Receipt.objects.exists()

    assert issue(f"--since={middle.settled_at.date().isoformat()}") == "Receipts issued: 3."
    issued = Receipt.objects.order_by("sequence").values_list("payment", "kind")
    assert list(issued) == [(middle.pk, "payment"), (latest.pk, "payment"), (latest.pk, "refund")]

    assert json.loads(issue(since, "--json")) == {"receipts": 1}
    assert json.loads(issue(since, "--json", "--dry-run")) == {"payments": 0}
    assert issue(since) == "Receipts issued: 0."
    assert mailoutbox == []
    assert not Receipt.objects.filter(mail_due_at__isnull=False).exists()


def test_command_owes_mail_and_documents_if_asked_to(old: Any) -> None:
    issue("--since=2020-01-01", "--mail", "--fiscal")
    assert Receipt.objects.filter(mail_due_at__isnull=False, fiscal_due_at__isnull=False).count() == 4


@pytest.mark.parametrize("arguments", [["--since=yesterday"], []])
def test_command_needs_a_date(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        issue(*arguments)
