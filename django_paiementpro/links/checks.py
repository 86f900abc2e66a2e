"""What payment links need, and how to provide it."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from django_paiementpro.conf import conf


def check_links(app_configs: Sequence[Any] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check the URLs, the library for QR codes, and the name of the shop."""
    return [*_library(), *_urls(), *_shop()]


def _library() -> list[CheckMessage]:
    if find_spec("segno"):
        return []
    return [
        Error(
            _("Payment links need the package segno for their QR codes."),
            hint=_("Run “%(command)s”.") % {"command": 'pip install "django-paiementpro[links]"'},
            id="paiementpro_links.E002",
        )
    ]


def _urls() -> list[CheckMessage]:
    try:
        reverse("paiementpro_links:link", args=["-"])
    except NoReverseMatch:
        return [
            Error(
                _("The URLs of the payment links are not included."),
                hint=_('Add path("pay/", include("django_paiementpro.links.urls")) to your urlpatterns.'),
                id="paiementpro_links.E001",
            )
        ]
    return []


def _shop() -> list[CheckMessage]:
    try:
        name = conf.shop.name
    except ImproperlyConfigured:
        return []  # paiementpro.E002 reports it
    if name:
        return []
    return [
        Warning(
            _("PAIEMENTPRO_SHOP has no name: the pages of payment links do not say who sells."),
            hint=_('Write PAIEMENTPRO_SHOP = {"name": "…", "phone": "…", "address": "…"}.'),
            id="paiementpro_links.W001",
        )
    ]
