"""The doctor command, and its findings on settings, receivers, addresses, cron and the gateway."""

import json
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings
from django.utils import timezone

from django_paiementpro.doctor import TOPICS, Visit
from django_paiementpro.models import Payment, PaymentEvent, ReconciliationRun
from django_paiementpro.signals import payment_succeeded
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import INDISCREET, MIGRATIONS, PAGE_URL
from tests.test_admin import flag

pytestmark = pytest.mark.django_db

SHOP = "https://shop.example"
KEY = "qGz1Yb7-xX2vR4kT9mW3nP6sD8fH0jL5aC_eU!iOoZbVgNhQ"
PUBLIC_ADDRESS = "151.101.1.1"

Lines = list[tuple[str, str]]
Resolve = Callable[..., Any]


@pytest.fixture(autouse=True)
def receiver() -> Iterator[None]:
    def receive(**kwargs: Any) -> None: ...

    payment_succeeded.connect(receive, dispatch_uid="doctor")
    yield
    payment_succeeded.disconnect(dispatch_uid="doctor")


@pytest.fixture(autouse=True)
def shop(settings: Any) -> None:
    settings.PAIEMENTPRO_SITE_URL = SHOP
    settings.PAIEMENTPRO_SANDBOX = False
    settings.ALLOWED_HOSTS = ["shop.example"]
    settings.SECRET_KEY = KEY + KEY


