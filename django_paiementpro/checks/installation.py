"""What is wrong with the settings and URLs of an installation, and how to fix it."""

from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve
from django.utils.encoding import punycode
from django.utils.translation import gettext as _

from django_paiementpro import signing
from django_paiementpro.conf import PREFIX, SANDBOX_URL, Conf, Setting, conf
from django_paiementpro.delivery.backends import get_backend
from django_paiementpro.extensions import extensions
from django_paiementpro.signals import payment_succeeded

# Paiement Pro's own domain.
PAIEMENT_PRO = "paiementpro.net"

# The merchant of the examples, in Paiement Pro's documentation and in ours.
SAMPLE_MERCHANT = "PP-F324"

SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
LOCALE = "django.middleware.locale.LocaleMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"


def check_installation(app_configs: Sequence[Any] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check the settings and the URLs."""
    return [
        *_settings(),
        *_unknown_names(),
        *_time_zone(),
        *_transport(),
        *_urls(),
        *_site_url(),
        *_result_pages(),
        *_backend(),
        *_phone_numbers(),
        *_receivers(),
        *_locale_middleware(),
    ]


def check_deployment(app_configs: Sequence[Any] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check what matters only in production: ``check --deploy``."""
    return [*_gateway(), *_merchant(), *_idle_backend()]


def _gateway() -> list[CheckMessage]:
    """Check the settings that decide which gateway may settle payments, and where customers are sent to pay."""
    messages: list[CheckMessage] = []
    if _is_in_sandbox():
        messages.append(
            Warning(
                _("Payments are taken in Paiement Pro’s sandbox: no money moves."),
                hint=_('Set PAIEMENTPRO_ENVIRONMENT = "live", or remove it.'),
                id="paiementpro.W002",
            )
        )
    if _valid(Conf.sandbox) and not settings.DEBUG:
        messages.append(
            Error(
                _("PAIEMENTPRO_SANDBOX is on while DEBUG is off: the local sandbox lets anyone pay without money."),
                hint=_('Remove it, and take "django_paiementpro.sandbox" out of INSTALLED_APPS.'),
                id="paiementpro.E008",
            )
        )
    if not settings.DEBUG:
        messages += [*_address(Conf._gateway_url), *_address(Conf._status_url)]
    if "*" in (_valid(Conf.allowed_redirect_hosts) or ()):
        messages.append(
            Warning(
                _("PAIEMENTPRO_ALLOWED_REDIRECT_HOSTS allows any host: payers can be redirected to any site."),
                hint=_("List the hosts of the gateway’s pages, or remove the setting."),
                id="paiementpro.W005",
            )
        )
    return messages


def _address(setting: Setting[str | None]) -> list[CheckMessage]:
    """Check the URL of a gateway or of a status service that is not the default one."""
    parts = urlsplit(_valid(setting) or "")
    host = _host(parts)
    params = {"setting": setting.name, "host": host}
    if parts.scheme == "http":
        return [
            Error(
                _("%(setting)s is not https: anyone on the network path can report a payment as made.") % params,
                hint=_("Write an https:// URL, or remove the setting."),
                id="paiementpro.E009",
            )
        ]
    if not host or f".{host}".endswith(f".{PAIEMENT_PRO}"):
        return []
    if host == _host(urlsplit(_valid(Conf.site_url) or "")) or _is_sandbox(parts.path):
        return [
            Error(
                _("%(setting)s points to this site, whose sandbox lets anyone pay without money.") % params,
                hint=_("Remove the setting."),
                id="paiementpro.E010",
            )
        ]
    return [
        Warning(
            _("%(setting)s points to %(host)s, not to Paiement Pro, but its answers decide what is paid.") % params,
            hint=_("Remove the setting, unless %(host)s is a proxy for Paiement Pro.") % params,
            id="paiementpro.W004",
        )
    ]


def _host(parts: SplitResult) -> str:
    """Return the host of a URL, without the dot that may end it, in ASCII."""
    host = (parts.hostname or "").rstrip(".")
    with suppress(UnicodeError):
        host = punycode(host)
    return host


def _is_sandbox(path: str) -> bool:
    """Return whether this project serves the local sandbox below a path."""
    path = path.removeprefix(get_script_prefix().rstrip("/"))
    try:
        # Below the gateway's path this is the payment page; below the status service's, a reference.
        match = resolve(f"{path}/sandbox.php")
    except Resolver404:
        return False
    return "paiementpro_sandbox" in match.app_names


def _merchant() -> list[CheckMessage]:
    if settings.DEBUG or (_valid(Conf.merchant_id) or "").upper() != SAMPLE_MERCHANT:
        return []
    return [
        Warning(
            _("PAIEMENTPRO_MERCHANT_ID is %(sample)s, the documentation’s example, while DEBUG is off.")
            % {"sample": SAMPLE_MERCHANT},
            hint=_("Write the merchant id that Paiement Pro gave you: payments go to its account."),
            id="paiementpro.W008",
        )
    ]


def _valid(setting: Setting[Any]) -> Any:
    """Return the value of a setting, or None if it is wrong, which ``_settings`` reports."""
    try:
        return setting.__get__(conf, Conf)
    except ImproperlyConfigured:
        return None


def _settings() -> list[CheckMessage]:
    """Report each wrong setting, in the words of its own error."""
    messages: list[CheckMessage] = []
    for setting in conf:
        try:
            setting.__get__(conf, Conf)
        except ImproperlyConfigured as error:
            text = str(error)
            is_missing = setting is Conf.merchant_id and not hasattr(settings, setting.name)
            messages.append(Error(text, id="paiementpro.E001" if is_missing else "paiementpro.E002"))
    return messages


def _unknown_names() -> list[CheckMessage]:
    known = {setting.name for setting in conf}
    return [
        Warning(
            _("%(name)s is not a setting of this app.") % {"name": name},
            hint=_("Correct the name, or remove it. Known settings: %(names)s.") % {"names": ", ".join(sorted(known))},
            id="paiementpro.W001",
        )
        for name in dir(settings)
        if name.startswith(PREFIX) and name not in known
    ]


def _time_zone() -> list[CheckMessage]:
    if settings.USE_TZ:
        return []
    return [
        Error(
            _("USE_TZ is off: dates and times would be stored without their time zone."),
            hint=_("Set USE_TZ = True."),
            id="paiementpro.E007",
        )
    ]


def _transport() -> list[CheckMessage]:
    """Check that the SOAP service can be called, and that it exists where it would be called."""
    if _valid(Conf.transport) != "soap":
        return []
    messages: list[CheckMessage] = []
    if find_spec("defusedxml") is None:
        messages.append(missing_defusedxml())
    if _is_in_sandbox():
        messages.append(
            Error(
                _('PAIEMENTPRO_TRANSPORT is "soap", but Paiement Pro’s sandbox has no SOAP service.'),
                hint=_(
                    'Write PAIEMENTPRO_TRANSPORT = "json", or PAIEMENTPRO_ENVIRONMENT = "live"; for development, the '
                    "local sandbox has a SOAP service."
                ),
                id="paiementpro.E012",
            )
        )
    status_host = _host(urlsplit(_valid(Conf._status_url) or ""))
    if f".{status_host}".endswith(f".{PAIEMENT_PRO}"):
        messages.append(
            Warning(
                _(
                    'PAIEMENTPRO_STATUS_URL is set, and PAIEMENTPRO_TRANSPORT is "soap": SOAP has no status look-up of '
                    "its own, and this one may not know its payments."
                ),
                hint=_(
                    "Make one real payment, and see whether the look-up confirms it. If it does, silence this check "
                    "with SILENCED_SYSTEM_CHECKS; if not, set PAIEMENTPRO_STATUS_URL = None."
                ),
                id="paiementpro.W010",
            )
        )
    return messages


def missing_defusedxml() -> CheckMessage:
    return Error(
        _('PAIEMENTPRO_TRANSPORT is "soap", but defusedxml is not installed: no payment page can be opened.'),
        hint=_('Run pip install "django-paiementpro[soap]".'),
        id="paiementpro.E011",
    )


def _is_in_sandbox() -> bool:
    """Return whether pages are opened in Paiement Pro's sandbox."""
    gateway_url = _valid(Conf._gateway_url)
    return gateway_url == SANDBOX_URL or (_valid(Conf.environment) == "sandbox" and not gateway_url)


def _urls() -> list[CheckMessage]:
    try:
        signing.path_of(signing.NOTIFICATION, "-")
    except ImproperlyConfigured:
        return []  # the namespace is wrong, which _settings reports
    except NoReverseMatch:
        return [
            Error(
                _("The URLs of the app are not included."),
                hint=_(
                    'Add path("paiementpro/", include("django_paiementpro.urls")) to your urlpatterns. If another '
                    "namespace includes them, set PAIEMENTPRO_URL_NAMESPACE."
                ),
                id="paiementpro.E003",
            )
        ]
    return []


def _site_url() -> list[CheckMessage]:
    """Check the base of the URLs for the gateway: anyone who can read a notification URL can forge a success."""
    if settings.DEBUG or urlsplit(_valid(Conf.site_url) or "").scheme == "https":
        return []
    return [
        Error(
            _("PAIEMENTPRO_SITE_URL is missing, or is not https: the gateway sends its notifications there."),
            hint=_(
                'Write the public base URL of this site, like "https://example.com". Django’s test runner turns DEBUG '
                "off: the settings of your tests need it too."
            ),
            id="paiementpro.E004",
        )
    ]


def _result_pages() -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    for setting in (Conf.success_url, Conf.failure_url):
        value = getattr(settings, setting.name, None)
        try:
            if isinstance(value, str) and value.strip():
                resolve_url(value.replace("{reference}", "reference"))
        except NoReverseMatch:
            messages.append(
                Error(
                    _("%(setting)s: there is no URL named %(value)r.") % {"setting": setting.name, "value": value},
                    hint=_("Write a path, a URL, or the name of a URL without arguments."),
                    id="paiementpro.E005",
                )
            )
    return messages


def _is_delivered_by_tasks() -> bool:
    return bool(_valid(Conf.delivery) == "task")


def _backend() -> list[CheckMessage]:
    """Check that deliveries can be queued, if a worker is to run them."""
    if not _is_delivered_by_tasks():
        return []
    try:
        get_backend().why_idle()
    except Exception as error:  # noqa: BLE001  backends raise anything about their settings
        return [
            Error(
                _('PAIEMENTPRO_DELIVERY is "task", but no delivery can be queued: %(error)s')
                % {"error": error if isinstance(error, ImportError) else type(error).__name__},
                hint=_(
                    'Install "django-paiementpro[tasks]" or use Django 6.0, with a backend "default" in TASKS that has '
                    'the queue "default"; or install "django-paiementpro[celery]", and add '
                    '"django_paiementpro.contrib.celery" to INSTALLED_APPS.'
                ),
                id="paiementpro.E006",
            )
        ]
    return []


def _idle_backend() -> list[CheckMessage]:
    """Check that a worker runs the queued deliveries. A broken backend is already reported as an error."""
    if _backend() or not _is_delivered_by_tasks() or not (reason := get_backend().why_idle()):
        return []
    return [
        Warning(
            _('PAIEMENTPRO_DELIVERY is "task", but no worker runs the receivers: %(reason)s.') % {"reason": reason},
            hint=_('Choose a backend that has workers, or write PAIEMENTPRO_DELIVERY = "immediate".'),
            id="paiementpro.W006",
        )
    ]


def _phone_numbers() -> list[CheckMessage]:
    try:
        lite, full = version("phonenumberslite"), version("phonenumbers")
    except PackageNotFoundError:
        return []
    return compare_phone_numbers(full, lite)


def compare_phone_numbers(full: str, lite: str) -> list[CheckMessage]:
    """Check that the two distributions of the package ``phonenumbers``, which share their files, have one version."""
    if full == lite:
        return []
    return [
        Warning(
            _(
                "phonenumbers %(full)s and phonenumberslite %(lite)s install the same package: its files come from two "
                "versions."
            )
            % {"full": full, "lite": lite},
            hint=_(
                "Run “pip install --force-reinstall phonenumbers==%(full)s phonenumberslite==%(full)s”, and pin both "
                "to the same version."
            )
            % {"full": full},
            id="paiementpro.W007",
        )
    ]


def _receivers() -> list[CheckMessage]:
    """
    Check that something happens when an order is paid. The checks above have imported the URLs, and the views.

    Our own optional apps fulfil no orders; payment links need no receiver.
    """
    labels = tuple(f"{extension.label}." for extension in extensions())
    names = payment_succeeded.receiver_names(apps.get_model("paiementpro", "Payment"))
    if any(not name.startswith(labels) for name in names) or any(extension.sells for extension in extensions()):
        return []
    return [
        Warning(
            _("No receiver is connected to payment_succeeded: paid orders are not fulfilled."),
            hint=_("Connect one in a module that your AppConfig.ready() imports."),
            id="paiementpro.W003",
        )
    ]


def _locale_middleware() -> list[CheckMessage]:
    """Check the order that Django's documentation gives."""
    names = list(settings.MIDDLEWARE)
    if LOCALE not in names:
        return []
    position = names.index(LOCALE)
    if SESSION not in names[position:] and COMMON not in names[:position]:
        return []
    return [
        Warning(
            _("LocaleMiddleware is in the wrong place in MIDDLEWARE: payers may see pages in another language."),
            hint=_("Write “%(locale)s” after “%(session)s” and before “%(common)s”.")
            % {"locale": LOCALE, "session": SESSION, "common": COMMON},
            id="paiementpro.W009",
        )
    ]
