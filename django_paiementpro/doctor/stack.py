"""
The app's URLs, and what stands before them: each is asked for within this process, through the host's whole middleware.

A notification is tried as the gateway sends it, without cookies and without a CSRF token. What answers in the app's
place is found by building the stack up again, one middleware after the other.
"""

import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.http.request import validate_host
from django.test import override_settings
from django.test.client import Client
from django.urls import NoReverseMatch, get_script_prefix, resolve, reverse
from django.utils import translation
from django.utils.translation import gettext as _

from django_paiementpro import signing
from django_paiementpro.doctor import redirects
from django_paiementpro.doctor.findings import Finding, failure, passed, warning, whereabouts
from django_paiementpro.doctor.visits import Visit
from django_paiementpro.gateway import probe
from django_paiementpro.gateway.messages import USER_AGENT
from django_paiementpro.gateway.parsing import parse_json_object

K = TypeVar("K")

NOTIFICATION = "notification"
NAMES = (NOTIFICATION, "checkout", "return", "status")

# What stands in a path where a signature would be.
NOBODY = "-"

# What Django allows where DEBUG is on and ALLOWED_HOSTS is empty.
DEBUG_HOSTS = (".localhost", "127.0.0.1", "[::1]")


def url_findings(visit: Visit) -> Iterator[Finding]:
    try:
        paths = {name: paths_by_language(name, NOBODY) for name in NAMES}
    except NoReverseMatch:
        yield failure(
            _("The URLs of the app are not included."),
            _('Add path("paiementpro/", include("django_paiementpro.urls")) to your urlpatterns.'),
        )
        return
    shadows = _grouped((route, name) for name in NAMES if (route := _shadow(name, paths[name])))
    for route, names in shadows.items():
        yield failure(
            _("The pattern “%(route)s” of the project comes first, and takes what is for the app (%(names)s).")
            % {"route": route, "names": names},
            _("Move the include of django_paiementpro.urls before it in your urlpatterns."),
        )
    if len(set(paths[NOTIFICATION].values())) > 1:
        yield warning(
            _("The URLs of the app begin with the language: what the gateway has been given ends with a language."),
            _("Include them outside i18n_patterns()."),
        )
    if not shadows:
        path = next(iter(paths[NOTIFICATION].values())).removesuffix(f"{NOBODY}/")
        yield passed(_("The URLs of the app are included (%(path)s…).") % {"path": path})


def middleware_findings(visit: Visit) -> Iterator[Finding]:
    host = visit.host or _any_host()
    if not validate_host(host, settings.ALLOWED_HOSTS or (DEBUG_HOSTS if settings.DEBUG else ())):
        yield failure(
            _("ALLOWED_HOSTS does not have %(host)s: every request to it is answered with 400.") % {"host": host},
            _("Add it."),
        )
        return
    try:
        questions = list(_questions(visit, host))
    except NoReverseMatch:
        return  # told already
    troubles = _grouped((trouble, question.name) for question in questions if (trouble := _trouble(question)))
    for (what, middleware, remedy), names in troubles.items():
        yield failure(
            _("Asked for the app’s URLs within this process (%(names)s), the site does not let through.")
            % {"names": names},
            what,
            _("It is %(middleware)s that answers.") % {"middleware": middleware} if middleware else "",
            remedy,
        )
    if questions and not troubles:
        yield passed(_("The app’s URLs are reached through all of the middleware, without a login and a CSRF token."))


def paths_by_language(name: str, signed: str) -> dict[str, str]:
    """Return the path of one of the app's URLs in each language of the site. Raises ``NoReverseMatch``."""
    languages = dict.fromkeys([settings.LANGUAGE_CODE, *(code for code, _label in settings.LANGUAGES)])
    paths = {}
    for language in languages if settings.USE_I18N else [settings.LANGUAGE_CODE]:
        with translation.override(language):
            paths[language] = reverse(f"paiementpro:{name}", args=[signed])
    return paths


def probe_path() -> tuple[str, str]:
    """Return a nonce, and the path at which its probe is recognised. Raises ``NoReverseMatch``."""
    nonce = secrets.token_hex(12)
    return nonce, paths_by_language(NOTIFICATION, signing.sign_probe(nonce))[settings.LANGUAGE_CODE]


def _grouped(pairs: Iterable[tuple[K, str]]) -> dict[K, str]:
    """Return each key with all that it came with, as one text, in the order of coming."""
    groups: dict[K, dict[str, None]] = {}
    for key, value in pairs:
        groups.setdefault(key, {})[value] = None
    return {key: ", ".join(values) for key, values in groups.items()}


def _shadow(name: str, paths: Mapping[str, str]) -> str:
    """Return the host's pattern that stands before the app; nothing where none does."""
    for language, path in paths.items():
        with translation.override(language):
            match = resolve(_path_info(path))
        if "paiementpro" not in match.app_names or match.url_name != name:
            return match.route
    return ""


