"""The topics of a check-up, in their order, and the walk through them."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.utils.translation import gettext as _

from django_paiementpro.doctor import (
    address,
    clocks,
    databases,
    installation,
    network,
    operation,
    pages,
    stack,
    tables,
)
from django_paiementpro.doctor.findings import Finding, Verdict, failure, warning, whereabouts
from django_paiementpro.doctor.visits import Visit
from django_paiementpro.gateway.text import without_signed_urls

HIDDEN = "…"

# A user and password in a URL.
CREDENTIALS = re.compile(r"//\S*@")

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]+")


class Topic(NamedTuple):
    name: str
    examine: Callable[[Visit], Iterable[Finding]]
    needs_tables: bool = False


TOPICS = (
    Topic("settings", installation.settings_findings),
    Topic("tables", tables.findings),
    Topic("urls", stack.url_findings),
    Topic("middleware", stack.middleware_findings),
    Topic("address", address.findings),
    Topic("notification", network.findings),
    Topic("receivers", installation.receiver_findings),
    Topic("reconciliation", operation.reconciliation_findings, needs_tables=True),
    Topic("waiting", operation.waiting_findings, needs_tables=True),
    Topic("clock", clocks.findings),
    Topic("database", databases.findings),
    Topic("gateway", pages.findings),
)


def examine(visit: Visit) -> Iterator[tuple[str, Finding]]:
    """Yield the name of each topic with what is found there, as it is found."""
    has_tables = True
    told = set()
    for topic in TOPICS:
        if topic.needs_tables and not has_tables:
            continue
        for finding in _examine(topic, visit):
            if finding not in told:
                yield topic.name, Finding(finding.verdict, _discreet(finding.text))
            told.add(finding)
            if topic.name == "tables" and finding.verdict is Verdict.FAIL:
                has_tables = False


def _examine(topic: Topic, visit: Visit) -> Iterator[Finding]:
    """Examine one topic; what breaks it off must not keep the others from being looked at."""
    try:
        yield from topic.examine(visit)
    except ImproperlyConfigured as error:
        yield warning(_("Not looked at any further, because of a setting: %(error)s") % {"error": error})
    except DatabaseError as error:
        yield failure(
            _("The database does not answer: %(error)s") % {"error": f"{type(error).__name__}."},
            _("See that it runs, and that DATABASES names it, with a user who may read and write there."),
        )
    except Exception as error:  # noqa: BLE001  told
        yield failure(
            _("Not looked at any further: the project’s own code raised %(error)s.") % {"error": whereabouts(error)}
        )


def _discreet(text: str) -> str:
    """Blank what is secret, and what steers a terminal: others may have put it into their messages and headers."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    passwords = [database.get("PASSWORD") for database in settings.DATABASES.values()]
    for secret in filter(None, [*keys, *passwords]):
        text = text.replace(str(secret), HIDDEN)
    return CONTROLS.sub(" ", CREDENTIALS.sub(f"//{HIDDEN}@", without_signed_urls(text)))
