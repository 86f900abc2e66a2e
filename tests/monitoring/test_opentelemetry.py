import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, connections
from django.utils import timezone
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)

from django_paiementpro.models import Payment, PaymentEvent, ReconciliationRun
from django_paiementpro.monitoring.opentelemetry import GAUGES, register
from django_paiementpro.testing import make_payment
from tests.conftest import Statements
from tests.test_admin import flag

ROOT = Path(__file__).resolve().parents[2]

#: By metric: attributes and value of each point.
Points = dict[str, list[tuple[dict[str, str], float]]]


@pytest.fixture
def observed() -> Iterator[Callable[[MetricReader], None]]:
    """Register the metrics with a provider of its own for a reader."""
    providers: list[MeterProvider] = []

    def observe(reader: MetricReader) -> None:
        provider = MeterProvider([reader], shutdown_on_exit=False)
        providers.append(provider)
        register(provider)

    yield observe
    for provider in providers:
        provider.shutdown()


@pytest.fixture
def reader(observed: Callable[[MetricReader], None]) -> InMemoryMetricReader:
    reader = InMemoryMetricReader()
    observed(reader)
    return reader


def points_of(data: MetricsData | None) -> Points:
    metrics = [
        metric
        for resource in (data.resource_metrics if data else [])
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]
    return {
        metric.name: [(dict(point.attributes), point.value) for point in metric.data.data_points] for metric in metrics
    }


def collect(reader: InMemoryMetricReader) -> Points:
    return points_of(reader.get_metrics_data())


@pytest.mark.django_db
def test_every_metric_is_exported(reader: InMemoryMetricReader, settings: Any) -> None:
    settings.PAIEMENTPRO_CHANNELS = ["OMCIV2", "WAVECI"]
    now = timezone.now()
    hour = timedelta(hours=1)
    ReconciliationRun.objects.create(host="web", process_id=1, seen_at=now - hour, finished_at=now - hour)
    payment = make_payment(channel="OMCIV2", status="succeeded", attempt=1, settled_at=now, initialized_at=now)
    flag(payment)
    flag(payment, "paid_twice")
    make_payment(channel="OMCIV2", status="pending", attempt=1, created_at=now - 2 * hour, initialized_at=now - hour)
    values = {"payment": payment, "kind": "notification", "outcome": "accepted"}
    PaymentEvent.objects.create(**values, created_at=now - hour, deliver_at=now)

    points = collect(reader)

    assert points.keys() == {gauge.name for gauge in GAUGES}
    assert points["paiementpro.payments.pending"] == [({}, 1)]
    assert points["paiementpro.payments.to_review"] == [({}, 1)]
    assert points["paiementpro.events.undelivered"] == [({}, 1)]
    for name in ("payments.pending.oldest", "events.undelivered.oldest", "notification.last", "reconciliation.last"):
        [(_attributes, age)] = points[f"paiementpro.{name}_age"]
        assert age == pytest.approx(3600, abs=60)
    [(attributes, age)] = points["paiementpro.channel.last_success_age"]
    assert attributes == {"channel": "OMCIV2"}
    assert age < 60
    assert points["paiementpro.channel.success_rate"] == [
        ({"channel": "OMCIV2", "window": "hour"}, 1),
        ({"channel": "OMCIV2", "window": "week"}, 0),
    ]
    assert len(points["paiementpro.channel.payments"]) == 4
    assert points["paiementpro.channel.failing"] == [({"channel": "OMCIV2"}, 0), ({"channel": "WAVECI"}, 0)]


@pytest.mark.django_db
def test_unknown_channels_are_reported_as_one(reader: InMemoryMetricReader, settings: Any) -> None:
    settings.PAIEMENTPRO_CHANNELS = ["OMCIV2", ("NEWPAY", "New pay")]
    now = timezone.now()
    for channel, minutes in [("Awa Koné 0707", 30), ("Ali 0505", 10), ("NEWPAY", 20), ("OMCIV2", 1), ("FLOOZ", 1)]:
        settled_at = now - timedelta(minutes=minutes)
        moments = {"settled_at": settled_at, "initialized_at": settled_at - timedelta(minutes=5)}
        make_payment(gateway_channel=channel, status="succeeded", attempt=1, **moments)
    for _ in range(3):
        make_payment(gateway_channel="Awa", status="failed", attempt=1, initialized_at=now - timedelta(minutes=20))

    points = collect(reader)

    channels = {attributes["channel"] for values in points.values() for attributes, _ in values if attributes}
    assert channels == {"OMCIV2", "NEWPAY", "FLOOZ", "other"}
    hour = {"channel": "other", "window": "hour"}
    assert (hour, 5) in points["paiementpro.channel.payments"]
    assert (hour, 0.4) in points["paiementpro.channel.success_rate"]
    assert hour not in [attributes for attributes, _ in points["paiementpro.channel.time_to_pay"]]
    assert ({"channel": "other"}, 0) in points["paiementpro.channel.failing"]
    ages = {attributes["channel"]: age for attributes, age in points["paiementpro.channel.last_success_age"]}
    assert ages["other"] == pytest.approx(600, abs=60)


@pytest.mark.django_db
def test_empty_shop_exports_what_it_can(reader: InMemoryMetricReader) -> None:
    points = collect(reader)

    assert points["paiementpro.payments.pending.oldest_age"] == [({}, 0)]
    assert "paiementpro.notification.last_age" not in points