def _path_info(path: str) -> str:
    return "/" + path.removeprefix(get_script_prefix())


def _any_host() -> str:
    """Return a host that the site allows, where nothing tells its own."""
    hosts = (host.lstrip(".") for host in settings.ALLOWED_HOSTS if host != "*")
    return next(hosts, "localhost")


@dataclass(frozen=True, slots=True)
class Reaction:
    """What came back within this process. ``is_meant`` where it is the app's own answer."""

    status: int = 0
    location: str = ""
    is_meant: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A request for one of the app's URLs, as those send it for whom it is made."""

    name: str
    path: str
    base: str
    defaults: Mapping[str, str]
    nonce: str = ""
    is_translated: bool = False

    def ask(self, *, checks_csrf: bool = True) -> Reaction:
        # Requests leave behind the language that they were answered in.
        with _quiet(), translation.override(settings.LANGUAGE_CODE):
            try:
                client = Client(enforce_csrf_checks=checks_csrf, raise_request_exception=False)
                client.defaults.update(self.defaults)
                response = self._send(client)
            except Exception as error:  # noqa: BLE001  told
                return Reaction(error=whereabouts(error))
        exc_info = getattr(response, "exc_info", None)
        return Reaction(
            status=response.status_code,
            location=response.get("Location", ""),
            is_meant=self._is_meant(response),
            error=whereabouts(exc_info[1]) if exc_info else "",
        )

    def _send(self, client: Client) -> Any:
        if not self.nonce:
            return client.get(self.path, secure=self.is_secure)
        fields = probe.fields_of(self.nonce)
        return client.post(f"{self.path}?{urlencode(fields)}", dict(fields), secure=self.is_secure)

    def _is_meant(self, response: Any) -> bool:
        """Whether it is the app that recognises its probe, or that does not know what nobody has signed."""
        if not self.nonce:
            return bool(response.status_code == 404)
        if response.status_code != 200 or response.streaming:
            return False
        try:
            return probe.ProbeReport.from_json(self.nonce, parse_json_object(response.content)) is not None
        except ValueError:
            return False

    @property
    def is_secure(self) -> bool:
        return self.base.startswith("https:")


def _questions(visit: Visit, host: str) -> Iterator[Question]:
    base = visit.base_url or f"https://{host}"
    defaults = {"HTTP_HOST": visit.authority or host, "SERVER_NAME": host, "HTTP_USER_AGENT": USER_AGENT}
    nonce = secrets.token_hex(12)
    for name in NAMES:
        is_probe = name == NOTIFICATION
        paths = paths_by_language(name, signing.sign_probe(nonce) if is_probe else NOBODY)
        if _shadow(name, paths):
            continue  # told already
        for path in dict.fromkeys(paths.values()):
            is_translated = len(set(paths.values())) > 1
            yield Question(name, _path_info(path), base, defaults, nonce if is_probe else "", is_translated)


def _trouble(question: Question) -> tuple[str, str, str] | None:
    """Return what came back in place of the app's answer, which middleware it was, and what to do."""
    reaction = question.ask()
    if reaction.is_meant:
        return None
    what, remedy = _explain(question, reaction)
    return what, _answering_middleware(question), remedy


def _explain(question: Question, reaction: Reaction) -> tuple[str, str]:
    if reaction.error:
        return _("%(error)s is raised.") % {"error": reaction.error}, _("See the project’s log, and mend it.")
    if 300 <= reaction.status < 400:
        return redirects.explain(question.base + question.path, reaction.location)
    if reaction.status == 403 and question.ask(checks_csrf=False).is_meant:
        return token_asked_for()
    if reaction.status == 404 and question.is_translated:
        return (
            _("The answer is 404: nothing activates the language with which the path begins."),
            _("Include them outside i18n_patterns()."),
        )
    return (
        _("The answer is %(status)d, and not the app’s.") % {"status": reaction.status},
        _("Exempt the app’s URLs from what answers there."),
    )


def token_asked_for() -> tuple[str, str]:
    return (
        _("A CSRF token is asked for (403), which the gateway does not have."),
        _("Let the app’s URLs through without: its views are marked csrf_exempt."),
    )


def _answering_middleware(question: Question) -> str:
    """Return the first middleware with which the app is no longer reached; nothing where it is none of them."""
    names = ["", *settings.MIDDLEWARE]
    return next((name for count, name in enumerate(names) if not _is_let_through(question, names[1 : count + 1])), "")


def _is_let_through(question: Question, middleware: Sequence[str]) -> bool:
    with override_settings(MIDDLEWARE=middleware):
        return question.ask().is_meant


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the host logs of these requests from its log and its administrators' mail: it is told here."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
