from django.conf import settings
from django.db import models
from django.urls import reverse
from getpaid.abstracts import AbstractOrder


class Order(AbstractOrder):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    total = models.DecimalField(max_digits=9, decimal_places=2)
    currency = models.CharField(max_length=3, default="XOF")
    phone = models.CharField(max_length=32, blank=True)

    def get_absolute_url(self):
        return reverse("order", args=[self.pk])

    def get_total_amount(self):
        return self.total

    def get_description(self):
        return f"Order {self.pk}"

    def get_buyer_info(self):
        return {"email": self.user.email, "phone": self.phone}
