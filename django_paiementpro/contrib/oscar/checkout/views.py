from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from oscar.apps.checkout import views
from oscar.core.loading import get_model

from django_paiementpro.contrib.oscar.mixins import PaiementProMixin
from django_paiementpro.contrib.oscar.orders import find_order, order_url
from django_paiementpro.models import Payment

Order = get_model("order", "Order")


class PaymentDetailsView(PaiementProMixin, views.PaymentDetailsView):
    """Go straight on to the preview: there are no details to enter, since the customer pays at the gateway."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self.preview:
            return HttpResponseRedirect(reverse("checkout:preview"))
        response: HttpResponse = super().get(request, *args, **kwargs)
        return response

    def render_payment_details(self, request: HttpRequest, **kwargs: Any) -> Any:
        return self.render_preview(request, **kwargs)

    def get_payment_values(self, order: Any) -> dict[str, Any]:
        thank_you = f"{reverse('checkout:thank-you')}?{urlencode({'order': order.verification_hash()})}"
        return {**super().get_payment_values(order), "success_url": thank_you}


class ThankYouView(views.ThankYouView):
    """
    Thank the customer for an order that is paid.

    In another browser, which knows nothing of the order, and as long as it can still be paid, its own page is shown
    instead.
    """

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        known, paid = self.get_object(), find_order(request.GET.get("order", ""))
        order = paid or known
        if order and (order != known or Payment.objects.for_object(order).payable().exists()):
            return HttpResponseRedirect(order_url(order))
        response: HttpResponse = super().get(request, *args, **kwargs)
        return response
