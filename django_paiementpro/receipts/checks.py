"""What receipts need of the installation."""

import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from django_paiementpro.conf import Conf, Setting, conf

#: The packages of the extra ``receipts``, by the module that is imported.
PACKAGES: Mapping[str, str] = {"fpdf": "fpdf2", "num2words": "num2words", "segno": "segno"}

#: What a seller has to say about themselves, by the key in ``PAIEMENTPRO_SHOP``.
DUTIES = ("name", "address", "phone", "email", "registration", "tax_id")

SMTP = "django.core.mail.backends.smtp.EmailBackend"


def check_receipts(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    return [*check_packages(), *_urls(), *_seller(), *_mail()]


def check_packages(packages: Mapping[str, str] = PACKAGES) -> list[CheckMessage]:
    """Check that the packages are installed, by their modules, without importing them."""
    missing = [package for module, package in packages.items() if find_spec(module) is None]
    if not missing:
        return []
    return [
        Error(
            _("Receipts need packages that are not installed: %(names)s.") % {"names": ", ".join(missing)},
            hint=_('Run pip install "django-paiementpro[receipts]".'),
            id="paiementpro_receipts.E001",
        )
    ]


def _urls() -> list[CheckMessage]:
    try:
        reverse("paiementpro_receipts:receipt", args=["-"])
    except NoReverseMatch:
        return [
            Error(
                _("The URLs of the receipts are not included."),
                hint=_('Add path("receipts/", include("django_paiementpro.receipts.urls")) to your urlpatterns.'),
                id="paiementpro_receipts.E002",
            )
        ]
    return []


def _seller() -> list[CheckMessage]:
    shop = _valid(Conf.shop)
    missing = [name for name in DUTIES if shop is not None and not getattr(shop, name)]
    if not missing:
        return []
    return [
        Warning(
            _("PAIEMENTPRO_SHOP does not say who the seller is: %(names)s.") % {"names": ", ".join(missing)},
            hint=_(
                "The law asks a seller to state name, full address, phone, e-mail, trade register and, if it applies, "
                "tax number. Add them, or silence this check if the law asks less of you."
            ),
            id="paiementpro_receipts.W001",
        )
    ]


def _mail() -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    if not _valid(Conf.receipt_email):
        return messages
    if not _valid(Conf.site_url):
        messages.append(
            Warning(
                _("Receipts are mailed without a link, since PAIEMENTPRO_SITE_URL is missing."),
                hint=_('Write the public base URL of this site, like "https://example.com".'),
                id="paiementpro_receipts.W002",
            )
        )
    if _may_hang():
        messages.append(
            Warning(
                _("A mail server that does not answer would hold a thread of this site for ever."),
                hint=_(
                    "Set a timeout for it, such as EMAIL_TIMEOUT = 10; since Django 6.1 it is an option in MAILERS."
                ),
                id="paiementpro_receipts.W003",
            )
        )
    return messages


def _may_hang() -> bool:
    """Return whether mail goes to an SMTP server without a time-out."""
    if mailers := getattr(settings, "MAILERS", None):  # since Django 6.1
        mailer = mailers.get("default", {})
        return mailer.get("BACKEND") == SMTP and mailer.get("OPTIONS", {}).get("timeout") is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there, Django itself says that these are deprecated
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return settings.EMAIL_BACKEND == SMTP and settings.EMAIL_TIMEOUT is None


def _valid(setting: Setting[Any]) -> Any:
    """Return the value of a setting, or None if it is wrong, which ``paiementpro.E002`` reports."""
    try:
        return setting.__get__(conf, Conf)
    except ImproperlyConfigured:
        return None
