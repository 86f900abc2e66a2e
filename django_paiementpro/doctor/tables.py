"""Whether the tables are there, as this version of the app needs them."""

from collections.abc import Iterator

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _

from django_paiementpro import models
from django_paiementpro.db.connections import database
from django_paiementpro.doctor.findings import Finding, failure, passed, warning
from django_paiementpro.doctor.visits import Visit

APP_LABEL = "paiementpro"
MODELS = (
    models.Payment,
    models.PaymentEvent,
    models.Finding,
    models.Refund,
    models.SearchKey,
    models.ReconciliationRun,
    models.IdempotencyKey,
)


def findings(visit: Visit) -> Iterator[Finding]:
    alias = database()
    connection = connections[alias]
    executor = MigrationExecutor(connection)
    graph = executor.loader.graph
    targets = [node for node in graph.leaf_nodes() if node[0] == APP_LABEL]
    if executor.migration_plan(targets) or _missing_tables(connection):
        command = "manage.py migrate" if alias == DEFAULT_DB_ALIAS else f"manage.py migrate --database {alias}"
        yield failure(_("The tables are not up to date: run “%(command)s”.") % {"command": command})
        return
    newer = [
        name
        for label, name in executor.loader.applied_migrations
        if label == APP_LABEL and (label, name) not in graph.nodes
    ]
    if newer:
        yield warning(
            _(
                "The tables are of a newer version than this code (%(names)s): install that version here, or migrate "
                "back with it."
            )
            % {"names": ", ".join(sorted(newer))}
        )
    yield passed(_("The tables are up to date (%(database)s).") % {"database": connection.display_name})


def _missing_tables(connection: BaseDatabaseWrapper) -> set[str]:
    """Return the tables that migrations were faked for, or that have been dropped."""
    return {model._meta.db_table for model in MODELS} - set(connection.introspection.table_names())
