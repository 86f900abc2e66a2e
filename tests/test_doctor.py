"""The doctor as a command, and its results for settings, receivers, addresses, cron and the gateway."""

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
from django.db import DatabaseError, connection, connections
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings
from django.utils import timezone

from django_paiementpro.doctor import TOPICS, Target
from django_paiementpro.models import Payment, PaymentEvent, ReconciliationRun
from django_paiementpro.signals import payment_succeeded
from django_paiementpro.testing import FakeGateway, make_payment
from tests.conftest import INDISCREET, PAGE_URL
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
    """The names that the test's DNS knows, and no proxy in the environment."""
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


def results(topic: str, target: Target | None = None, **values: Any) -> Lines:
    [examine] = [entry.examine for entry in TOPICS if entry.name == topic]
    with override_settings(**values):
        return [(result.level.value, result.text) for result in examine(target or Target())]


def only(lines: Lines, expected: str) -> str:
    [(level, text)] = lines
    assert level == expected
    return text


# The command.


@pytest.fixture
def answering(gateway: FakeGateway) -> FakeGateway:
    """A site of this name whose server is away, so that nothing leaves the machine."""
    return gateway


def run(capsys: pytest.CaptureFixture[str], *args: str, code: int = 1) -> str:
    if code:
        with pytest.raises(CommandError, match="probl"):
            call_command("paiementpro_doctor", *args)
    else:
        call_command("paiementpro_doctor", *args)
    out = capsys.readouterr().out
    assert not INDISCREET.search(out)
    assert KEY not in out
    return out


@pytest.mark.usefixtures("answering")
def test_all_topics_are_examined_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    lines = json.loads(run(capsys, "--json"))

    topics = list(dict.fromkeys(line["topic"] for line in lines))
    assert topics == [topic.name for topic in TOPICS if topic.name != "gateway"]
    assert [line["topic"] for line in lines if line["level"] == "fail"] == ["notification"]


@pytest.mark.usefixtures("answering")
def test_each_line_begins_with_its_level(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys).splitlines()
    assert {line.split()[0] for line in lines} == {"pass", "warn", "fail"}
    assert lines[0] == "pass  The settings are valid."


@pytest.mark.usefixtures("answering")
def test_output_is_translated(payment: Payment, capsys: pytest.CaptureFixture[str]) -> None:
    flag(payment)
    flag(payment, "paid_twice")
    assert "warn  1 paiement est à vérifier" in run(capsys, "--language", "fr")
    assert "warn  1 payment needs review" in run(capsys)


