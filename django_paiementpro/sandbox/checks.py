"""The sandbox lets anyone pay without money, so it runs only with DEBUG or its own setting."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from django_paiementpro.conf import conf


def is_switched_on() -> bool:
    try:
        return bool(settings.DEBUG) or conf.sandbox
    except ImproperlyConfigured:
        return False


def check_switch(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    if is_switched_on():
        return []
    return [
        Error(
            "The sandbox of Paiement Pro is installed where it must not run: anyone could pay without money.",
            hint=(
                'Take "django_paiementpro.sandbox" out of INSTALLED_APPS. For development, write DEBUG = True. For '
                "tests, where Django turns DEBUG off, write PAIEMENTPRO_SANDBOX = True in settings of their own."
            ),
            id="paiementpro_sandbox.E001",
        )
    ]
