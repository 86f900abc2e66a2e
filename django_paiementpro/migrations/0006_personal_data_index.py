from django.db import migrations, models

from django_paiementpro import indexes, operations


class Migration(migrations.Migration):
    # PostgreSQL makes an index beside running payments only outside of transactions.
    atomic = False

    dependencies = [
        ("paiementpro", "0005_personal_data"),
    ]

    operations = [
        operations.AddIndex(
            model_name="payment",
            index=indexes.PartialIndex(
                fields=["blanked_at", "created_at", "id"],
                name="paiementpro_unblanked",
                where=models.Q(("blanked_at__isnull", True)),
            ),
        ),
    ]
