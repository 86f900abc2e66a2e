"""
Health and channel health as OpenTelemetry metrics.

The monitoring app registers them if ``opentelemetry-api`` is installed; they are measured only if the host has an SDK.
The values come from the database, so every process reports the same: take their maximum on dashboards, not their sum.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from threading import Lock
from typing import TypeAlias

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter

from django_paiementpro import __version__, log
from django_paiementpro.conf import conf
from django_paiementpro.db.connections import open_connections
from django_paiementpro.enums import Channel, ChannelStatus, Outcome
from django_paiementpro.monitoring.channel_health import ChannelHealth, Performance, channel_health
from django_paiementpro.monitoring.health import Health, health

#: The attribute of all channels that neither the app nor the settings know.
OTHER = "other"

#: Values with their attributes; None is not exported.
Values: TypeAlias = Iterable[tuple[float | None, dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one collection exports."""

    health: Health
    channels: dict[str, ChannelHealth]

    @classmethod
    def take(cls) -> "Snapshot":
        """Measure now. All unknown channels are ``other``, since the gateway may notify any text."""
        now, channels = health(), channel_health()
        known = {*Channel.values, *conf.channels}
        others = [each for code, each in channels.items() if code not in known]
        other_moments = [moment for code, moment in now.last_success_at.items() if moment and code not in known]
        moments = {code: moment for code, moment in now.last_success_at.items() if code in known}
        channels = {code: each for code, each in channels.items() if code in known}
        if other_moments:
            moments[OTHER] = max(other_moments)
        if others:
            is_failing = any(each.is_failing for each in others)
            channels[OTHER] = ChannelHealth(
                OTHER,
                ChannelStatus.FAILING if is_failing else ChannelStatus.UNKNOWN,
                _sum(each.last_hour for each in others),
                _sum(each.last_week for each in others),
            )
        return cls(replace(now, last_success_at=moments), channels)


def _sum(performances: Iterable[Performance]) -> Performance:
    """Add up the payments."""
    total = Performance()
    for each in performances:
        total = Performance(total.paid + each.paid, total.unpaid + each.unpaid, total.waiting + each.waiting)
    return total


@dataclass(frozen=True, slots=True)
class Gauge:
    """A metric, and how to read its values from a snapshot."""

    name: str
    unit: str
    description: str
    read: Callable[[Snapshot], Values]


def of_health(read: Callable[[Health], float | None]) -> Callable[[Snapshot], Values]:
    return lambda snapshot: [(read(snapshot.health), {})]


def of_channels(read: Callable[[ChannelHealth], float | None]) -> Callable[[Snapshot], Values]:
    return lambda snapshot: [(read(each), {"channel": code}) for code, each in snapshot.channels.items()]


def of_windows(name: str) -> Callable[[Snapshot], Values]:
    """Read a value of the last hour, and of the week before it, for each channel."""

    def read(snapshot: Snapshot) -> Values:
        for code, each in snapshot.channels.items():
            yield getattr(each.last_hour, name), {"channel": code, "window": "hour"}
            yield getattr(each.last_week, name), {"channel": code, "window": "week"}

    return read


def last_successes(snapshot: Snapshot) -> Values:
    for code, moment in snapshot.health.last_success_at.items():
        yield snapshot.health.age(moment), {"channel": code}


GAUGES = [
    Gauge(
        "paiementpro.payments.pending",
        "{payment}",
        "Pending payments.",
        of_health(lambda health: health.pending),
    ),
    Gauge(
        "paiementpro.payments.pending.oldest_age",
        "s",
        "How long the oldest of them has been pending; 0 if there is none.",
        of_health(lambda health: health.age(health.oldest_pending_at) or 0.0),
    ),
    Gauge(
        "paiementpro.payments.to_review",
        "{payment}",
        "Payments to review.",
        of_health(lambda health: health.to_review),
    ),
    Gauge(
        "paiementpro.events.undelivered",
        "{event}",
        "Events with undelivered signals, apart from those being delivered.",
        of_health(lambda health: health.undelivered),
    ),
    Gauge(
        "paiementpro.events.undelivered.oldest_age",
        "s",
        "Age of the oldest of them; 0 if there is none.",
        of_health(lambda health: health.age(health.oldest_undelivered_at) or 0.0),
    ),
    Gauge(
        "paiementpro.notification.last_age",
        "s",
        "Time since the last notification that was not refused.",
        of_health(lambda health: health.age(health.last_notification_at)),
    ),
    Gauge(
        "paiementpro.reconciliation.last_age",
        "s",
        "Time since a reconciliation last finished, or was seen at work.",
        of_health(lambda health: health.age(health.reconciled_at)),
    ),
    Gauge("paiementpro.channel.last_success_age", "s", "Time since a payment last succeeded.", last_successes),
    Gauge(
        "paiementpro.channel.payments",
        "{payment}",
        "Payments that the success rate is about.",
        of_windows("payments"),
    ),
    Gauge(
        "paiementpro.channel.success_rate",
        "1",
        "Share of the payments that were paid within 15 minutes.",
        of_windows("success_rate"),
    ),
    Gauge(
        "paiementpro.channel.time_to_pay",
        "s",
        "Mean time from the payment page to the payment.",
        of_windows("seconds_to_pay"),
    ),
    Gauge(
        "paiementpro.channel.failing",
        "1",
        "1 if far fewer payments succeed than usual, else 0.",
        of_channels(lambda channel: int(channel.is_failing)),
    ),
]


def register(meter_provider: MeterProvider | None = None) -> None:
    """Register the gauges with a given meter provider, or with the host's, which may be set later."""
    meter = get_meter("django_paiementpro", __version__, meter_provider)
    collection = Collection()
    for gauge in GAUGES:
        meter.create_observable_gauge(gauge.name, [collection.callback(gauge)], gauge.unit, gauge.description)


class Collection:
    """
    Takes one snapshot for all gauges of a collection.

    A gauge that asks a second time begins the next collection: nothing else tells one from another.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.asked: set[str] = set()
        self.snapshot: Snapshot | None = None

    def callback(self, gauge: Gauge) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> list[Observation]:
            snapshot = self.snapshot_for(gauge)
            if snapshot is None:
                return []
            return [Observation(value, attributes) for value, attributes in gauge.read(snapshot) if value is not None]

        return observe

    def snapshot_for(self, gauge: Gauge) -> Snapshot | None:
        with self.lock:
            if not self.asked or gauge.name in self.asked:
                self.asked.clear()
                self.snapshot = take_snapshot()
            self.asked.add(gauge.name)
            return self.snapshot


def take_snapshot() -> Snapshot | None:
    """Return a snapshot, or None if it cannot be taken, which is logged: the host's exporter must go on."""
    opened = open_connections()
    try:
        return Snapshot.take()
    except Exception as error:  # noqa: BLE001  the exporter is the host's, and goes on
        log.write("metrics_unavailable", outcome=Outcome.FAILED, error=type(error).__name__)
        return None
    finally:
        # Django does not close the connections of the SDK's threads.
        for connection in open_connections():
            if connection not in opened:
                connection.close()
