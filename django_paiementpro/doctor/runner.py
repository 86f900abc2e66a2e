"""The doctor's topics, in order, and the loop that runs them."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.utils.translation import gettext as _

from django_paiementpro.doctor import (
    address,
    backlog,
    gateway,
    installation,
    middleware,
    network,
    routing,
)
from django_paiementpro.doctor.results import Level, Result, describe_error, failure, warning
from django_paiementpro.doctor.target import Target
from django_paiementpro.gateway.text import without_signed_urls

HIDDEN = "…"

# A user and password in a URL.
CREDENTIALS = re.compile(r"//\S*@")

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]+")


class Topic(NamedTuple):
    name: str
    examine: Callable[[Target], Iterable[Result]]
    needs_tables: bool = False


TOPICS = (
    Topic("settings", installation.examine_settings),
    Topic("tables", installation.examine_tables),
    Topic("urls", routing.examine),
    Topic("middleware", middleware.examine),
    Topic("address", address.examine),
    Topic("notification", network.examine),
    Topic("receivers", installation.examine_receivers),
    Topic("reconciliation", backlog.examine_reconciliation, needs_tables=True),
    Topic("backlog", backlog.examine_backlog, needs_tables=True),
    Topic("verification", installation.examine_verification, needs_tables=True),
    Topic("database", installation.examine_database),
    Topic("gateway", gateway.examine),
)


def examine(target: Target) -> Iterator[tuple[str, Result]]:
    """Yield each result with the name of its topic, as it is found."""
    has_tables = True
    seen = set()
    for topic in TOPICS:
        if topic.needs_tables and not has_tables:
            continue
        for result in _examine(topic, target):
            if result not in seen:
                yield topic.name, Result(result.level, _without_secrets(result.text))
            seen.add(result)
            if topic.name == "tables" and result.level is Level.FAIL:
                has_tables = False


def _examine(topic: Topic, target: Target) -> Iterator[Result]:
    """Examine one topic. An error ends only that topic."""
    try:
        yield from topic.examine(target)
    except ImproperlyConfigured as error:
        yield warning(_("Skipped because of a wrong setting: %(error)s") % {"error": error})
    except DatabaseError as error:
        yield failure(
            _("A database query failed: %(error)s.") % {"error": type(error).__name__},
            _("Check that the server is running, that DATABASES is right, and that “manage.py migrate” has run."),
        )
    except Exception as error:  # noqa: BLE001  reported
        yield failure(_("Skipped: the project’s own code raised %(error)s.") % {"error": describe_error(error)})


def _without_secrets(text: str) -> str:
    """Remove secrets and control characters, which messages and headers from other code may contain."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    passwords = [database.get("PASSWORD") for database in settings.DATABASES.values()]
    for secret in filter(None, [*keys, *passwords]):
        text = text.replace(str(secret), HIDDEN)
    return CONTROLS.sub(" ", CREDENTIALS.sub(f"//{HIDDEN}@", without_signed_urls(text)))
