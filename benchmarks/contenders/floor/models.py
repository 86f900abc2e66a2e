"""What a developer who writes the view by hand stores."""

from django.db import models
from django.utils import timezone


class BasePayment(models.Model):
    """A payment. The two floors store theirs in separate tables."""

    reference = models.CharField(max_length=64, unique=True)
    merchant_id = models.CharField(max_length=64)
    amount = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3, default="XOF")
    description = models.CharField(max_length=255)
    customer_email = models.EmailField()
    customer_name = models.CharField(max_length=255)
    customer_phone = models.CharField(max_length=32)
    status = models.CharField(max_length=16, default="pending")
    gateway_id = models.CharField(max_length=128, blank=True)
    gateway_channel = models.CharField(max_length=32, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True
        indexes = [
            models.Index(fields=["status", "-created_at"], name="%(app_label)s_status_created"),
            models.Index(fields=["-created_at"], name="%(app_label)s_created"),
        ]

    def __str__(self) -> str:
        return self.reference


class Payment(BasePayment):
    pass


class Notice(models.Model):
    """The audit trail."""

    payment = models.ForeignKey(Payment, models.CASCADE)
    outcome = models.CharField(max_length=16)
    data = models.JSONField()
    remote_address = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.outcome
