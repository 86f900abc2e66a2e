"""
The settings, read when they are used, so that ``override_settings`` works.

A missing or wrong value raises ``ImproperlyConfigured`` with the setting's name and what to write; the system checks
report the same. DEBUG never decides about money.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import timedelta
from typing import Any, Generic, TypeVar, cast, overload
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email
from django.utils.module_loading import import_string
from django.utils.translation import check_for_language
from django.utils.translation import gettext as _

from django_paiementpro.enums import Channel
from django_paiementpro.phones import parse_phone
from django_paiementpro.shop import Shop

T = TypeVar("T")

PREFIX = "PAIEMENTPRO_"
LIVE_URL = "https://www.paiementpro.net"
SANDBOX_URL = "https://sandbox.paiementpro.net"
LIVE_STATUS_URL = "https://api.paiementpro.net/status"


# As in ALLOWED_HOSTS: a host, a host with a leading dot for its subdomains too, or any host.
HOST_PATTERN = re.compile(r"\*|\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")

# A host, an origin, or the URL scheme of an app.
RETURN_PATTERN = re.compile(
    r"\.?[a-z0-9-]+(\.[a-z0-9-]+)*|https?://[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?|[a-z][a-z0-9+.-]*://"
)

# URL schemes that do not open an app, but that browsers and phones execute, read or pass on.
DANGEROUS_SCHEMES = frozenset(
    {
        *("about", "blob", "content", "data", "file", "filesystem", "http", "https", "javascript", "livescript"),
        *("android-app", "feed", "ftp", "intent", "jar", "mailto", "ms-appx", "resource", "sms", "tel"),
        *("vbscript", "view-source", "ws", "wss"),
    }
)

CUSTOMER_FIELDS = ("customer_email", "customer_first_name", "customer_last_name", "customer_phone")


_NOTHING = object()


class Setting(Generic[T]):
    """
    A setting with its default and a function that returns the parsed value or raises ``ValueError``.

    With ``is_constant=False`` the value is parsed each time, since it depends on other things too.
    """

    name: str

    def __init__(self, default: object, read: Callable[[Any], T], *, is_constant: bool = True) -> None:
        self.default = default
        self.read = read
        self.is_constant = is_constant
        self._last: tuple[object, T] = (_NOTHING, cast("T", None))

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = PREFIX + name.lstrip("_").upper()

    @overload
    def __get__(self, instance: None, owner: type) -> "Setting[T]": ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> "Setting[T] | T":
        if instance is None:
            return self
        raw = getattr(settings, self.name, self.default)
        # The same object needs no second parsing; override_settings sets another one.
        last, value = self._last
        if raw is last:
            return value
        try:
            value = self.read(raw)
        except ValueError as error:
            raise ImproperlyConfigured(f"{self.name}: {error}") from error
        if self.is_constant:
            self._last = (raw, value)
        return value


def _merchant_id(value: Any) -> str:
    hint = _('write the merchant id that Paiement Pro gave you, like "PP-F324"')
    if len(text := _text(value, hint)) > 64:
        raise ValueError(hint)
    return text


def _text(value: Any, hint: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(hint)
    return value.strip()


def _environment(value: Any) -> str:
    if value not in ("live", "sandbox"):  # not a set, since the value may be unhashable
        raise ValueError(_('write "live" or "sandbox"'))
    return str(value)


def _url(value: Any) -> str | None:
    if value is None:
        return None
    hint = _('write a complete URL, like "https://example.com", or None')
    text = _text(value, hint).rstrip("/")
    try:
        parts = urlsplit(text)
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(hint) from error
    if not is_whole or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(hint)
    return text


def _site_url(value: Any) -> str | None:
    url = _url(value)
    if url and urlsplit(url).path:
        raise ValueError(_('write the base without a path, like "https://example.com"'))
    return url


def _shop(value: Any) -> Shop:
    names = [field.name for field in fields(Shop)]
    if not isinstance(value, dict) or not value.keys() <= set(names):
        raise ValueError(_("write a dictionary with any of these keys: %(names)s") % {"names": ", ".join(names)})
    hint = _("%(key)s: write a text, or leave the key out")
    shop = Shop(**{key: _text(text, hint % {"key": key}) for key, text in value.items()})
    _require_valid_contact(shop)
    if shop.terms_url and not re.match("https?://|/", shop.terms_url):
        raise ValueError(_('terms_url: write a URL or a path, like "/terms/"'))
    return shop


def _require_valid_contact(shop: Shop) -> None:
    for key in ("phone", "whatsapp"):
        try:
            if number := getattr(shop, key):
                parse_phone(number)
        except ValueError as error:
            hint = _('%(key)s: write a telephone number, like "+225 07 07 12 34 56"')
            raise ValueError(hint % {"key": key}) from error
    try:
        if shop.email:
            validate_email(shop.email)
    except ValidationError as error:
        raise ValueError(_("email: write an e-mail address")) from error


def _currencies(value: Any) -> dict[str, str]:
    if (
        not isinstance(value, dict)
        or not value
        or not all(re.fullmatch("[A-Z]{3}", str(code)) for code in value)
        or not all(re.fullmatch("[0-9]{3}", str(number)) for number in value.values())
    ):
        raise ValueError(_('write ISO codes with the gateway’s numeric codes, like {"XOF": "952"}'))
    return {str(code): str(number) for code, number in value.items()}


def _currency(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch("[A-Z]{3}", value):
        raise ValueError(_('write an ISO 4217 code, like "XOF"'))
    if value not in conf.currencies:
        raise ValueError(
            _("write one of PAIEMENTPRO_CURRENCIES (%(known)s), or add %(code)s to it")
            % {"known": ", ".join(conf.currencies), "code": value}
        )
    return value


def _channels(value: Any) -> dict[str, Any]:
    """Return labels by code, in the order to offer them."""
    if value is None:
        return dict(Channel.choices)
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(_('write a list of codes, like ["OMCIV2", "WAVECI"], or None for all'))
    channels: dict[str, Any] = {}
    for entry in value:
        code, label = entry if isinstance(entry, (list, tuple)) and len(entry) == 2 else (entry, None)
        if not isinstance(code, str) or not re.fullmatch(r"[A-Za-z0-9_]{1,32}", code):
            raise ValueError(
                _('%(entry)r is not a channel; write a code, or a code and its label: ("OMCIV2", "Orange Money")')
                % {"entry": entry}
            )
        if label is None and code not in Channel.values:
            raise ValueError(
                _('%(code)s is not a channel known to this version; if it exists, write ("%(code)s", "its label")')
                % {"code": code}
            )
        channels[code] = label or Channel(code).label
    return channels


def _min_amount(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(_("write a whole number of francs, 1 or more"))
    return value


def _timeout(value: Any) -> tuple[float, float]:
    if (
        not isinstance(value, (list, tuple))
        or len(value) != 2
        or not all(isinstance(part, (int, float)) and not isinstance(part, bool) and 0 < part <= 300 for part in value)
    ):
        raise ValueError(_("write (connect, read) in seconds, each above 0 and at most 300, like (3.05, 20)"))
    return (float(value[0]), float(value[1]))


def _positive_timedelta(value: Any) -> timedelta:
    if not isinstance(value, timedelta) or not timedelta(0) < value <= timedelta(days=366):
        raise ValueError(_("write a timedelta above 0 and at most a year, like timedelta(minutes=5)"))
    return value


def _hosts(value: Any) -> list[str]:
    if (
        not isinstance(value, (list, tuple, set))
        or not value
        or not all(isinstance(host, str) and HOST_PATTERN.fullmatch(host) for host in value)
    ):
        raise ValueError(_('write a list of hosts, like ["paiementpro.net", ".paiementpro.net"]'))
    return list(value)


def _target(value: Any) -> str | None:
    return None if value is None else _text(value, _("write a path, a URL or the name of a URL, or None"))


def _dotted_path(value: Any) -> Callable[..., Any] | None:
    if value is None:
        return None
    try:
        function = import_string(_text(value, _('write a dotted path, like "shop.payments.function", or None')))
    except (ImportError, TypeError) as error:
        raise ValueError(_("%(path)r cannot be imported (%(error)s)") % {"path": value, "error": error}) from error
    if not callable(function):
        raise ValueError(_("%(path)r is not callable") % {"path": value})
    return cast("Callable[..., Any]", function)


def _transport(value: Any) -> str:
    """Return "json", "soap" or the dotted path of a class that has the two methods."""
    if value in ("json", "soap"):  # not a set, since the value may be unhashable
        return str(value)
    hint = _('write "json", "soap" or the dotted path of a class, like "shop.gateway.Transport"')
    path = _text(value, hint)
    if "." not in path:
        raise ValueError(hint)
    transport = _dotted_path(path)
    for name in ("open_page", "look_up"):
        if not callable(getattr(transport, name, None)):
            raise ValueError(_("%(path)r has no method %(name)s") % {"path": path, "name": name})
    return path


def _return_hosts(value: Any) -> list[str]:
    hint = _('write a list of hosts, origins and app schemes, like ["shop.example.com", "maboutique://"]')
    if not isinstance(value, (list, tuple, set)) or not all(isinstance(entry, str) for entry in value):
        raise ValueError(hint)
    entries = [entry.lower() for entry in value]
    for entry in entries:
        scheme, _slashes, rest = entry.partition("://")
        if not RETURN_PATTERN.fullmatch(entry) or (not rest and scheme != entry and scheme in DANGEROUS_SCHEMES):
            raise ValueError(hint)
    return entries


def _customer_fields(value: Any) -> list[str]:
    if not isinstance(value, (list, tuple, set)) or not all(name in CUSTOMER_FIELDS for name in value):
        raise ValueError(_("write a list of any of these: %(names)s") % {"names": ", ".join(CUSTOMER_FIELDS)})
    return [name for name in CUSTOMER_FIELDS if name in value]


def _call_limit(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1000:
        raise ValueError(_("write a whole number from 1 to 1000"))
    return value


def _delivery(value: Any) -> str:
    if value not in ("immediate", "task"):  # not a set, since the value may be unhashable
        raise ValueError(_('write "immediate" or "task"'))
    return str(value)


def _alert_emails(value: Any) -> list[tuple[str, str]]:
    """Return addresses with their languages, empty for ``LANGUAGE_CODE``."""
    hint = _(
        'write a list of e-mail addresses, or of addresses and languages: ["a@example.com", ("b@example.com", "fr")]'
    )
    if not isinstance(value, (list, tuple)):
        raise ValueError(hint)
    emails = []
    for entry in value:
        address, language = entry if isinstance(entry, (list, tuple)) and len(entry) == 2 else (entry, "")
        try:
            validate_email(address)
        except ValidationError as error:
            raise ValueError(hint) from error
        if not isinstance(language, str) or (language and not check_for_language(language)):
            raise ValueError(hint)
        emails.append((address, language))
    return emails


def _health_token(value: Any) -> str | None:
    # Characters that need no escaping in a header or a query string.
    if value is not None and not (isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._~-]+", value)):
        raise ValueError(_("write a secret of letters, digits and any of - . _ ~, or None"))
    return value


def _namespace(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w-]+(:[\w-]+)*", value):
        raise ValueError(_('write the instance namespace of the app’s URLs, like "plugins:paiementpro"'))
    return value


def _order_status(value: Any) -> str:
    return _text(value, _("write a status of OSCAR_ORDER_STATUS_PIPELINE"))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(_("write True or False"))
    return value


class Conf:
    """The settings, named in lower case without the prefix ``PAIEMENTPRO_``. The documentation shows the comments."""

    #: Your merchant id. In a marketplace, ``Payment(merchant_id=...)`` overrides it.
    merchant_id = Setting(None, _merchant_id)
    #: ``"live"`` for real money, or ``"sandbox"`` for the gateway's test server.
    environment = Setting("live", _environment)
    #: How payment pages are requested: ``"json"`` or ``"soap"``, the gateway's two services (``"soap"`` needs
    #: ``pip install "django-paiementpro[soap]"``), or the dotted path of a class with the methods ``open_page`` and
    #: ``look_up``. What follows the redirect is the same.
    transport = Setting("json", _transport, is_constant=False)
    #: The public base URL of your site, for the URLs sent to the gateway. Required unless ``DEBUG`` is on, when they
    #: can be built from the request.
    site_url = Setting(None, _site_url)
    #: Who you are, for your customers: a dictionary of texts, all of which may be left out: ``name``, ``logo`` (a URL,
    #: or the path of a static file), ``phone``, ``whatsapp``, ``email``, ``address``, ``registration`` (RCCM),
    #: ``tax_id`` (NCC, IFU, NINEA), ``terms_url``.
    shop = Setting({}, _shop)
    #: The currencies of your account, with the gateway's numeric codes. The gateway reads any other currency as francs.
    currencies = Setting({"XOF": "952"}, _currencies)
    #: The default currency of payments, one of ``PAIEMENTPRO_CURRENCIES``.
    currency = Setting("XOF", _currency, is_constant=False)
    #: The payment methods of your account, in the order to offer them. Write ``("CODE", "label")`` for a code that this
    #: version does not know; ``None`` offers all known ones.
    channels = Setting(None, _channels)
    #: The smallest amount. The gateway refuses less than 100 francs.
    min_amount = Setting(100, _min_amount)
    #: Connect and read time-outs of each call to the gateway, in seconds.
    timeout = Setting((3.05, 20), _timeout)
    #: How long a payment page is offered again before a new one is requested.
    session_lifetime = Setting(timedelta(minutes=4), _positive_timedelta)
    #: How long after the last thing that happened to it an unpaid payment expires, at the next reconciliation: its
    #: newest page was opened, the operator or the gateway refused it, or else it was created.
    expires_after = Setting(timedelta(hours=24), _positive_timedelta)
    #: The hosts of payment pages, in the format of ``ALLOWED_HOSTS``, besides that of ``PAIEMENTPRO_GATEWAY_URL``.
    #: Customers are never sent to other hosts.
    allowed_redirect_hosts = Setting(["paiementpro.net", ".paiementpro.net"], _hosts)
    #: Where the customer goes after a successful payment; ``{reference}`` is replaced. ``None`` shows the built-in
    #: page. ``Payment(success_url=...)`` overrides it, within this site and ``PAIEMENTPRO_RETURN_HOSTS``.
    success_url = Setting(None, _target)
    #: The same after an unsuccessful payment.
    failure_url = Setting(None, _target)
    #: ``verifier(notification) -> bool``, for merchants who know how their ``hashcode`` is computed. A notification is
    #: refused unless it returns ``True``, also if it raises.
    hashcode_verifier = Setting(None, _dotted_path, is_constant=False)
    #: ``factory(request, validated_data) -> Payment``, unsaved, for the REST API, which creates no payments without it:
    #: the shop decides the amount, never the client.
    payment_factory = Setting(None, _dotted_path, is_constant=False)
    #: Where customers may return to besides this site: hosts, over https (``.example.com`` includes subdomains),
    #: origins (``"http://localhost:5173"``) and the URL schemes of apps (``"maboutique://"``).
    return_hosts = Setting([], _return_hosts)
    #: The customer fields that clients of the REST API may set.
    api_customer_fields = Setting([], _customer_fields)
    #: Whether the REST API requires an ``Idempotency-Key`` for a new payment.
    api_key_required = Setting(False, _flag)
    #: How many requests, to the checkout URL and to the REST API, may wait for the gateway at once in each process. Set
    #: it below the number of threads, so that some stay free; further requests are answered with 503, to be retried in
    #: a few seconds.
    api_gateway_calls = Setting(24, _call_limit)
    #: ``"immediate"`` runs receivers in the web process, before the gateway is answered; ``"task"`` runs them in a
    #: worker.
    delivery = Setting("immediate", _delivery)
    #: Who is mailed when something needs a person: addresses, or ``("address", "fr")`` for another language than
    #: ``LANGUAGE_CODE``. Empty for no mail.
    alert_emails = Setting([], _alert_emails)
    #: The secret with which monitoring reads the health view, as ``Authorization: Bearer <token>`` or ``?token=``.
    #: ``None``: only staff who may view payments read it.
    health_token = Setting(None, _health_token)
    #: The namespace of the app's URLs, if you include them inside others: ``"plugins:shop:paiementpro"``.
    url_namespace = Setting("paiementpro", _namespace)
    #: Whether receipts are mailed to the customer.
    receipt_email = Setting(False, _flag)
    #: ``issuer(receipt) -> FiscalDocument``, for the tax administration's documents.
    fiscal_issuer = Setting(None, _dotted_path, is_constant=False)
    #: Whether outgoing webhooks may go to private addresses, and by http: for development.
    webhooks_allow_private = Setting(False, _flag)
    #: django-oscar: the status of a paid order.
    oscar_paid_status = Setting("Being processed", _order_status)
    #: django-oscar: the status of an order whose payment has expired or was cancelled.
    oscar_cancelled_status = Setting("Cancelled", _order_status)
    #: Whether the local sandbox may run with ``DEBUG`` off.
    sandbox = Setting(False, _flag)
    #: Overrides the base URL of the gateway, for the local sandbox or a proxy.
    _gateway_url = Setting(None, _url)
    #: The URL of the status look-up; ``None`` turns it off. It defaults to ``https://api.paiementpro.net/status`` in
    #: the live environment, and to ``None`` in the sandbox or with ``PAIEMENTPRO_GATEWAY_URL``.
    _status_url = Setting(None, _url)

    @property
    def gateway_url(self) -> str:
        """The gateway's base URL, without a trailing slash."""
        return self._gateway_url or (LIVE_URL if self.environment == "live" else SANDBOX_URL)

    @property
    def own_gateway(self) -> tuple[str, str]:
        """The scheme and host of ``PAIEMENTPRO_GATEWAY_URL``, empty if it is not set."""
        parts = urlsplit(self._gateway_url or "")
        return parts.scheme, parts.hostname or ""

    @property
    def status_url(self) -> str | None:
        """The base URL of the status look-up, or None if it is off."""
        if hasattr(settings, "PAIEMENTPRO_STATUS_URL"):
            return self._status_url
        return LIVE_STATUS_URL if self.environment == "live" and not self._gateway_url else None

    def __iter__(self) -> Iterator[Setting[Any]]:
        return (value for value in vars(type(self)).values() if isinstance(value, Setting))


conf = Conf()
