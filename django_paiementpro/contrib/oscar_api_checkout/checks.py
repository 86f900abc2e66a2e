from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning
from django.core.checks import register as register_check
from django.utils.translation import gettext as _
from oscar.core.loading import get_model
from oscarapi import settings
from oscarapicheckout.settings import ORDER_STATUS_AUTHORIZED, ORDER_STATUS_CANCELED, ORDER_STATUS_PENDING


def register() -> None:
    register_check(check_orders, "paiementpro_oscar_api_checkout")


def check_orders(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that a paid order can be authorized, and an unpaid one cancelled: both would stay as they are."""
    initial, pipeline = settings.INITIAL_ORDER_STATUS, get_model("order", "Order").pipeline
    found: list[CheckMessage] = []
    hint = _("Add it to OSCAR_ORDER_STATUS_PIPELINE[%(initial)r], or set %(setting)s.")
    if initial != ORDER_STATUS_PENDING or ORDER_STATUS_AUTHORIZED not in pipeline.get(initial, ()):
        message = _("An order cannot change from %(initial)r to %(status)r: a paid order would stay unpaid.")
        names = {"initial": initial, "status": ORDER_STATUS_AUTHORIZED, "setting": "OSCARAPI_INITIAL_ORDER_STATUS"}
        found.append(Error(message % names, hint=hint % names, id="paiementpro_oscar_api_checkout.E001"))
    elif ORDER_STATUS_CANCELED not in pipeline[initial]:
        message = _("An order cannot change from %(initial)r to %(status)r: an unpaid order would keep its stock.")
        names = {"initial": initial, "status": ORDER_STATUS_CANCELED, "setting": "ORDER_STATUS_CANCELED"}
        found.append(Warning(message % names, hint=hint % names, id="paiementpro_oscar_api_checkout.W001"))
    return found
