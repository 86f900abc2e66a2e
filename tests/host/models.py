from django.db import models


class Order(models.Model):
    """What a host sells: paid at most once, and it remembers how often it was told so."""

    total = models.PositiveIntegerField(default=12500)
    times_paid = models.PositiveIntegerField(default=0)
