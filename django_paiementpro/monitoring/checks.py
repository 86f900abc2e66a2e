from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _

from django_paiementpro.conf import conf

#: A token of fewer characters could be guessed.
MIN_TOKEN_LENGTH = 32


def check_health_token(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    try:
        token = conf.health_token
    except ImproperlyConfigured:
        return []  # paiementpro.E002 reports it
    if token is None or len(token) >= MIN_TOKEN_LENGTH:
        return []
    return [
        Warning(
            _("PAIEMENTPRO_HEALTH_TOKEN is shorter than %(number)d characters: it could be guessed.")
            % {"number": MIN_TOKEN_LENGTH},
            hint=_("Generate one: %(command)s")
            % {"command": 'python -c "import secrets; print(secrets.token_urlsafe(32))"'},
            id="paiementpro_monitoring.W001",
        )
    ]
