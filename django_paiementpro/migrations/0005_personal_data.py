from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("paiementpro", "0004_reconciliation_run"),
    ]

    operations = [
        migrations.AddField(
            model_name="payment",
            name="blanked_at",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="personal data erased"),
        ),
    ]
