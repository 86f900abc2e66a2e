from django.shortcuts import get_object_or_404, redirect, render
from payments import PaymentError, RedirectNeeded

from shop.models import Purchase


def pay(request, pk):
    purchase = get_object_or_404(Purchase, pk=pk)
    try:
        form = purchase.get_form(data=request.POST or None)
    except RedirectNeeded as needed:
        return redirect(str(needed))
    except PaymentError as error:
        return render(request, "shop/pay.html", {"error": error}, status=400)
    return render(request, "shop/pay.html", {"form": form})
