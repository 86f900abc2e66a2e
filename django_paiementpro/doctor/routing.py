"""The app's URLs in the project's URLconf."""

import secrets
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

from django.conf import settings
from django.urls import NoReverseMatch, get_script_prefix, resolve
from django.utils import translation
from django.utils.translation import gettext as _

from django_paiementpro import signing
from django_paiementpro.doctor.results import Result, failure, passed, warning
from django_paiementpro.doctor.target import Target

K = TypeVar("K", bound=Hashable)

NOTIFICATION = "notification"
NAMES = (NOTIFICATION, "checkout", "return", "status")

# Stands in a path in place of a signature.
UNSIGNED = "-"


def examine(target: Target) -> Iterator[Result]:
    try:
        paths = {name: paths_by_language(name, UNSIGNED) for name in NAMES}
    except NoReverseMatch:
        yield failure(
            _("The URLs of the app are not included."),
            _('Add path("paiementpro/", include("django_paiementpro.urls")) to your urlpatterns.'),
        )
        return
    shadows = join_by_key((route, name) for name in NAMES if (route := shadowing_route(name, paths[name])))
    for route, names in shadows.items():
        yield failure(
            _("The project’s pattern “%(route)s” comes first and takes over URLs of the app (%(names)s).")
            % {"route": route, "names": names},
            _("Move the include of django_paiementpro.urls before it in your urlpatterns."),
        )
    if len(set(paths[NOTIFICATION].values())) > 1:
        yield warning(
            _("The app’s URLs have a language prefix: those sent to the gateway break if the language is removed."),
            _("Include the app’s URLs outside i18n_patterns()."),
        )
    if not shadows:
        path = next(iter(paths[NOTIFICATION].values())).removesuffix(f"{UNSIGNED}/")
        yield passed(_("The URLs of the app are included (%(path)s…).") % {"path": path})


def paths_by_language(name: str, signed: str) -> dict[str, str]:
    """Return the path of one of the app's URLs in each language of the site. Raises ``NoReverseMatch``."""
    languages = dict.fromkeys([settings.LANGUAGE_CODE, *(code for code, _label in settings.LANGUAGES)])
    paths = {}
    for language in languages if settings.USE_I18N else [settings.LANGUAGE_CODE]:
        with translation.override(language):
            paths[language] = signing.path_of(name, signed)
    return paths


def make_probe_path() -> tuple[str, str]:
    """Return a new nonce and the notification path that is signed with it. Raises ``NoReverseMatch``."""
    nonce = secrets.token_hex(12)
    return nonce, paths_by_language(NOTIFICATION, signing.sign_probe(nonce))[settings.LANGUAGE_CODE]


def shadowing_route(name: str, paths: Mapping[str, str]) -> str:
    """Return the project's pattern that matches before the app's, or ""."""
    for language, path in paths.items():
        with translation.override(language):
            match = resolve(path_info(path))
        if "paiementpro" not in match.app_names or match.url_name != name:
            return match.route
    return ""


def path_info(path: str) -> str:
    return "/" + path.removeprefix(get_script_prefix())


def join_by_key(pairs: Iterable[tuple[K, str]]) -> dict[K, str]:
    """Return each key with its distinct values, joined by commas, in order."""
    groups: dict[K, dict[str, None]] = {}
    for key, value in pairs:
        groups.setdefault(key, {})[value] = None
    return {key: ", ".join(values) for key, values in groups.items()}
