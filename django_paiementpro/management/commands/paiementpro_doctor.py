from collections.abc import Iterator
from typing import Any

from django.core.checks import ERROR, CheckMessage, run_checks
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections, router
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_paiementpro import services
from django_paiementpro.models import Payment

PASS, WARN, FAIL = "pass", "warn", "fail"

Finding = tuple[str, str]


class Command(BaseCommand):
    help = (
        "Check this installation in the order in which things go wrong, and say what to mend. "
        "The exit code is 1 where something fails."
    )
    # What they would stop is what this command is there to explain.
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        styles = {PASS: self.style.SUCCESS, WARN: self.style.WARNING, FAIL: self.style.ERROR}
        failures = 0
        for verdict, text in self.findings():
            self.stdout.write(f"{styles[verdict](verdict)}  {text}")
            failures += verdict == FAIL
        if failures:
            raise CommandError(ngettext("%d thing to mend", "%d things to mend", failures) % failures)

    def findings(self) -> Iterator[Finding]:
        messages = run_checks(tags=["paiementpro"], include_deployment_checks=True)
        yield from (_finding(message) for message in messages)
        if not messages:
            yield PASS, _("Settings, URLs and receivers are as they should be.")
        yield from self.database()

    def database(self) -> Iterator[Finding]:
        """Look at the tables, and at what waits in them for somebody."""
        connection = connections[router.db_for_write(Payment)]
        try:
            executor = MigrationExecutor(connection)
            targets = [node for node in executor.loader.graph.leaf_nodes() if node[0] == "paiementpro"]
            if executor.migration_plan(targets):
                yield FAIL, _("The tables are not up to date: run “manage.py migrate”.")
                return
            yield PASS, _("The tables are up to date (%(database)s).") % {"database": connection.display_name}
            undelivered = services.undelivered_events().count()
            to_review = Payment.objects.primary().filter(needs_review=True).count()
        except DatabaseError as error:
            yield FAIL, _("The database does not answer: %(error)s") % {"error": type(error).__name__}
            return
        if undelivered:
            yield (
                WARN,
                ngettext(
                    "%d event waits for a receiver: run “manage.py paiementpro_reconcile”, every few minutes.",
                    "%d events wait for a receiver: run “manage.py paiementpro_reconcile”, every few minutes.",
                    undelivered,
                )
                % undelivered,
            )
        if to_review:
            yield (
                WARN,
                ngettext(
                    "%d payment is to be reviewed: look for it in the admin.",
                    "%d payments are to be reviewed: look for them in the admin.",
                    to_review,
                )
                % to_review,
            )


def _finding(message: CheckMessage) -> Finding:
    text = f"{message.msg} {message.hint or ''}".strip()
    return (FAIL if message.level >= ERROR else WARN), f"{text} ({message.id})"
