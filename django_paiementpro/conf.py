"""
The settings, each typed once, and read when used, so that a host's ``override_settings`` just works.

A missing or wrong value raises ``ImproperlyConfigured`` with the setting's name and what to write; the system check
says the same at start-up. DEBUG decides nothing about money.
"""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Generic, TypeVar, cast, overload
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from django_paiementpro.enums import Channel

T = TypeVar("T")

PREFIX = "PAIEMENTPRO_"
LIVE_URL = "https://www.paiementpro.net"
SANDBOX_URL = "https://sandbox.paiementpro.net"
LIVE_STATUS_URL = "https://api.paiementpro.net/status"


# As in ALLOWED_HOSTS: a host, a host with a dot before it for all below it too, or any.
HOST_PATTERN = re.compile(r"\*|\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")

# A host, an origin, or the scheme of an app.
RETURN_PATTERN = re.compile(
    r"\.?[a-z0-9-]+(\.[a-z0-9-]+)*|https?://[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?|[a-z][a-z0-9+.-]*://"
)

# What browsers and phones run, read or hand on, where an app's scheme should open the app.
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
    One setting: its default, and a function that returns the parsed value or raises ``ValueError``.

    With ``is_constant=False`` the value is parsed each time, since it depends on more than the setting.
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
        # The same object needs no second parsing; override_settings brings another one.
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
    if value not in ("live", "sandbox"):  # it may be anything, a list too
        raise ValueError(_('write "live" or "sandbox"'))
    return str(value)