def test_units_and_names_follow_the_conventions() -> None:
    for gauge in GAUGES:
        assert gauge.name.startswith("paiementpro.")
        assert gauge.unit in {"s", "1", "{payment}", "{event}"}
        assert gauge.description.endswith(".")


@pytest.mark.django_db
def test_one_snapshot_is_taken_for_each_collection(reader: InMemoryMetricReader, statements: Statements) -> None:
    with statements:
        assert collect(reader)["paiementpro.payments.pending"] == [({}, 0)]
    assert len(statements) == 9

    make_payment(status="pending")
    with statements:
        assert collect(reader)["paiementpro.payments.pending"] == [({}, 1)]
    assert len(statements) == 8  # channel health is cached


@pytest.mark.django_db
def test_each_reader_has_its_own_snapshot() -> None:
    readers = [InMemoryMetricReader(), InMemoryMetricReader()]
    provider = MeterProvider(readers, shutdown_on_exit=False)
    register(provider)
    collect(readers[0])
    make_payment(status="pending")

    assert collect(readers[1])["paiementpro.payments.pending"] == [({}, 1)]
    provider.shutdown()


@pytest.mark.django_db
def test_unavailable_database_does_not_stop_the_exporter(
    reader: InMemoryMetricReader, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def away(*arguments: Any) -> None:
        asked.append(arguments)
        raise DatabaseError("secret")

    with connection.execute_wrapper(away):
        assert collect(reader) == {}
    assert len(asked) == 1
    assert [(record.name, record.message) for record in caplog.records] == [
        ("django_paiementpro", "metrics_unavailable outcome=failed error=DatabaseError")
    ]
    assert caplog.records[0].error == "DatabaseError"
    assert "secret" not in caplog.text
    assert collect(reader)


@pytest.mark.django_db
def test_wrong_setting_stops_no_exporter(
    reader: InMemoryMetricReader, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.PAIEMENTPRO_CHANNELS = "OMCIV2"

    assert collect(reader) == {}
    assert caplog.records[0].error == ImproperlyConfigured.__name__


@pytest.mark.django_db
def test_open_connection_stays_open(reader: InMemoryMetricReader) -> None:
    make_payment()
    before = connection.connection

    collect(reader)

    assert connection.connection is before
    assert Payment.objects.exists()


class Exporter(MetricExporter):
    """Keeps the data, and the connections that are open in its thread by then."""

    def __init__(self) -> None:
        super().__init__()
        self.data: list[MetricsData] = []
        self.open: list[Any] = []
        self.has_some = Event()

    def export(self, metrics_data: MetricsData, *args: Any, **options: Any) -> MetricExportResult:
        self.open += [each.connection for each in connections.all(initialized_only=True) if each.connection]
        self.data.append(metrics_data)
        if len(self.data) >= 3:
            self.has_some.set()
        return MetricExportResult.SUCCESS

    def force_flush(self, *args: Any) -> bool: ...

    def shutdown(self, *args: Any, **options: Any) -> None: ...


@pytest.mark.django_db(transaction=True)
def test_thread_of_the_sdk_leaves_no_connection_open(
    observed: Callable[[MetricReader], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", None)
    make_payment(status="pending")
    exporter = Exporter()

    observed(PeriodicExportingMetricReader(exporter, export_interval_millis=500))

    assert exporter.has_some.wait(30)
    assert [points_of(data)["paiementpro.payments.pending"] for data in exporter.data[:3]] == [[({}, 1)]] * 3
    assert exporter.open == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# With and without


@pytest.mark.parametrize("missing", ["opentelemetry", "opentelemetry.metrics"])
def test_without_the_package_nothing_is_registered(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.metrics")
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "django_paiementpro.monitoring.opentelemetry")

    apps.get_app_config("paiementpro_monitoring").ready()

    assert "django_paiementpro.monitoring.opentelemetry" not in sys.modules


def run(code: str, folder: Path) -> str:
    """Run Python in a process and a database of its own, and return the last line of its output."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
    }
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return process.stdout.splitlines()[-1]


def test_project_without_the_package_starts(tmp_path: Path) -> None:
    code = """
        import sys
        sys.modules["opentelemetry"] = None
        import django
        from django.core.management import call_command
        django.setup()
        call_command("check")
        print([name for name in sys.modules if "opentelemetry" in name])
    """
    assert run(code, tmp_path) == "['opentelemetry']"


def test_app_that_is_not_listed_is_not_imported(tmp_path: Path) -> None:
    code = """
        import sys
        from django.conf import settings
        settings.INSTALLED_APPS.remove("django_paiementpro.monitoring")
        settings.INSTALLED_APPS.remove("shop")
        settings.ROOT_URLCONF = "django_paiementpro.urls"
        import django
        from django.urls import get_resolver
        django.setup()
        get_resolver().url_patterns
        print([name for name in sys.modules if "monitoring" in name or "opentelemetry" in name])
    """
    assert run(code, tmp_path) == "[]"


def test_provider_that_is_set_later_gets_the_metrics(tmp_path: Path) -> None:
    code = """
        import django
        from django.core.management import call_command
        django.setup()
        call_command("migrate", verbosity=0)
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider([reader]))
        [resource] = reader.get_metrics_data().resource_metrics
        [scope] = resource.scope_metrics
        print(scope.scope.name, [metric.name for metric in scope.metrics][0])
    """
    assert run(code, tmp_path) == "django_paiementpro paiementpro.payments.pending"
