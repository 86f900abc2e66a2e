"""
Requests for the app's URLs within this process, through the project's whole middleware.

The notification is sent as the gateway sends it, without cookies and without a CSRF token. If it does not reach the
app, the middleware at fault is found by adding one middleware after another.
"""

import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.test import Client, RequestFactory, override_settings
from django.urls import NoReverseMatch
from django.utils import translation
from django.utils.translation import gettext as _

from django_paiementpro import signing
from django_paiementpro.doctor import redirects
from django_paiementpro.doctor.results import Result, describe_error, failure, passed
from django_paiementpro.doctor.routing import (
    NAMES,
    NOTIFICATION,
    UNSIGNED,
    join_by_key,
    path_info,
    paths_by_language,
    shadowing_route,
)
from django_paiementpro.doctor.target import Target
from django_paiementpro.gateway import probe
from django_paiementpro.gateway.messages import USER_AGENT
from django_paiementpro.gateway.parsing import parse_json_object


def examine(target: Target) -> Iterator[Result]:
    host = target.authority or _any_host()
    headers = {"Host": host, "User-Agent": USER_AGENT}
    try:
        RequestFactory(headers=headers).get("/").get_host()
    except DisallowedHost:
        yield failure(
            _("ALLOWED_HOSTS does not include %(host)s: every request to it is answered with 400.")
            % {"host": target.host or host},
            _("Add it."),
        )
        return
    try:
        requests = list(_requests(target.base_url or f"https://{host}", headers))
    except NoReverseMatch:
        return  # reported by the topic "urls"
    problems = join_by_key((problem, request.name) for request in requests if (problem := _find_problem(request)))
    for (what, middleware, remedy), names in problems.items():
        yield failure(
            _("Requests for the app’s URLs (%(names)s), made within this process, do not reach the app.")
            % {"names": names},
            what,
            _("%(middleware)s answers instead.") % {"middleware": middleware} if middleware else "",
            remedy,
        )
    if requests and not problems:
        yield passed(_("The app’s URLs can be reached through all middleware, without a login or a CSRF token."))


def _any_host() -> str:
    """Return a host that the site allows, for a site whose own is unknown."""
    hosts = (host.lstrip(".") for host in settings.ALLOWED_HOSTS if host != "*")
    return next(hosts, "localhost")


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    status: int = 0
    location: str = ""
    is_from_app: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class AppRequest:
    """A request for one of the app's URLs, as the gateway or a customer's browser sends it."""

    name: str
    path: str
    base: str
    headers: Mapping[str, str]
    nonce: str = ""
    is_translated: bool = False

    def send(self, *, checks_csrf: bool = True) -> LocalAnswer:
        # LocaleMiddleware leaves the language of its request active.
        with _logging_disabled(), translation.override(settings.LANGUAGE_CODE):
            try:
                client = Client(enforce_csrf_checks=checks_csrf, raise_request_exception=False, headers=self.headers)
                response = self._send(client)
            except Exception as error:  # noqa: BLE001  reported
                return LocalAnswer(error=describe_error(error))
        exc_info = getattr(response, "exc_info", None)
        return LocalAnswer(
            status=response.status_code,
            location=response.get("Location", ""),
            is_from_app=self._is_from_app(response),
            error=describe_error(exc_info[1]) if exc_info else "",
        )

    def _send(self, client: Client) -> Any:
        is_secure = self.base.startswith("https:")
        if not self.nonce:
            return client.get(self.path, secure=is_secure)
        fields = probe.fields_of(self.nonce)
        return client.post(f"{self.path}?{urlencode(fields)}", dict(fields), secure=is_secure)

    def _is_from_app(self, response: Any) -> bool:
        """Return whether the app recognized its probe, or answered 404 to a path without a signature."""
        if not self.nonce:
            return bool(response.status_code == 404)
        if response.status_code != 200 or response.streaming:
            return False
        try:
            return probe.ProbeReport.from_json(self.nonce, parse_json_object(response.content)) is not None
        except ValueError:
            return False


def _requests(base: str, headers: Mapping[str, str]) -> Iterator[AppRequest]:
    nonce = secrets.token_hex(12)
    for name in NAMES:
        is_probe = name == NOTIFICATION
        paths = paths_by_language(name, signing.sign_probe(nonce) if is_probe else UNSIGNED)
        if shadowing_route(name, paths):
            continue  # reported by the topic "urls"
        is_translated = len(set(paths.values())) > 1
        for path in dict.fromkeys(paths.values()):
            yield AppRequest(name, path_info(path), base, headers, nonce if is_probe else "", is_translated)


def _find_problem(request: AppRequest) -> tuple[str, str, str] | None:
    """Return what answered instead of the app, the middleware that it was, and how to fix it."""
    answer = request.send()
    if answer.is_from_app:
        return None
    what, remedy = _explain(request, answer)
    return what, _find_middleware(request), remedy


def _explain(request: AppRequest, answer: LocalAnswer) -> tuple[str, str]:
    if answer.error:
        return _("%(error)s was raised.") % {"error": answer.error}, _("See the project’s log, and fix it.")
    if 300 <= answer.status < 400:
        return redirects.explain(request.base + request.path, answer.location)
    if answer.status == 403 and request.send(checks_csrf=False).is_from_app:
        return csrf_token_required()
    if answer.status == 404 and request.is_translated:
        return (
            _("The answer is 404: nothing activates the language of the path."),
            _("Include the app’s URLs outside i18n_patterns()."),
        )
    return (
        _("The answer is %(status)d, but not from the app.") % {"status": answer.status},
        _("Exempt the app’s URLs from whatever answers instead."),
    )


def csrf_token_required() -> tuple[str, str]:
    return (
        _("A CSRF token is required (403), which the gateway does not have."),
        _("Exempt the app’s URLs: its views are marked csrf_exempt."),
    )


def _find_middleware(request: AppRequest) -> str:
    """Return the first middleware with which the request no longer reaches the app, or "" if it is none of them."""
    for count, name in enumerate(["", *settings.MIDDLEWARE]):
        with override_settings(MIDDLEWARE=settings.MIDDLEWARE[:count]):
            if not request.send().is_from_app:
                return name
    return ""


@contextmanager
def _logging_disabled() -> Iterator[None]:
    """Keep these requests out of the project's log and its mails to administrators: problems are reported here."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
