from django.db import migrations, models

from django_paiementpro import indexes, operations


class Migration(migrations.Migration):
    # PostgreSQL makes an index beside running payments only outside of transactions.
    atomic = False

    dependencies = [
        ("paiementpro", "0002_back_office"),
    ]

    operations = [
        operations.RemoveIndex(
            model_name="payment",
            name="paiementpro_created",
        ),
        operations.RemoveIndex(
            model_name="payment",
            name="paiementpro_object",
        ),
        operations.RemoveIndex(
            model_name="payment",
            name="paiementpro_email",
        ),
        operations.RemoveIndex(
            model_name="payment",
            name="paiementpro_phone",
        ),
        operations.AddIndex(
            model_name="payment",
            index=models.Index(
                fields=[
                    "-created_at",
                    "-id",
                    "status",
                    "currency",
                    "merchant_id",
                    "gateway_channel",
                    "channel",
                    "attempt",
                    "initialized_at",
                ],
                name="paiementpro_created",
            ),
        ),
        operations.AddIndex(
            model_name="payment",
            index=models.Index(
                fields=[
                    "settled_at",
                    "status",
                    "currency",
                    "amount",
                    "merchant_id",
                    "gateway_channel",
                    "channel",
                    "created_at",
                ],
                name="paiementpro_settled_at",
            ),
        ),
        operations.AddIndex(
            model_name="payment",
            index=models.Index(fields=["merchant_id", "-created_at", "-id"], name="paiementpro_merchant"),
        ),
        operations.AddIndex(
            model_name="payment",
            index=indexes.FirstFilledIndex(
                fields=["gateway_channel", "channel", "-created_at", "-id"], name="paiementpro_operator"
            ),
        ),
        operations.AddIndex(
            model_name="payment",
            index=indexes.PartialIndex(
                fields=["settled_by", "-created_at", "-id"],
                name="paiementpro_settled_by",
                where=models.Q(("settled_by__in", ["status", "staff"])),
            ),
        ),
        operations.AddIndex(
            model_name="payment",
            index=indexes.PartialIndex(
                fields=["refunded_at"], name="paiementpro_refunded_at", where=models.Q(("refunded_at__isnull", False))
            ),
        ),
        operations.AddIndex(
            model_name="payment",
            index=models.Index(fields=["object_id", "content_type"], name="paiementpro_object"),
        ),
        operations.AddIndex(
            model_name="payment",
            index=indexes.LowerIndex(fields=["customer_email"], name="paiementpro_email"),
        ),
        operations.AddIndex(
            model_name="payment",
            index=indexes.LowerIndex(fields=["customer_last_name"], name="paiementpro_last_name"),
        ),
        operations.AddIndex(
            model_name="payment",
            index=indexes.LowerIndex(fields=["customer_first_name"], name="paiementpro_first_name"),
        ),
        operations.AddIndex(
            model_name="payment",
            index=indexes.PhoneIndex(fields=["customer_phone"], name="paiementpro_phone"),
        ),
    ]
