"""The conditions that the shop's staff receive mail about."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django_paiementpro.db.connections import database
from django_paiementpro.enums import ChannelStatus, SettledBy
from django_paiementpro.models import Payment
from django_paiementpro.monitoring.channel_health import measure_channels
from django_paiementpro.monitoring.health import health

#: The conditions, apart from ``channel:<code>``: a payment method that fails.
UNDELIVERED, UNRECONCILED, OVERDUE, SILENT = "undelivered", "unreconciled", "overdue", "silent"
CHANNEL = "channel:"

#: Notifications have stopped if in this time at least this number of payments were settled by look-up, and none by
#: them.
SILENCE = timedelta(hours=6)
MIN_SILENT = 3


def find_conditions(now: datetime) -> Mapping[str, bool]:
    """Return the conditions that hold (True) or are over (False). What is uncertain at the moment is left out."""
    problems = health(now).problems
    conditions = {name: name in problems for name in (UNDELIVERED, UNRECONCILED, OVERDUE)}
    for code, channel in measure_channels(now).items():
        if channel.status != ChannelStatus.UNKNOWN:
            conditions[CHANNEL + code] = channel.is_failing
    by_notification, by_look_up = _count_settled(now)
    if by_notification:
        conditions[SILENT] = False
    elif by_look_up >= MIN_SILENT:
        conditions[SILENT] = True
    return conditions


def _count_settled(now: datetime) -> tuple[int, int]:
    """Return how many payments were settled lately by notification, 1 for any, and by the status look-up."""
    settled = Payment.objects.using(database()).order_by().filter(settled_at__gt=now - SILENCE, settled_at__lte=now)
    by_notification = settled.filter(settled_by=SettledBy.NOTIFICATION).exists()
    return int(by_notification), settled.filter(settled_by=SettledBy.STATUS).count()
