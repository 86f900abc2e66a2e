from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.checks import register as register_check
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _
from oscar.core.loading import get_model

from django_paiementpro.conf import conf

CHECKOUT = "django_paiementpro.contrib.oscar.checkout"


def register() -> None:
    register_check(check_orders, "paiementpro_oscar")


def check_orders(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that a paid order becomes paid, and an unpaid one cancelled: oscar would leave either as it is."""
    try:
        paid, cancelled, currencies = conf.oscar_paid_status, conf.oscar_cancelled_status, conf.currencies
    except ImproperlyConfigured:
        return []  # paiementpro.E002 reports it
    pipeline = get_model("order", "Order").pipeline
    initial = getattr(settings, "OSCAR_INITIAL_ORDER_STATUS", "")
    found: list[CheckMessage] = []
    hint = _("Add it to OSCAR_ORDER_STATUS_PIPELINE[%(initial)r], or set %(setting)s.")
    if paid not in pipeline.get(initial, ()):
        message = _("An order cannot change from %(initial)r to %(status)r: a paid order would stay unpaid.")
        names = {"initial": initial, "status": paid, "setting": "PAIEMENTPRO_OSCAR_PAID_STATUS"}
        found.append(Error(message % names, hint=hint % names, id="paiementpro_oscar.E001"))
    if cancelled not in pipeline.get(initial, ()):
        message = _("An order cannot change from %(initial)r to %(status)r: an unpaid order would keep its stock.")
        names = {"initial": initial, "status": cancelled, "setting": "PAIEMENTPRO_OSCAR_CANCELLED_STATUS"}
        found.append(Warning(message % names, hint=hint % names, id="paiementpro_oscar.W001"))
    currency = getattr(settings, "OSCAR_DEFAULT_CURRENCY", "GBP")  # as in oscar.defaults
    if currency not in currencies:
        message = _("The shop sells in %(currency)s, which the account cannot charge.") % {"currency": currency}
        hint = _("Set OSCAR_DEFAULT_CURRENCY to one of these: %(currencies)s.") % {"currencies": ", ".join(currencies)}
        found.append(Warning(message, hint=hint, id="paiementpro_oscar.W002"))
    installed = [config.name for config in apps.get_app_configs()]
    if CHECKOUT in installed and installed.index(CHECKOUT) > installed.index("oscar"):
        message = _("Oscar’s templates come before the adapter’s: pages lack what the adapter’s say about payment.")
        hint = _("In INSTALLED_APPS, move the checkout above oscar.config.Shop.")
        found.append(Warning(message, hint=hint, id="paiementpro_oscar.W003"))
    return found
