"""What a redirect away from one of the app's URLs means."""

from urllib.parse import parse_qs, urljoin, urlsplit

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch
from django.utils.translation import gettext as _


def explain(url: str, location: str) -> tuple[str, str]:
    """Return where a redirect leads, and how to fix it. Query strings and signatures are left out."""
    here, there = urlsplit(url), urlsplit(urljoin(url, location))
    params = {"url": f"{there.scheme}://{there.netloc}{_without_signature(here.path, there.path)}"}
    if REDIRECT_FIELD_NAME in parse_qs(there.query) or there.path == _login_path():
        return (
            _("A login is required (redirect to %(url)s).") % params,
            _("Exempt the app’s URLs: its views are marked login_not_required."),
        )
    if (there.netloc, there.path) == (here.netloc, here.path):
        if there.scheme != here.scheme:
            return (
                _("It is redirected to %(scheme)s.") % {"scheme": there.scheme},
                _("Use that scheme in PAIEMENTPRO_SITE_URL: the gateway is not known to follow redirects."),
            )
        return (
            _("It is redirected to itself endlessly: the app does not see that the request came over https."),
            _(
                "Make the proxy send X-Forwarded-Proto with each request, and set SECURE_PROXY_SSL_HEADER = "
                '("HTTP_X_FORWARDED_PROTO", "https").'
            ),
        )
    if there.path == here.path:
        return (
            _("It is redirected to the host %(host)s.") % {"host": there.netloc},
            _("Use that host in PAIEMENTPRO_SITE_URL: the gateway is not known to follow redirects."),
        )
    if here.path and there.path.endswith(here.path):
        return (
            _("It is redirected to %(url)s, with a language prefix.") % params,
            _("Include the app’s URLs outside i18n_patterns(), and exempt them from whatever adds the prefix."),
        )
    return (
        _("It is redirected to %(url)s.") % params,
        _("Exempt the app’s URLs from redirects: the gateway is not known to follow them."),
    )


def _without_signature(here: str, there: str) -> str:
    """Return a path without our signature."""
    signed = here.rstrip("/").rpartition("/")[2]
    return there.replace(signed, "…") if signed else there


def _login_path() -> str:
    try:
        return urlsplit(resolve_url(settings.LOGIN_URL)).path
    except NoReverseMatch:
        return ""