@pytest.fixture(autouse=True)
def dns(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Fake DNS names, and an environment without a proxy."""
    names = {"shop.example": PUBLIC_ADDRESS}
    ask = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ask(names[host], *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return names


def told(topic: str, visit: Visit | None = None, **values: Any) -> Lines:
    """Return the lines on one topic."""
    [examine] = [entry.examine for entry in TOPICS if entry.name == topic]
    with override_settings(**values):
        return [(finding.verdict.value, finding.text) for finding in examine(visit or Visit())]


def only(lines: Lines, verdict: str) -> str:
    [(said, text)] = lines
    assert said == verdict
    return text


# The command.


@pytest.fixture
def answering(gateway: FakeGateway) -> FakeGateway:
    """A site of this name with an unreachable server, so that nothing leaves the machine."""
    return gateway


def run(capsys: pytest.CaptureFixture[str], *args: str, code: int = 1) -> str:
    if code:
        with pytest.raises(CommandError, match=r"thing|chose"):
            call_command("paiementpro_doctor", *args)
    else:
        call_command("paiementpro_doctor", *args)
    out = capsys.readouterr().out
    assert not INDISCREET.search(out)
    assert KEY not in out
    return out


@pytest.mark.usefixtures("answering")
def test_topics_are_reported_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    findings = json.loads(run(capsys, "--json"))

    topics = list(dict.fromkeys(finding["topic"] for finding in findings))
    assert topics == [topic.name for topic in TOPICS if topic.name != "gateway"]
    failed = [finding for finding in findings if finding["verdict"] == "fail"]
    assert [finding["topic"] for finding in failed] == ["notification"]


@pytest.mark.usefixtures("answering")
def test_each_line_begins_with_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys).splitlines()
    assert {line.split()[0] for line in lines} == {"pass", "warn", "fail"}
    assert lines[0] == "pass  The settings are as they should be."


@pytest.mark.usefixtures("answering")
def test_output_is_translated(payment: Payment, capsys: pytest.CaptureFixture[str]) -> None:
    flag(payment)
    flag(payment, "paid_twice")
    assert "warn  1 paiement est à vérifier" in run(capsys, "--language", "fr")
    assert "warn  1 payment is to be reviewed" in run(capsys)


def test_exit_code_is_0_without_failures(dns: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with override_settings(PAIEMENTPRO_SITE_URL=None, DEBUG=True):
        out = run(capsys, code=0)
    assert "warn  PAIEMENTPRO_SITE_URL is not set" in out
    assert "fail" not in out


@pytest.mark.usefixtures("answering")
def test_another_base_can_be_examined(capsys: pytest.CaptureFixture[str]) -> None:
    assert "ALLOWED_HOSTS does not have www.shop.example" in run(capsys, "--url", "https://www.shop.example/")


def test_invalid_base_url_is_refused() -> None:
    with pytest.raises(CommandError, match="--url: write"):
        call_command("paiementpro_doctor", "--url", "shop.example")


@pytest.mark.usefixtures("answering")
def test_invalid_setting_does_not_hide_other_findings(capsys: pytest.CaptureFixture[str]) -> None:
    with override_settings(PAIEMENTPRO_TIMEOUT=20, PAIEMENTPRO_TYPO=1):
        out = run(capsys)
    assert "fail  PAIEMENTPRO_TIMEOUT: write (connect, read)" in out
    assert "warn  PAIEMENTPRO_TYPO is no setting" in out
    assert "warn  Not looked at any further, because of a setting: PAIEMENTPRO_TIMEOUT" in out
    assert "payment_succeeded is heard" in out


@pytest.mark.usefixtures("answering")
def test_unavailable_database_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    def away(*arguments: Any) -> None:
        raise DatabaseError("secret")

    with connection.execute_wrapper(away):
        out = run(capsys)
    assert "fail  The database does not answer: DatabaseError" in out
    assert "paiementpro_reconcile" not in out
    assert "secret" not in out


@pytest.mark.usefixtures("answering")
def test_tables_that_are_not_there_are_not_read(capsys: pytest.CaptureFixture[str]) -> None:
    MigrationRecorder(connection).record_unapplied("paiementpro", MIGRATIONS[-1])
    topics = {finding["topic"] for finding in json.loads(run(capsys, "--json"))}
    assert {"tables", "database"} <= topics
    assert not {"reconciliation", "waiting"} & topics


class Broken:
    def db_for_write(self, model: Any, **hints: Any) -> str:
        raise LookupError("secret")


@pytest.mark.usefixtures("answering")
def test_error_in_project_code_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with override_settings(DATABASE_ROUTERS=[Broken()]):
        out = run(capsys)
    assert "fail  Not looked at any further: the project’s own code raised LookupError (test_doctor.py:" in out
    assert "secret" not in out


class Indiscreet:
    def db_for_write(self, model: Any, **hints: Any) -> str:
        raise ImproperlyConfigured(f"amqp://shop:rabbit@broker/ \x1b[2J {settings.SECRET_KEY} tiger")


@pytest.mark.usefixtures("answering")
def test_secrets_in_error_messages_are_masked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    databases = {"default": {**settings.DATABASES["default"], "PASSWORD": "tiger"}}
    monkeypatch.setattr(settings, "DATABASES", databases)
    with override_settings(DATABASE_ROUTERS=[Indiscreet()]):
        out = run(capsys)
    assert "because of a setting: amqp://…@broker/  [2J … …\n" in out


# Settings.


def test_good_settings_pass() -> None:
    assert only(told("settings"), "pass") == "The settings are as they should be."


@pytest.mark.parametrize(
    ("values", "verdict", "expected"),
    [
        ({"SECRET_KEY": "django-insecure-" + KEY + KEY}, "fail", "SECRET_KEY can be guessed"),
        (
            {"SECRET_KEY": "short", "PAIEMENTPRO_GATEWAY_URL": "http://127.0.0.1/sandbox", "DEBUG": True},
            "warn",
            "SECRET_KEY can be",
        ),
        ({"SECRET_KEY_FALLBACKS": ["short"]}, "fail", "SECRET_KEY_FALLBACKS can be guessed"),
        ({"USE_TZ": False}, "fail", "USE_TZ is off: dates and times would be stored without their time zone."),
        ({"DEBUG": True}, "warn", "DEBUG is on"),
        ({"PAIEMENTPRO_ENVIRONMENT": "sandbox"}, "warn", "no money moves"),
        ({"PAIEMENTPRO_MERCHANT_ID": ""}, "fail", "PAIEMENTPRO_MERCHANT_ID: write the merchant id"),
    ],
)
def test_invalid_setting_is_reported(values: dict[str, Any], verdict: str, expected: str) -> None:
    assert expected in only(told("settings", **values), verdict)


def test_debug_before_a_local_gateway_is_development() -> None:
    assert told("settings", DEBUG=True, PAIEMENTPRO_GATEWAY_URL="http://localhost:8000/sandbox")[0][0] == "pass"


# Receivers.


def test_a_receiver_is_named() -> None:
    assert only(told("receivers"), "pass") == "payment_succeeded is heard by doctor."


def test_a_missing_receiver_fails() -> None:
    payment_succeeded.disconnect(dispatch_uid="doctor")
    assert "paid orders are not fulfilled" in only(told("receivers"), "fail")


# The address.


def test_a_public_https_address_passes() -> None:
    assert only(told("address"), "pass") == f"shop.example is a public name ({PUBLIC_ADDRESS})."


def test_a_site_without_a_base_fails() -> None:
    assert "is not set" in only(told("address", PAIEMENTPRO_SITE_URL=None), "fail")
    assert "is not set" in only(told("address", PAIEMENTPRO_SITE_URL=None, DEBUG=True), "warn")


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "192.168.1.10", "[::1]", "10.0.0.1:8000", "shop.local", "shop.internal.", "shop"]
)
def test_an_address_of_this_network_fails(host: str) -> None:
    lines = told("address", PAIEMENTPRO_SITE_URL=f"https://{host}")
    assert "the gateway cannot send anything there" in only(lines, "fail")


def test_beside_a_local_gateway_it_passes() -> None:
    values = {"PAIEMENTPRO_SITE_URL": "http://127.0.0.1:8000", "PAIEMENTPRO_GATEWAY_URL": "http://127.0.0.1:8000/gate"}
    assert "this is for development" in only(told("address", **values), "pass")


def test_plain_http_fails() -> None:
    lines = told("address", PAIEMENTPRO_SITE_URL="http://shop.example")
    assert [verdict for verdict, _text in lines] == ["pass", "fail"]
    assert "is not https" in lines[1][1]


@pytest.mark.parametrize("host", ["nowhere.example", "a..b", "é" * 70 + ".example"])
def test_unknown_host_name_fails(host: str) -> None:
    assert "no address belongs to it" in only(told("address", Visit(f"https://{host}")), "fail")


def test_a_public_name_may_be_a_private_address_here(dns: dict[str, str]) -> None:
    dns["shop.example"] = "127.0.0.1"
    assert "shop.example is 127.0.0.1 here" in only(told("address"), "warn")


def test_a_proxy_knows_the_addresses(monkeypatch: pytest.MonkeyPatch, dns: dict[str, str]) -> None:
    dns.clear()
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert "by way of the environment’s proxy" in only(told("address"), "pass")


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://Shop.example", "shop.example"),
        ("https://shop.example:443", "shop.example"),
        ("http://shop.example:80", "shop.example"),
        ("https://shop.example:8443", "shop.example:8443"),
        ("", ""),
    ],
)
def test_a_host_is_named_as_clients_do(url: str, authority: str) -> None:
    with override_settings(PAIEMENTPRO_SITE_URL=None):
        assert Visit(url).authority == authority


# Cron, and what waits.


def reconciled(seen: timedelta, finished: timedelta | None, **totals: Any) -> None:
    now = timezone.now()
    ReconciliationRun.objects.create(
        started_at=now - seen,
        seen_at=now - seen,
        finished_at=None if finished is None else now - finished,
        host="host",
        process_id=1,
        totals=totals,
    )


MINUTES, HOURS = timedelta(minutes=4), timedelta(hours=3)


def test_a_reconciliation_of_late_passes() -> None:
    reconciled(HOURS, HOURS)
    reconciled(MINUTES, MINUTES)
    assert only(told("reconciliation"), "pass") == "paiementpro_reconcile last ended 4\xa0minutes ago."


def test_fresh_installation_is_reminded_of_cron() -> None:
    text = only(told("reconciliation"), "warn")
    assert "has never run" in text
    assert f"*/5 * * * * {sys.executable} manage.py paiementpro_reconcile" in text


def test_a_shop_without_cron_fails(payment: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    Payment.objects.update(created_at=timezone.now() - HOURS)
    monkeypatch.setattr(sys, "argv", ["/srv/shop/manage.py"])
    text = only(told("reconciliation"), "fail")
    assert f"*/5 * * * * {sys.executable} /srv/shop/manage.py paiementpro_reconcile" in text


def test_a_reconciliation_long_ago_fails() -> None:
    reconciled(HOURS, HOURS)
    assert "was last seen 3\xa0hours ago" in only(told("reconciliation"), "fail")


@pytest.mark.parametrize("finished", [None, HOURS])
def test_unfinished_runs_are_reported(finished: timedelta | None) -> None:
    reconciled(HOURS, finished)
    reconciled(MINUTES, None)
    assert "none of its runs has come to its end" in only(told("reconciliation"), "warn")


def test_problems_of_the_last_run_are_reported() -> None:
    reconciled(MINUTES * 2, MINUTES * 2, failed=1)
    reconciled(MINUTES, MINUTES, gateway_away=True, failed=2)
    lines = told("reconciliation")
    assert [verdict for verdict, _text in lines] == ["pass", "warn", "warn"]
    assert "found the gateway away" in lines[1][1]
    assert lines[2][1].startswith("2 rows raised an error")


def test_nothing_pending_passes() -> None:
    assert only(told("waiting"), "pass") == "Nothing waits for a receiver, a person or its end."


@pytest.mark.parametrize(("age", "verdict"), [(timedelta(minutes=1), "warn"), (HOURS, "fail")])
def test_pending_event_is_reported(payment: Payment, age: timedelta, verdict: str) -> None:
    moment = timezone.now() - age
    PaymentEvent.objects.create(
        payment=payment, kind="host", outcome="accepted", created_at=moment, deliver_at=timezone.now()
    )
    text = only(told("waiting"), verdict)
    assert text.startswith("1 event waits for a receiver")
    assert ("The oldest has waited for 3\xa0hours" in text) == (verdict == "fail")


def test_payments_to_review_are_reported() -> None:
    assert told("waiting")[0][0] == "pass"
    for _ in range(2):
        flag(make_payment())
    assert only(told("waiting"), "warn").startswith("2 payments are to be reviewed")


def test_overdue_payment_is_reported() -> None:
    make_payment(status="pending", attempt=1, initialized_at=timezone.now() - timedelta(hours=24, minutes=50))
    assert told("waiting")[0][0] == "pass"
    make_payment(status="pending", attempt=1, initialized_at=timezone.now() - timedelta(hours=25, minutes=10))
    assert "1 payment is pending that should have expired" in only(told("waiting"), "fail")


def test_payments_settled_without_notification_are_reported() -> None:
    for way in ("status", "staff", "status"):
        assert told("waiting")[0][0] == "pass"
        make_payment(status="succeeded", settled_by=way, settled_at=timezone.now())
    assert "Of the last 3 paid payments none was settled by a notification" in only(told("waiting"), "warn")
    make_payment(status="succeeded", settled_by="notification", settled_at=timezone.now())
    assert told("waiting")[0][0] == "pass"


# The gateway.


def asked(**values: Any) -> Lines:
    return told("gateway", Visit(asks_gateway=True), **values)


def test_the_gateway_is_not_asked_unasked(gateway: FakeGateway) -> None:
    assert told("gateway") == []
    assert list(gateway.mock.calls) == []


def test_a_page_of_the_gateway_passes_and_touches_no_payment(gateway: FakeGateway) -> None:
    lines = asked()
    assert lines == [
        ("pass", "The gateway (www.paiementpro.net) opens pages, on www.paiementpro.net."),
        ("pass", "The status look-up is off."),
    ]
    [call] = gateway.mock.calls
    sent = json.loads(call.request.body)
    assert sent["amount"] == 100
    assert sent["merchantId"] == settings.PAIEMENTPRO_MERCHANT_ID
    assert len(sent) == 12
    assert all(sent.values())
    assert sent["notificationURL"].startswith(f"{SHOP}/paiementpro/notification/")
    assert not Payment.objects.exists()


def test_refusal_is_reported_with_the_gateways_message(gateway: FakeGateway) -> None:
    gateway.refuses("ID marchand inconnu")
    verdict, text = asked()[0]
    assert verdict == "fail"
    assert "refuses a page: “ID marchand inconnu”. See that PAIEMENTPRO_MERCHANT_ID" in text


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (requests.ConnectTimeout(), 200, "(ConnectTimeout). See whether a firewall drops"),
        (requests.ReadTimeout(), 200, "(ReadTimeout). See whether a firewall drops"),
        (requests.exceptions.SSLError(), 200, "(SSLError). Bring the certificates"),
        (requests.ConnectionError(), 200, "(ConnectionError). See whether this machine may go out"),
        ("", 503, "out of order (HTTP 503). See PAIEMENTPRO_GATEWAY_URL"),
        ("<html>", 200, "is no JSON object. See PAIEMENTPRO_GATEWAY_URL"),
    ],
)
def test_unavailable_gateway_is_reported(gateway: FakeGateway, body: Any, status: int, expected: str) -> None:
    gateway.answers(body, status)
    verdict, text = asked()[0]
    assert verdict == "fail"
    assert expected in text


def test_page_on_another_host_is_reported_without_its_url(gateway: FakeGateway) -> None:
    gateway.opens(PAGE_URL.replace("paiementpro.net", "example.com"))
    verdict, text = asked()[0]
    assert verdict == "fail"
    assert "a page on a host that PAIEMENTPRO_ALLOWED_REDIRECT_HOSTS lacks" in text
    assert "sessionid" not in text


STATUS = {"PAIEMENTPRO_STATUS_URL": "https://api.paiementpro.net/status"}


def look_up(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, body: Any, status: int = 200) -> tuple[str, str]:
    monkeypatch.setattr("django_paiementpro.models.secrets.token_hex", lambda size: "ab" * size)
    gateway.tells("ab" * 12, body, status)
    return asked(**STATUS)[1]


def test_lookup_without_a_match_passes(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look_up(gateway, monkeypatch, '{"success": false, "error": "Aucune transaction"}') == (
        "pass",
        "The status look-up (api.paiementpro.net) answers: “Aucune transaction”.",
    )


def test_unavailable_lookup_is_reported(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict, text = look_up(gateway, monkeypatch, "", 500)
    assert verdict == "warn"
    assert "Until then notifications alone settle payments." in text


def test_lookup_that_confirms_everything_fails(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict, text = look_up(gateway, monkeypatch, '{"success": true}')
    assert verdict == "fail"
    assert "knows a payment that nobody has made" in text


def test_without_urls_no_page_is_asked_for(gateway: FakeGateway) -> None:
    assert asked(ROOT_URLCONF="django.conf.urls.i18n") == [("pass", "The status look-up is off.")]
