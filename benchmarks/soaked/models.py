from django.db import models


class Call(models.Model):
    """A call of a receiver. Without an end it was killed, with ``has_failed`` it raised."""

    reference = models.CharField(max_length=64)
    signal = models.CharField(max_length=32)
    receiver = models.CharField(max_length=32)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    has_failed = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.signal} {self.receiver} {self.reference}"
