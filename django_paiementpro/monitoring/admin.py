"""The notices of channels that are failing or slow now, on the page of the takings."""

from collections.abc import Iterator

from django.utils.translation import gettext as _

from django_paiementpro.admin.notices import NOTICES
from django_paiementpro.enums import Channel, ChannelStatus
from django_paiementpro.models import offered_channels
from django_paiementpro.monitoring.channel_health import channel_health


def channel_notices() -> Iterator[str]:
    """Name the channels that are failing or slow now."""
    names = {**dict(Channel.choices), **dict(offered_channels())}
    channels = channel_health().values()
    for status, text in (
        (ChannelStatus.FAILING, _("Having problems right now: %(channels)s.")),
        (ChannelStatus.SLOW, _("Slow right now: %(channels)s.")),
    ):
        if affected := [str(names.get(each.channel, each.channel)) for each in channels if each.status == status]:
            yield text % {"channels": ", ".join(affected)}


NOTICES.append(channel_notices)
