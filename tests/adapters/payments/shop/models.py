from django.urls import reverse
from payments.models import BasePayment


class Purchase(BasePayment):
    def get_success_url(self):
        return reverse("thanks", args=[self.pk])

    def get_failure_url(self):
        return reverse("pay", args=[self.pk])
