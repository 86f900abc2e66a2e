from django.contrib.auth.decorators import login_required
from django.shortcuts import get_object_or_404, render
from getpaid.forms import PaymentMethodForm

from shop.models import Order


@login_required
def order(request, pk):
    order = get_object_or_404(Order, pk=pk, user=request.user)
    form = PaymentMethodForm(initial={"order": order, "currency": order.currency})
    return render(request, "shop/order.html", {"order": order, "form": form})
