"""What a developer who makes the same promises as this app stores."""

from django.db import models
from django.utils import timezone

from benchmarks.contenders.floor.models import BasePayment


class Payment(BasePayment):
    pass


class Event(models.Model):
    """A row of the audit trail, and of the outbox while ``deliver_at`` is set."""

    payment = models.ForeignKey(Payment, models.CASCADE)
    outcome = models.CharField(max_length=16)
    reason = models.CharField(max_length=64, blank=True)
    data = models.JSONField()
    remote_address = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)
    #: The name of the signal to send.
    signal = models.CharField(max_length=32, blank=True)
    #: The end of the lease. Null once the signal has been delivered.
    deliver_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["deliver_at"], condition=models.Q(deliver_at__isnull=False), name="honest_deliver_at"),
        ]

    def __str__(self) -> str:
        return self.outcome
