from oscar.apps.checkout import views

from django_paiementpro.contrib.oscar.mixins import PaiementProMixin


class PaymentDetailsView(PaiementProMixin, views.PaymentDetailsView):
    def get_payment_values(self, order):
        return {**super().get_payment_values(order), "channel": "WAVECI"}