def _url(value: Any) -> str | None:
    if value is None:
        return None
    hint = _('write a whole URL, like "https://example.com", or None')
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
    """Return label by code, in the order to offer them."""
    if value is None:
        return dict(Channel.choices)
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(_('write a list of codes, like ["OMCIV2", "WAVECI"], or None for all'))
    channels: dict[str, Any] = {}
    for entry in value:
        code, label = entry if isinstance(entry, (list, tuple)) and len(entry) == 2 else (entry, None)
        if not isinstance(code, str) or not re.fullmatch(r"[A-Za-z0-9_]{1,32}", code):
            raise ValueError(
                _('%(entry)r is no channel; write a code, or a code and its label: ("OMCIV2", "Orange Money")')
                % {"entry": entry}
            )
        if label is None and code not in Channel.values:
            raise ValueError(
                _('%(code)s is no channel that this version knows; write ("%(code)s", "its label") if it is one')
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
        raise ValueError(_("%(path)r is no function") % {"path": value})
    return cast("Callable[..., Any]", function)


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
        raise ValueError(_("write a list of some of these: %(names)s") % {"names": ", ".join(CUSTOMER_FIELDS)})
    return [name for name in CUSTOMER_FIELDS if name in value]


def _call_limit(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1000:
        raise ValueError(_("write a whole number from 1 to 1000"))
    return value


def _delivery(value: Any) -> str:
    if value not in ("immediate", "task"):  # it may be anything, a list too
        raise ValueError(_('write "immediate" or "task"'))
    return str(value)


def _health_token(value: Any) -> str | None:
    # Characters that need no escaping in a header or a query string.
    if value is not None and not (isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._~-]+", value)):
        raise ValueError(_("write a secret of letters, digits and any of - . _ ~, or None"))
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(_("write True or False"))
    return value


class Conf:
    """The settings, under their names without ``PAIEMENTPRO_`` in lower case. The documentation has their comments."""

    #: Your merchant id. ``Payment(merchant_id=...)`` names another, in marketplaces.
    merchant_id = Setting(None, _merchant_id)
    #: ``"live"``, where money moves, or ``"sandbox"``: the gateway's own test server.
    environment = Setting("live", _environment)
    #: The public base of your site, for the URLs that the gateway is given. Required where ``DEBUG`` is off; in
    #: development they may be built from the request.
    site_url = Setting(None, _site_url)
    #: What your account may charge, by the gateway's numeric codes. The gateway reads any other currency as francs.
    currencies = Setting({"XOF": "952"}, _currencies)
    #: The currency of payments that name none, one of ``PAIEMENTPRO_CURRENCIES``.
    currency = Setting("XOF", _currency, is_constant=False)
    #: What your account has, in the order to offer it. ``("CODE", "label")`` is for a code that this version does not
    #: know; ``None`` offers all that it knows.
    channels = Setting(None, _channels)
    #: The smallest amount that is accepted; the gateway takes none below 100 francs.
    min_amount = Setting(100, _min_amount)
    #: Connect and read seconds of each call to the gateway.
    timeout = Setting((3.05, 20), _timeout)
    #: For how long a payment page is offered again before a new one is asked for.
    session_lifetime = Setting(timedelta(minutes=4), _positive_timedelta)
    #: A payment that waits for its payer expires at the first reconciliation so long after its newest page was opened.
    expires_after = Setting(timedelta(hours=24), _positive_timedelta)
    #: Where a payment page may live, read as Django reads ``ALLOWED_HOSTS``; the host of ``PAIEMENTPRO_GATEWAY_URL``
    #: counts too. Payers are sent nowhere else.
    allowed_redirect_hosts = Setting(["paiementpro.net", ".paiementpro.net"], _hosts)
    #: Where the payer goes once the payment is paid, with ``{reference}`` replaced. ``None`` shows the built-in page.
    #: ``Payment(success_url=...)`` takes its place, within this site and ``PAIEMENTPRO_RETURN_HOSTS``.
    success_url = Setting(None, _target)
    #: The same for a payment that was not made.
    failure_url = Setting(None, _target)
    #: ``verifier(notification) -> bool``, for merchants who have been told how their ``hashcode`` is computed. Only
    #: ``True`` agrees; one that raises does not.
    hashcode_verifier = Setting(None, _dotted_path, is_constant=False)
    #: ``factory(request, validated_data) -> Payment``, unsaved, for the REST API, which makes no payment without it:
    #: the shop, never the client, decides the amount.
    payment_factory = Setting(None, _dotted_path, is_constant=False)
    #: Where a payer may be sent back to, beyond this site: hosts by https (``.example.com`` for all below it too),
    #: origins (``"http://localhost:5173"``) and the schemes of apps (``"maboutique://"``).
    return_hosts = Setting([], _return_hosts)
    #: Which fields of the payer a client of the REST API may fill in.
    api_customer_fields = Setting([], _customer_fields)
    #: Whether the REST API refuses to open a payment without an ``Idempotency-Key``.
    api_key_required = Setting(False, _flag)
    #: How many requests of one process may wait for the gateway at once, through the REST API. Set it below the number
    #: of the process's threads, as it keeps some of them free; the checkout view itself has no such bound.
    api_gateway_calls = Setting(24, _call_limit)
    #: ``"immediate"``: receivers run in the web process, before the gateway has its answer. ``"task"``: in a worker.
    delivery = Setting("immediate", _delivery)
    #: The secret with which monitoring reads the health view, as ``Authorization: Bearer <token>`` or ``?token=``.
    #: ``None``: only staff who may view payments read it.
    health_token = Setting(None, _health_token)
    #: Whether the local sandbox may run where ``DEBUG`` is off.
    sandbox = Setting(False, _flag)
    #: Another base URL of the gateway, in the place of the environment's: the local sandbox, a proxy.
    _gateway_url = Setting(None, _url)
    #: The status look-up; ``None`` turns it off. Where it is not set it is ``https://api.paiementpro.net/status``, and
    #: none in the sandbox or beside a ``PAIEMENTPRO_GATEWAY_URL``.
    _status_url = Setting(None, _url)

    @property
    def gateway_url(self) -> str:
        """The gateway's base URL, without a slash at its end."""
        return self._gateway_url or (LIVE_URL if self.environment == "live" else SANDBOX_URL)

    @property
    def own_gateway(self) -> tuple[str, str]:
        """The scheme and host of ``PAIEMENTPRO_GATEWAY_URL``, empty where it is not set."""
        parts = urlsplit(self._gateway_url or "")
        return parts.scheme, parts.hostname or ""

    @property
    def status_url(self) -> str | None:
        """The base URL of the status look-up; None where there is none."""
        if hasattr(settings, "PAIEMENTPRO_STATUS_URL"):
            return self._status_url
        return LIVE_STATUS_URL if self.environment == "live" and not self._gateway_url else None

    def __iter__(self) -> Iterator[Setting[Any]]:
        return (value for value in vars(type(self)).values() if isinstance(value, Setting))


conf = Conf()
