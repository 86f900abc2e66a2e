from typing import Any

from django.db import migrations, router


def note_installation(apps: Any, schema_editor: Any) -> None:
    """Store when the app was installed: payments from before get no receipts by themselves."""
    installation = apps.get_model("paiementpro_receipts", "Installation")
    alias = schema_editor.connection.alias
    if router.allow_migrate_model(alias, installation):
        installation.objects.using(alias).create()


class Migration(migrations.Migration):
    dependencies = [("paiementpro_receipts", "0001_initial")]

    operations = [migrations.RunPython(note_installation, migrations.RunPython.noop)]
