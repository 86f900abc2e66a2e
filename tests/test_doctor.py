from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings
from django.utils import timezone, translation

from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.signals import payment_succeeded

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def receiver() -> Any:
    def receive(**kwargs: Any) -> None: ...

    payment_succeeded.connect(receive, dispatch_uid="doctor")
    with override_settings(PAIEMENTPRO_SITE_URL="https://shop.example"):
        yield
    payment_succeeded.disconnect(dispatch_uid="doctor")


def test_a_healthy_installation_passes(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("paiementpro_doctor")

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["pass", "pass"]


def test_what_is_wrong_is_said_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        override_settings(PAIEMENTPRO_TIMEOUT=20, PAIEMENTPRO_TYPO=1),
        pytest.raises(CommandError, match="1 thing to mend"),
    ):
        call_command("paiementpro_doctor")

    out = capsys.readouterr().out
    assert "fail  PAIEMENTPRO_TIMEOUT: write (connect, read)" in out
    assert "warn  PAIEMENTPRO_TYPO is no setting" in out


def test_missing_tables_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    MigrationRecorder(connection).record_unapplied("paiementpro", "0004_reconciliation_run")

    with pytest.raises(CommandError):
        call_command("paiementpro_doctor")
    assert "migrate" in capsys.readouterr().out


def test_a_database_that_is_away_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def away(*arguments: Any) -> None:
        raise DatabaseError("secret")

    with connection.execute_wrapper(away), pytest.raises(CommandError):
        call_command("paiementpro_doctor")
    out = capsys.readouterr().out
    assert "fail  The database does not answer: DatabaseError" in out
    assert "secret" not in out


def test_what_waits_is_told(payment: Payment, capsys: pytest.CaptureFixture[str]) -> None:
    Payment.objects.update(needs_review=True)
    PaymentEvent.objects.create(payment=payment, kind="host", outcome="accepted", deliver_at=timezone.now())

    with translation.override("fr"):
        call_command("paiementpro_doctor")
    out = capsys.readouterr().out
    assert "1 événement attend" in out
    assert "1 paiement est à vérifier" in out
