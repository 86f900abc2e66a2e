"""
The figures of ``services.health()`` and ``services.channel_health()`` as OpenTelemetry metrics.

The app registers them itself where ``opentelemetry-api`` is installed; without an SDK of the host's nothing is ever
asked for, and with ``PAIEMENTPRO_OPENTELEMETRY = False`` nothing is told. They are figures of the database: each
process tells the same, so that dashboards take their maximum, never their sum.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from threading import Lock
from typing import TypeAlias

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter

from django_paiementpro import __version__, log, services
from django_paiementpro.conf import conf
from django_paiementpro.enums import Channel, ChannelVerdict, Outcome
from django_paiementpro.services import ChannelHealth, Health, Performance

#: The attribute of all channels that neither the app nor the settings know.
OTHER = "other"

#: Numbers with their attributes; None is not told.
Numbers: TypeAlias = Iterable[tuple[float | None, dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Figures:
    """What is told in one collection."""

    health: Health
    channels: dict[str, ChannelHealth]

    @classmethod
    def take(cls) -> "Figures":
        """Return the current figures. All unknown channels are ``other``: the gateway may notify any text."""
        health, channels = services.health(), services.channel_health()
        known = {*Channel.values, *conf.channels}
        others = [each for code, each in channels.items() if code not in known]
        other_moments = [moment for code, moment in health.last_success_at.items() if moment and code not in known]
        moments = {code: moment for code, moment in health.last_success_at.items() if code in known}
        channels = {code: each for code, each in channels.items() if code in known}
        if other_moments:
            moments[OTHER] = max(other_moments)
        if others:
            is_failing = any(each.is_failing for each in others)
            channels[OTHER] = ChannelHealth(
                OTHER,
                ChannelVerdict.FAILING if is_failing else ChannelVerdict.UNKNOWN,
                _sum(each.last_hour for each in others),
                _sum(each.last_week for each in others),
            )
        return cls(replace(health, last_success_at=moments), channels)


def _sum(performances: Iterable[Performance]) -> Performance:
    """Add up payments. There is no median of medians."""
    total = Performance()
    for each in performances:
        total = Performance(total.paid + each.paid, total.unpaid + each.unpaid, total.waiting + each.waiting)
    return total


@dataclass(frozen=True, slots=True)
class Gauge:
    """A metric, and how its numbers are read from the figures."""

    name: str
    unit: str
    description: str
    read: Callable[[Figures], Numbers]


def of_health(read: Callable[[Health], float | None]) -> Callable[[Figures], Numbers]:
    return lambda figures: [(read(figures.health), {})]


def of_channels(read: Callable[[ChannelHealth], float | None]) -> Callable[[Figures], Numbers]:
    return lambda figures: [(read(each), {"channel": code}) for code, each in figures.channels.items()]


def of_windows(name: str) -> Callable[[Figures], Numbers]:
    """Read a figure of the last hour, and of the week before it, of each operator."""

    def read(figures: Figures) -> Numbers:
        for code, each in figures.channels.items():
            yield getattr(each.last_hour, name), {"channel": code, "window": "hour"}
            yield getattr(each.last_week, name), {"channel": code, "window": "week"}

    return read


def last_successes(figures: Figures) -> Numbers:
    for code, moment in figures.health.last_success_at.items():
        yield figures.health.age(moment), {"channel": code}


GAUGES = [
    Gauge(
        "paiementpro.payments.pending",
        "{payment}",
        "Payments that wait for their payers.",
        of_health(lambda health: health.pending),
    ),
    Gauge(
        "paiementpro.payments.pending.oldest_age",
        "s",
        "How long the one has waited that has waited longest; 0 where none does.",
        of_health(lambda health: health.age(health.oldest_pending_at) or 0.0),
    ),
    Gauge(
        "paiementpro.payments.to_review",
        "{payment}",
        "Payments that a person must look at.",
        of_health(lambda health: health.to_review),
    ),
    Gauge(
        "paiementpro.events.undelivered",
        "{event}",
        "Events that owe signals, and that nobody is delivering.",
        of_health(lambda health: health.undelivered),
    ),
    Gauge(
        "paiementpro.events.undelivered.oldest_age",
        "s",
        "Age of the oldest of them; 0 where there is none.",
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
        "Time since a reconciliation was last seen at work.",
        of_health(lambda health: health.age(health.reconciled_at)),
    ),
    Gauge("paiementpro.channel.last_success_age", "s", "Time since somebody last paid.", last_successes),
    Gauge(
        "paiementpro.channel.payments",
        "{payment}",
        "Payments behind the success rate.",
        of_windows("payments"),
    ),
    Gauge(
        "paiementpro.channel.success_rate",
        "1",
        "Part of the payments that came through.",
        of_windows("success_rate"),
    ),
    Gauge(
        "paiementpro.channel.time_to_pay",
        "s",
        "Median time from the payment page to the money.",
        of_windows("seconds_to_pay"),
    ),
    Gauge(
        "paiementpro.channel.failing",
        "1",
        "1 where far fewer payments come through than usual, else 0.",
        of_channels(lambda channel: int(channel.is_failing)),
    ),
]


def register(meter_provider: MeterProvider | None = None) -> None:
    """Tell the host's meter provider, or a given one, what may be asked for. One that is set later will know it too."""
    meter = get_meter("django_paiementpro", __version__, meter_provider)
    collection = Collection()
    for gauge in GAUGES:
        meter.create_observable_gauge(gauge.name, [collection.callback(gauge)], gauge.unit, gauge.description)


class Collection:
    """
    The figures of one collection, taken once for all gauges.

    A gauge that asks again begins another collection: nothing else tells one from the next.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.asked: set[str] = set()
        self.figures: Figures | None = None

    def callback(self, gauge: Gauge) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> list[Observation]:
            figures = self.figures_for(gauge)
            if figures is None:
                return []
            return [Observation(number, attributes) for number, attributes in gauge.read(figures) if number is not None]

        return observe

    def figures_for(self, gauge: Gauge) -> Figures | None:
        with self.lock:
            if not self.asked or gauge.name in self.asked:
                self.asked.clear()
                self.figures = take_figures()
            self.asked.add(gauge.name)
            return self.figures


def take_figures() -> Figures | None:
    """Return the figures of now; None where the host wants none, or where they cannot be had, which is logged."""
    opened = _open_connections()
    try:
        return Figures.take() if conf.opentelemetry else None
    except Exception as error:  # noqa: BLE001  the exporter is the host's, and goes on
        log.write("metrics_unavailable", outcome=Outcome.FAILED, error=type(error).__name__)
        return None
    finally:
        # This is a thread of the SDK's, which nobody tidies up after.
        for connection in _open_connections():
            if connection not in opened:
                connection.close()


def _open_connections() -> list[BaseDatabaseWrapper]:
    """Return those of this thread."""
    return [each for each in connections.all(initialized_only=True) if each.connection is not None]
