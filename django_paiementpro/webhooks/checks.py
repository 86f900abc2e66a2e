from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _

from django_paiementpro.conf import conf


def check_private_addresses(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    try:
        is_allowed = conf.webhooks_allow_private
    except ImproperlyConfigured:
        return []  # paiementpro.E002 reports it
    if not is_allowed or settings.DEBUG:
        return []
    return [
        Warning(
            _(
                "PAIEMENTPRO_WEBHOOKS_ALLOW_PRIVATE is on while DEBUG is off: staff who may edit endpoints can reach "
                "servers inside your network."
            ),
            hint=_("Remove it."),
            id="paiementpro_webhooks.W001",
        )
    ]
