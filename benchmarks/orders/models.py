from django.db import models


class Order(models.Model):
    """What the payments are for."""

    total = models.PositiveBigIntegerField()

    def __str__(self) -> str:
        return f"Order {self.pk}"
