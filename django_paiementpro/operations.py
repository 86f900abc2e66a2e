"""
Migrations beside running payments.

PostgreSQL makes and drops an index without locking the table, outside of transactions; such a migration is
``atomic = False``, and one that was interrupted can be run again. Elsewhere an index is made as ever.
"""

from typing import Any, cast

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import operations
from django.db.migrations.state import ProjectState
from django.db.models import Field, Index, Model


class AddIndex(operations.AddIndex):
    """Make an index. One of its name that an interrupted migration has left is made anew."""

    atomic = False

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            _remove(model, self.index, schema_editor)
            schema_editor.add_index(model, self.index, **_concurrently(schema_editor))

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        model = from_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            _remove(model, self.index, schema_editor)


class RemoveIndex(operations.RemoveIndex):
    """Drop an index, unless it has gone already."""

    atomic = False

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        model = from_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            _remove(model, self._index(app_label, from_state), schema_editor)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        AddIndex(self.model_name, self._index(app_label, to_state)).database_forwards(
            app_label, schema_editor, from_state, to_state
        )

    def _index(self, app_label: str, state: ProjectState) -> Index:
        index: Index = state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        return index


def _remove(model: type[Model], index: Index, schema_editor: BaseDatabaseSchemaEditor) -> None:
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        there = connection.introspection.get_constraints(cursor, model._meta.db_table)
    if index.name not in there:
        return
    del there[index.name]
    name, _order = index.fields_orders[0]
    first = [cast("Field[Any, Any]", model._meta.get_field(name)).column]
    if any(other["index"] and other["columns"][:1] == first for other in there.values()):
        schema_editor.execute(index.remove_sql(model, schema_editor, **_concurrently(schema_editor)))
    else:
        # MariaDB demands an index for each foreign key: the editor makes one, where this was it.
        schema_editor.remove_index(model, index, **_concurrently(schema_editor))


def _concurrently(schema_editor: BaseDatabaseSchemaEditor) -> dict[str, Any]:
    return {"concurrently": True} if schema_editor.connection.vendor == "postgresql" else {}
