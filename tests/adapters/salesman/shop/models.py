from decimal import Decimal

from django.db import models
from django.http import HttpRequest


class Product(models.Model):
    name = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=18, decimal_places=2)

    @property
    def code(self) -> str:
        return str(self.pk)

    def get_price(self, request: HttpRequest) -> Decimal:
        return self.price