def test_exit_code_is_0_if_nothing_fails(dns: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with override_settings(PAIEMENTPRO_SITE_URL=None, DEBUG=True):
        out = run(capsys, code=0)
    assert "warn  PAIEMENTPRO_SITE_URL is not set" in out
    assert "fail" not in out


@pytest.mark.usefixtures("answering")
def test_another_url_can_be_examined(capsys: pytest.CaptureFixture[str]) -> None:
    assert "ALLOWED_HOSTS does not include www.shop.example" in run(capsys, "--url", "https://www.shop.example/")


def test_invalid_url_is_refused() -> None:
    with pytest.raises(CommandError, match="--url: write"):
        call_command("paiementpro_doctor", "--url", "shop.example")


@pytest.mark.usefixtures("answering")
def test_invalid_setting_does_not_hide_other_findings(capsys: pytest.CaptureFixture[str]) -> None:
    with override_settings(PAIEMENTPRO_TIMEOUT=20, PAIEMENTPRO_TYPO=1):
        out = run(capsys)
    assert "fail  PAIEMENTPRO_TIMEOUT: write (connect, read)" in out
    assert "warn  PAIEMENTPRO_TYPO is not a setting" in out
    assert "warn  Skipped because of a wrong setting: PAIEMENTPRO_TIMEOUT" in out
    assert "Receivers of payment_succeeded: doctor." in out


@pytest.mark.usefixtures("answering")
def test_database_error_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    def away(*arguments: Any) -> None:
        raise DatabaseError("secret")

    with connection.execute_wrapper(away):
        out = run(capsys)
    assert "fail  A database query failed: DatabaseError." in out
    assert "paiementpro_reconcile" not in out
    assert "secret" not in out


@pytest.mark.usefixtures("answering")
def test_missing_tables_are_not_read(capsys: pytest.CaptureFixture[str]) -> None:
    MigrationRecorder(connection).flush()
    topics = {line["topic"] for line in json.loads(run(capsys, "--json"))}
    assert {"tables", "database"} <= topics
    assert not {"reconciliation", "backlog"} & topics


class Broken:
    def db_for_write(self, model: Any, **hints: Any) -> str:
        raise LookupError("secret")


@pytest.mark.usefixtures("answering")
def test_error_in_the_projects_code_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with override_settings(DATABASE_ROUTERS=[Broken()]):
        out = run(capsys)
    assert "fail  Skipped: the project’s own code raised LookupError (test_doctor.py:" in out
    assert "secret" not in out


class Indiscreet:
    def db_for_write(self, model: Any, **hints: Any) -> str:
        raise ImproperlyConfigured(f"amqp://shop:rabbit@broker/ \x1b[2J {settings.SECRET_KEY} tiger")


@pytest.mark.usefixtures("answering")
def test_secrets_in_messages_of_other_code_are_hidden(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    databases = {"default": {**settings.DATABASES["default"], "PASSWORD": "tiger"}}
    monkeypatch.setattr(settings, "DATABASES", databases)
    with override_settings(DATABASE_ROUTERS=[Indiscreet()]):
        out = run(capsys)
    assert "because of a wrong setting: amqp://…@broker/  [2J … …\n" in out


# Settings.


def test_good_settings_pass() -> None:
    assert only(results("settings"), "pass") == "The settings are valid."


@pytest.mark.parametrize(
    ("values", "level", "expected"),
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
def test_invalid_setting_is_reported(values: dict[str, Any], level: str, expected: str) -> None:
    assert expected in only(results("settings", **values), level)


def test_debug_with_a_local_gateway_passes() -> None:
    assert results("settings", DEBUG=True, PAIEMENTPRO_GATEWAY_URL="http://localhost:8000/sandbox")[0][0] == "pass"


# Receivers.


def test_receiver_is_named() -> None:
    assert only(results("receivers"), "pass") == "Receivers of payment_succeeded: doctor."


def test_missing_receiver_fails() -> None:
    payment_succeeded.disconnect(dispatch_uid="doctor")
    assert "paid orders are not fulfilled" in only(results("receivers"), "fail")


# Tables and database.


def test_tables_up_to_date_pass() -> None:
    assert only(results("tables"), "pass") == "The tables are up to date."


class Elsewhere:
    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "elsewhere"


@pytest.mark.parametrize(
    ("routers", "command"), [([], "manage.py migrate"), ([Elsewhere()], "manage.py migrate --database elsewhere")]
)
def test_missing_migration_fails(routers: list[Any], command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MigrationRecorder(connection).flush()
    monkeypatch.setattr(connections._connections, "elsewhere", connection, raising=False)
    monkeypatch.setitem(connections.settings, "elsewhere", connection.settings_dict)
    lines = results("tables", DATABASE_ROUTERS=routers)
    assert only(lines, "fail") == f"The tables are not up to date: run “{command}”."


def test_healthy_database_passes() -> None:
    assert only(results("database"), "pass") == "The database is set up correctly."


def test_system_checks_of_the_database_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "oracle")
    assert only(results("database"), "warn").endswith("(paiementpro.W020)")


# The address.


def test_public_https_address_passes() -> None:
    assert only(results("address"), "pass") == f"shop.example is a public name ({PUBLIC_ADDRESS})."


def test_missing_site_url_is_reported() -> None:
    assert "is not set" in only(results("address", PAIEMENTPRO_SITE_URL=None), "fail")
    assert "is not set" in only(results("address", PAIEMENTPRO_SITE_URL=None, DEBUG=True), "warn")


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "192.168.1.10", "[::1]", "10.0.0.1:8000", "shop.local", "shop.internal.", "shop"]
)
def test_private_address_fails(host: str) -> None:
    lines = results("address", PAIEMENTPRO_SITE_URL=f"https://{host}")
    assert "is a private name or address" in only(lines, "fail")


def test_private_address_passes_with_a_local_gateway() -> None:
    values = {"PAIEMENTPRO_SITE_URL": "http://127.0.0.1:8000", "PAIEMENTPRO_GATEWAY_URL": "http://127.0.0.1:8000/gate"}
    assert "this is a development setup" in only(results("address", **values), "pass")


def test_plain_http_fails() -> None:
    lines = results("address", PAIEMENTPRO_SITE_URL="http://shop.example")
    assert [level for level, _text in lines] == ["pass", "fail"]
    assert "is not https" in lines[1][1]


@pytest.mark.parametrize("host", ["nowhere.example", "a..b", "é" * 70 + ".example"])
def test_unknown_host_name_fails(host: str) -> None:
    assert "cannot be resolved" in only(results("address", Target(f"https://{host}")), "fail")


def test_public_name_with_a_private_address_here_is_a_warning(dns: dict[str, str]) -> None:
    dns["shop.example"] = "127.0.0.1"
    assert "shop.example resolves to a private address here (127.0.0.1)" in only(results("address"), "warn")


def test_proxy_resolves_the_name(monkeypatch: pytest.MonkeyPatch, dns: dict[str, str]) -> None:
    dns.clear()
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert "through the proxy set in the environment" in only(results("address"), "pass")


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
def test_authority_has_the_format_of_a_host_header(url: str, authority: str) -> None:
    with override_settings(PAIEMENTPRO_SITE_URL=None):
        assert Target(url).authority == authority


# Cron and the backlog.


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


def test_recent_reconciliation_passes() -> None:
    reconciled(HOURS, HOURS)
    reconciled(MINUTES, MINUTES)
    assert only(results("reconciliation"), "pass") == "paiementpro_reconcile last finished 4\xa0minutes ago."


def test_new_installation_is_warned_about_cron() -> None:
    text = only(results("reconciliation"), "warn")
    assert "has never run" in text
    assert f"*/5 * * * * {sys.executable} manage.py paiementpro_reconcile" in text


def test_shop_without_cron_fails(payment: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    Payment.objects.update(created_at=timezone.now() - HOURS)
    monkeypatch.setattr(sys, "argv", ["/srv/shop/manage.py"])
    text = only(results("reconciliation"), "fail")
    assert f"*/5 * * * * {sys.executable} /srv/shop/manage.py paiementpro_reconcile" in text


def test_old_reconciliation_fails() -> None:
    reconciled(HOURS, HOURS)
    assert "last ran 3\xa0hours ago" in only(results("reconciliation"), "fail")


@pytest.mark.parametrize("finished", [None, HOURS])
def test_runs_that_never_finish_are_a_warning(finished: timedelta | None) -> None:
    reconciled(HOURS, finished)
    reconciled(MINUTES, None)
    assert "no run has finished" in only(results("reconciliation"), "warn")


def test_problems_of_the_last_run_are_reported() -> None:
    reconciled(MINUTES * 2, MINUTES * 2, failed=1)
    reconciled(MINUTES, MINUTES, gateway_away=True, failed=2)
    lines = results("reconciliation")
    assert [level for level, _text in lines] == ["pass", "warn", "warn"]
    assert "The gateway was unavailable during" in lines[1][1]
    assert lines[2][1].startswith("2 rows raised an error")


def test_empty_backlog_passes() -> None:
    assert only(results("backlog"), "pass") == "No signal, review or expiry is overdue."


@pytest.mark.parametrize(("age", "level"), [(timedelta(minutes=1), "warn"), (HOURS, "fail")])
def test_undelivered_events_are_reported(payment: Payment, age: timedelta, level: str) -> None:
    moment = timezone.now() - age
    PaymentEvent.objects.create(
        payment=payment, kind="host", outcome="accepted", created_at=moment, deliver_at=timezone.now()
    )
    text = only(results("backlog"), level)
    assert text.startswith("1 event has undelivered signals")
    assert ("The oldest has been waiting for 3\xa0hours" in text) == (level == "fail")


def test_payments_to_review_are_reported() -> None:
    assert results("backlog")[0][0] == "pass"
    for _ in range(2):
        flag(make_payment())
    assert only(results("backlog"), "warn").startswith("2 payments need review")


def test_overdue_payments_are_reported() -> None:
    make_payment(status="pending", attempt=1, initialized_at=timezone.now() - timedelta(hours=24, minutes=50))
    assert results("backlog")[0][0] == "pass"
    make_payment(status="pending", attempt=1, initialized_at=timezone.now() - timedelta(hours=25, minutes=10))
    assert "1 payment should have expired" in only(results("backlog"), "fail")


def test_missing_notifications_are_reported() -> None:
    for way in ("status", "staff", "status"):
        assert results("backlog")[0][0] == "pass"
        make_payment(status="succeeded", settled_by=way, settled_at=timezone.now())
    assert "None of the last 3 paid payments was settled by a notification" in only(results("backlog"), "warn")
    make_payment(status="succeeded", settled_by="notification", settled_at=timezone.now())
    assert results("backlog")[0][0] == "pass"


# The gateway.


def asked(**values: Any) -> Lines:
    return results("gateway", Target(asks_gateway=True), **values)


def test_gateway_is_not_called_by_default(gateway: FakeGateway) -> None:
    assert results("gateway") == []
    assert list(gateway.mock.calls) == []


def test_opened_page_passes_and_changes_no_payment(gateway: FakeGateway) -> None:
    lines = asked()
    assert lines == [
        ("pass", "The gateway (www.paiementpro.net, JSON) opens payment pages, on www.paiementpro.net."),
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


def test_page_is_opened_over_soap(gateway: FakeGateway) -> None:
    [page, _status] = asked(PAIEMENTPRO_TRANSPORT="soap")

    assert page == ("pass", "The gateway (www.paiementpro.net, SOAP) opens payment pages, on www.paiementpro.net.")
    [sent] = gateway.page_requests
    assert (sent.amount, sent.customer_msisdn) == (100, "2250700000000")
    assert sent.notification_url.startswith(f"{SHOP}/paiementpro/notification/")


def test_transport_of_the_host_is_named() -> None:
    [page, _status] = asked(PAIEMENTPRO_TRANSPORT="tests.gateway.test_client.OwnTransport")

    assert page[1].startswith("The gateway (www.paiementpro.net, tests.gateway.test_client.OwnTransport) opens")


@pytest.mark.usefixtures("transport")
def test_refusal_is_reported_with_the_gateways_message(gateway: FakeGateway) -> None:
    gateway.refuses("ID marchand inconnu")
    level, text = asked()[0]
    assert level == "fail"
    assert "refuses to open a payment page: “ID marchand inconnu”. Check that PAIEMENTPRO_MERCHANT_ID" in text


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (requests.ConnectTimeout(), 200, "(ConnectTimeout). Check whether a firewall blocks"),
        (requests.ReadTimeout(), 200, "(ReadTimeout). Check whether a firewall blocks"),
        (requests.exceptions.SSLError(), 200, "(SSLError). Update this machine’s CA certificates"),
        (requests.ConnectionError(), 200, "(ConnectionError). Check that this machine can reach"),
        ("", 503, "out of order (HTTP 503). Check PAIEMENTPRO_GATEWAY_URL"),
        ("<html>", 200, "Check PAIEMENTPRO_GATEWAY_URL"),
    ],
)
@pytest.mark.usefixtures("transport")
def test_unavailable_gateway_is_reported(gateway: FakeGateway, body: Any, status: int, expected: str) -> None:
    gateway.answers(body, status)
    level, text = asked()[0]
    assert level == "fail"
    assert expected in text


def test_page_on_another_host_is_reported_without_its_url(gateway: FakeGateway) -> None:
    gateway.opens(PAGE_URL.replace("paiementpro.net", "example.com"))
    level, text = asked()[0]
    assert level == "fail"
    assert "a page on a host that PAIEMENTPRO_ALLOWED_REDIRECT_HOSTS lacks" in text
    assert "sessionid" not in text


STATUS = {"PAIEMENTPRO_STATUS_URL": "https://api.paiementpro.net/status"}


def look_up(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, body: Any, status: int = 200) -> tuple[str, str]:
    monkeypatch.setattr("django_paiementpro.models.secrets.token_hex", lambda size: "ab" * size)
    gateway.tells("ab" * 12, body, status)
    return asked(**STATUS)[1]


def test_status_look_up_that_knows_nothing_passes(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look_up(gateway, monkeypatch, '{"success": false, "error": "Aucune transaction"}') == (
        "pass",
        "The status look-up (api.paiementpro.net) answers: “Aucune transaction”.",
    )


def test_unavailable_status_look_up_is_a_warning(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    level, text = look_up(gateway, monkeypatch, "", 500)
    assert level == "warn"
    assert "Until then only notifications settle payments." in text


def test_status_look_up_that_confirms_everything_fails(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    level, text = look_up(gateway, monkeypatch, '{"success": true}')
    assert level == "fail"
    assert "confirms a payment that does not exist" in text


def test_without_urls_no_page_is_requested(gateway: FakeGateway) -> None:
    assert asked(ROOT_URLCONF="django.conf.urls.i18n") == [("pass", "The status look-up is off.")]
