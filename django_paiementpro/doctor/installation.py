"""Settings, receivers, tables and database: what Django's own checks and commands can tell."""

from collections.abc import Iterator
from io import StringIO

from django.conf import settings
from django.core.checks import ERROR, CheckMessage, Tags, run_checks
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from django_paiementpro import __version__
from django_paiementpro.db.connections import database
from django_paiementpro.doctor.results import Result, failure, passed, warning
from django_paiementpro.doctor.target import Target
from django_paiementpro.models import Payment, Verification
from django_paiementpro.signals import payment_succeeded

# Other topics examine these more closely: the URLs, the receivers, the site's address. The merchant of the examples is
# left to "check --deploy": a test server may use it.
ELSEWHERE = frozenset({"paiementpro.E003", "paiementpro.E004", "paiementpro.W003", "paiementpro.W008"})

# Django's checks of the keys that sign the notification URLs.
WEAK_KEYS = {"security.W009": "SECRET_KEY", "security.W025": "SECRET_KEY_FALLBACKS"}


def examine_settings(target: Target) -> Iterator[Result]:
    messages = run_checks(tags=["paiementpro"], include_deployment_checks=True)
    results = [_result(message) for message in messages if message.id not in ELSEWHERE]
    results += _weak_keys(target)
    if settings.DEBUG and target.base_url and not target.is_local:
        results.append(
            warning(
                _(
                    "DEBUG is on, and the gateway is not local: error pages would expose payments. Set DEBUG = False "
                    "wherever real money is taken."
                )
            )
        )
    yield from results or [passed(_("The settings are valid."))]


def examine_tables(target: Target) -> Iterator[Result]:
    alias = database()
    try:
        call_command("migrate", "paiementpro", database=alias, check_unapplied=True, verbosity=0, stdout=StringIO())
    except SystemExit:  # the exit code of "migrate --check"
        command = "manage.py migrate" if alias == DEFAULT_DB_ALIAS else f"manage.py migrate --database {alias}"
        yield failure(_("The tables are not up to date: run “%(command)s”.") % {"command": command})
    else:
        yield passed(_("The tables are up to date."))


def examine_receivers(target: Target) -> Iterator[Result]:
    names = payment_succeeded.receiver_names(Payment)
    if names:
        yield passed(_("Receivers of payment_succeeded: %(names)s.") % {"names": ", ".join(names)})
    else:
        yield failure(
            _("No receiver is connected to payment_succeeded: paid orders are not fulfilled."),
            _("Connect one in a module that your AppConfig.ready() imports."),
        )


def examine_database(target: Target) -> Iterator[Result]:
    messages = run_checks(tags=[Tags.database], databases=[database()])
    yield from map(_result, messages)
    if not messages:
        yield passed(_("The database is set up correctly."))


def _weak_keys(target: Target) -> list[Result]:
    level = warning if target.is_local else failure
    messages = run_checks(tags=[Tags.security], include_deployment_checks=True)
    settings_at_fault = {WEAK_KEYS[message.id] for message in messages if message.id in WEAK_KEYS}
    return [
        level(
            _(
                "%(setting)s can be guessed, so anyone could forge the gateway’s notifications. Use 50 random "
                "characters or more."
            )
            % {"setting": setting}
        )
        for setting in sorted(settings_at_fault)
    ]


def _result(message: CheckMessage) -> Result:
    level = failure if message.level >= ERROR else warning
    return level(str(message.msg), str(message.hint or ""), f"({message.id})")


def examine_verification(target: Target) -> Iterator[Result]:
    """Examine whether the account was verified, with this version of the app."""
    last = Verification.objects.using(database()).filter(finished_at__isnull=False).order_by("pk").last()
    if last is None:
        yield warning(
            _("This account has not been verified: what the gateway does for it is not known."),
            _("Run “manage.py paiementpro_verify_account --phone …” with your own phone before you go live."),
        )
    elif last.version != __version__:
        yield warning(
            _("This account was last verified with version %(version)s.") % {"version": last.version},
            _("Run “manage.py paiementpro_verify_account --phone …” again."),
        )
    else:
        yield passed(_("This account was verified %(time)s ago.") % {"time": timesince(last.started_at)})
