"""What optional apps add to the core."""

import json
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.http import HttpRequest
from django.test import Client

from django_paiementpro import services
from django_paiementpro.extensions import extensions
from django_paiementpro.models import Payment, ReconciliationRun
from django_paiementpro.testing import make_payment
from tests.conftest import stored
from tests.extension.apps import NoisyConfig, QuietConfig

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def noisy(settings: Any, monkeypatch: pytest.MonkeyPatch) -> type[NoisyConfig]:
    """Install an optional app, and another after it. What the test sets is undone afterwards."""
    apps_of_tests = [f"tests.extension.apps.{config.__name__}" for config in (NoisyConfig, QuietConfig)]
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, *apps_of_tests]
    for name in ("numbers", "error", "context", "keeps", "stops", "blanked", "others"):
        monkeypatch.setattr(NoisyConfig, name, type(value)() if (value := getattr(NoisyConfig, name)) else value)
    monkeypatch.setattr(NoisyConfig, "blanked", [])
    monkeypatch.setattr(NoisyConfig, "persons", [])
    monkeypatch.setattr(QuietConfig, "asked", [])
    return NoisyConfig


def test_app_that_is_not_installed_is_not_asked() -> None:
    assert "noisy" not in {extension.label for extension in extensions()}


def test_extension_adds_nothing_unless_it_says_so(noisy: type[NoisyConfig], rf: Any) -> None:
    quiet: Any = apps.get_app_config("quiet")
    request: HttpRequest = rf.get("/")
    payment = make_payment()
    quiet.blank_personal_data([payment.pk])
    assert quiet.erase_person("awa@example.com", "") == {}
    assert (quiet.result_context(payment), quiet.keeps_payer(payment), quiet.admin_links(request, payment)) == (
        {},
        False,
        [],
    )


def test_reconciliation_does_the_part_of_extensions(noisy: type[NoisyConfig], capsys: Any) -> None:
    noisy.numbers = {"letters_sent": 3}

    call_command("paiementpro_reconcile", json=True)

    numbers = json.loads(capsys.readouterr().out)
    assert numbers["letters_sent"] == 3
    assert "extensions" not in numbers
    assert numbers["failed"] == 0
    assert ReconciliationRun.objects.latest("pk").totals["letters_sent"] == 3
    assert QuietConfig.asked == ["reconcile"]


def test_extension_that_raises_stops_nothing(
    noisy: type[NoisyConfig], capsys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    noisy.error = OSError("no mail server")

    call_command("paiementpro_reconcile", json=True)

    assert json.loads(capsys.readouterr().out)["failed"] == 1
    assert QuietConfig.asked == ["reconcile"]
    [line] = [record.getMessage() for record in caplog.records if "reconcile_failed" in record.getMessage()]
    assert "app=noisy" in line
    assert "no mail server" not in line


def test_stopped_reconciliation_asks_no_further_extension(noisy: type[NoisyConfig]) -> None:
    noisy.stops = True

    assert services.reconcile().stopped

    assert QuietConfig.asked == []


def test_extension_blanks_its_personal_data_together_with_the_payments(noisy: type[NoisyConfig]) -> None:
    payment = make_payment(status="succeeded", customer_email="awa@example.com")

    services.erase_personal_data(email="awa@example.com")

    assert noisy.blanked == [payment.pk]
    assert stored(payment).customer_email == ""


def test_extension_blanks_what_else_it_has_of_a_person(noisy: type[NoisyConfig]) -> None:
    noisy.others = {"letters": 2, "parcels": 0}

    assert services.count_personal_data(email="Awa@Example.com ").others == {"letters": 2}
    assert services.erase_personal_data(phone="07 07 12 34 56").others == {"letters": 2}

    assert noisy.persons == [("awa@example.com", "", True), ("", "+2250707123456", False)]


def test_extension_is_not_called_without_a_person(noisy: type[NoisyConfig]) -> None:
    for service in (services.count_personal_data, services.erase_personal_data):
        with pytest.raises(ValueError, match="whose payments"):
            service(email=" ", phone=" ")
    assert noisy.persons == []


def test_payment_keeps_its_data_if_an_extension_cannot_blank_its_own(noisy: type[NoisyConfig]) -> None:
    payment = make_payment(status="succeeded", customer_email="awa@example.com")
    noisy.error = OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        services.erase_personal_data(email="awa@example.com")

    assert stored(payment).customer_email == "awa@example.com"


def result_page(client: Client, payment: Payment) -> str:
    return client.get(payment.get_return_url(), headers={"accept-language": "en"}).content.decode()


def test_result_page_links_to_the_receipt(noisy: type[NoisyConfig], client: Client) -> None:
    payment = make_payment(status="succeeded")
    assert "receipt" not in result_page(client, payment)

    noisy.context = {"receipt_url": "/receipts/1/"}

    assert '<a href="/receipts/1/">See the receipt</a>' in result_page(client, payment)


def test_message_of_the_shop_is_shown_escaped_and_in_its_lines(noisy: type[NoisyConfig], client: Client) -> None:
    noisy.context = {"success_message": "See you on Friday,\nAwa <script>alert(1)</script>"}

    for status, is_shown in (("succeeded", True), ("failed", False)):
        content = result_page(client, make_payment(status=status))
        assert ("See you on Friday,<br>Awa &lt;script&gt;" in content) == is_shown
        assert "<script>alert" not in content


@pytest.mark.parametrize("keeps", [True, False])
def test_extension_may_keep_the_payer_on_the_result_page(
    noisy: type[NoisyConfig], client: Client, settings: Any, keeps: bool
) -> None:
    settings.PAIEMENTPRO_SUCCESS_URL = "/thanks/"
    payment = make_payment(status="succeeded")
    noisy.keeps = keeps

    assert client.get(payment.get_return_url()).status_code == (200 if keeps else 302)
    expected = payment.get_return_url() if keeps else "/thanks/"
    assert client.get(payment.get_status_url()).json()["redirect_url"] == expected
