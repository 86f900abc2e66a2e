import io
import sys
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from django_paiementpro.management import progress
from django_paiementpro.models import Payment
from django_paiementpro.testing import make_payment

pytestmark = pytest.mark.django_db(transaction=True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(command: str, monkeypatch: pytest.MonkeyPatch, **options: int) -> str:
    """Run a command on a terminal, and return what it writes to standard error."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal := Terminal())
        call_command(f"paiementpro_{command}", stdout=io.StringIO(), **options)
    return terminal.getvalue()


def make_due_payments() -> None:
    """Make a payment to expire, and one to prune."""
    long_ago = timezone.now() - timedelta(days=400)
    make_payment(status="pending", attempt=1, created_at=long_ago, initialized_at=long_ago)
    old = make_payment(status="cancelled", created_at=long_ago)
    Payment.objects.filter(pk=old.pk).update(updated_at=long_ago)


COMMANDS = pytest.mark.parametrize(("command", "options"), [("reconcile", {}), ("prune", {"older_than": 365})])


@COMMANDS
def test_command_shows_a_progress_bar_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, command: str, options: dict[str, int]
) -> None:
    make_due_payments()

    assert "0/1" in run(command, monkeypatch, **options)


@COMMANDS
def test_command_runs_without_tqdm(monkeypatch: pytest.MonkeyPatch, command: str, options: dict[str, int]) -> None:
    monkeypatch.setattr(progress, "tqdm", None)
    make_due_payments()

    assert run(command, monkeypatch, **options) == ""

    pending, old = Payment.objects.order_by("pk")
    is_done = {"reconcile": pending.status == "expired", "prune": old.blanked_at is not None}
    assert is_done[command]
