"""The mail about an endpoint that was switched off."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import override_settings
from django.utils import timezone

from django_paiementpro import services
from django_paiementpro.webhooks.alerts import LEASE, report_endpoints
from django_paiementpro.webhooks.models import Endpoint
from tests.conftest import just_before
from tests.webhooks.test_receivers import make_endpoint
from tests.webhooks.test_sending import make_delivery, run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("private", "admins")]

URL = "http://127.0.0.1:9/services/SECRET"


@pytest.fixture(autouse=True)
def owner(settings: Any) -> None:
    settings.PAIEMENTPRO_ALERT_EMAILS = ["owner@example.com", "office@example.com"]


def make_broken(**values: Any) -> Endpoint:
    """Return an endpoint that the next failure switches off."""
    endpoint = make_endpoint(URL, description="Bookkeeping", **values)
    make_delivery(endpoint, failures=5)
    return endpoint


def make_off(**values: Any) -> Endpoint:
    now = timezone.now()
    return make_endpoint(URL, is_active=False, **{"switched_off_at": now, "report_at": now, **values})


def test_switched_off_endpoint_is_reported() -> None:
    endpoint = make_broken()

    run()

    [message] = mail.outbox
    assert message.to == ["owner@example.com", "office@example.com"]
    assert message.subject == "[Paiement Pro] Switched off: Bookkeeping"
    assert "Webhooks to 127.0.0.1:9 have been switched off" in message.body
    assert "Newest answer: No connection." in message.body
    assert f"https://testserver/admin/paiementpro_webhooks/endpoint/{endpoint.pk}/change/" in message.body
    assert "SECRET" not in message.body
    endpoint.refresh_from_db()
    assert (endpoint.is_active, endpoint.report_at) == (False, None)
    report_endpoints()
    assert len(mail.outbox) == 1


def test_without_addresses_nothing_is_mailed(settings: Any) -> None:
    settings.PAIEMENTPRO_ALERT_EMAILS = []
    endpoint = make_broken()
    run()
    endpoint.refresh_from_db()
    assert (mail.outbox, endpoint.report_at) == ([], None)


def test_mail_server_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = make_broken()

    def fail(*args: Any) -> None:
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr("django_paiementpro.webhooks.alerts.mail_staff", fail)
        run()
    endpoint.refresh_from_db()
    assert not endpoint.is_active
    assert endpoint.report_at is not None
    assert mail.outbox == []
    services.reconcile()
    assert mail.outbox == []  # not before the lease has run out

    Endpoint.objects.update(report_at=endpoint.report_at - LEASE)
    services.reconcile()
    assert len(mail.outbox) == 1
    services.reconcile()
    assert len(mail.outbox) == 1


def test_report_of_a_killed_process_is_made_up_for() -> None:
    make_off(report_at=timezone.now() - timedelta(minutes=1))
    services.reconcile()
    [message] = mail.outbox
    assert "Newest answer" not in message.body


def test_two_processes_report_once() -> None:
    make_off()
    later = timezone.now() + LEASE
    with just_before(lambda: Endpoint.objects.update(report_at=later), "UPDATE", "report_at"):
        report_endpoints()
    assert mail.outbox == []


@pytest.mark.parametrize("values", [{"ROOT_URLCONF": "tests.webhooks.no_urls"}, {"PAIEMENTPRO_SITE_URL": None}])
def test_report_without_an_admin_or_an_address_has_no_link(values: Any) -> None:
    make_off()
    with override_settings(**values):
        report_endpoints()
    [message] = mail.outbox
    assert "/admin/" not in message.body
