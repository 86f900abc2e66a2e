"""What a redirect away from one of the app's URLs means."""

from urllib.parse import parse_qs, urljoin, urlsplit

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch
from django.utils.translation import gettext as _


def explain(url: str, location: str) -> tuple[str, str]:
    """Return in two sentences where a redirect leads, and what is to be done. Queries and signatures are not shown."""
    here, there = urlsplit(url), urlsplit(urljoin(url, location))
    shown = {"url": f"{there.scheme}://{there.netloc}{_without_signature(here.path, there.path)}"}
    if REDIRECT_FIELD_NAME in parse_qs(there.query) or there.path == _login_path():
        return (
            _("A login is asked for (redirect to %(url)s).") % shown,
            _("Exempt the app’s URLs: its views are marked login_not_required."),
        )
    if (there.netloc, there.path) == (here.netloc, here.path):
        if there.scheme != here.scheme:
            return (
                _("It is redirected to %(scheme)s.") % {"scheme": there.scheme},
                _("Write that in PAIEMENTPRO_SITE_URL: the gateway follows no redirect."),
            )
        return (
            _("It is redirected to itself, without end: the app does not see that it was asked for by https."),
            _(
                "Have the proxy send X-Forwarded-Proto with each request, and write SECURE_PROXY_SSL_HEADER = "
                '("HTTP_X_FORWARDED_PROTO", "https").'
            ),
        )
    if there.path == here.path:
        return (
            _("It is redirected to the host %(host)s.") % {"host": there.netloc},
            _("Write that host in PAIEMENTPRO_SITE_URL: the gateway follows no redirect."),
        )
    if here.path and there.path.endswith(here.path):
        return (
            _("It is redirected to %(url)s, as if it had no language.") % shown,
            _("Include the app’s URLs outside i18n_patterns(), and exempt them from what puts a language before them."),
        )
    return (
        _("It is redirected to %(url)s.") % shown,
        _("Exempt the app’s URLs from redirects: the gateway follows none."),
    )


def _without_signature(here: str, there: str) -> str:
    """Return a path with the signed part of ours left out."""
    signed = here.rstrip("/").rpartition("/")[2]
    return there.replace(signed, "…") if signed else there


def _login_path() -> str:
    try:
        return urlsplit(resolve_url(settings.LOGIN_URL)).path
    except NoReverseMatch:
        return ""
