import secrets
from contextlib import suppress

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from django_paiementpro.models import Payment
from shop.forms import OrderForm
from shop.models import Order, Product


def product_list(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/product_list.html", {"products": Product.objects.all()})


def product_detail(request: HttpRequest, slug: str) -> HttpResponse:
    return render(request, "shop/product_detail.html", {"product": get_object_or_404(Product, slug=slug)})


@never_cache
def buy(request: HttpRequest, slug: str) -> HttpResponse:
    """Take the order of a guest, and send them to pay it."""
    # Guests have no account: their session holds the key to their orders.
    buyer = request.session.setdefault("buyer", secrets.token_hex(16))
    product = get_object_or_404(Product, slug=slug)
    form = OrderForm(product, request.POST or None)
    if not form.is_valid():
        return render(request, "shop/buy.html", {"product": product, "form": form})
    with transaction.atomic():
        # The lock makes two clicks take turns, and the second find the order of the first.
        product = Product.objects.select_for_update().get(pk=product.pk)
        wanted = {"buyer": buyer, "product": product, **form.cleaned_data}
        wanted["total"] = wanted["quantity"] * product.price
        order = Order.objects.filter(status=Order.Status.OPEN, **wanted).first() or Order.objects.create(**wanted)
    return pay(request, order.pk)


@require_POST
def pay(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the buyer to pay an open order."""
    with transaction.atomic():
        order = get_object_or_404(Order.objects.of_buyer(request).select_for_update(), pk=pk)
        is_payable = order.is_open and not order.is_sold_out
        return redirect(order.open_payment() if is_payable else order)


@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Give an open order up, unless its money has come in the meantime."""
    with suppress(ValidationError), transaction.atomic():
        order = get_object_or_404(Order.objects.of_buyer(request).select_for_update(), pk=pk)
        if order.is_open:
            order.cancel()
    return redirect("shop:order", pk)


@never_cache
def thanks(request: HttpRequest, reference: str) -> HttpResponse:
    """Take whoever has paid to the order; from another device they are thanked, and see nothing of the buyer's."""
    order = get_object_or_404(Payment, reference=reference).content_object
    if Order.objects.visible_to(request).filter(pk=order.pk).exists():
        return redirect(order)
    return render(request, "shop/thanks.html", {"order": order})


@never_cache
def order_list(request: HttpRequest) -> HttpResponse:
    orders = Order.objects.of_buyer(request).select_related("product")
    return render(request, "shop/order_list.html", {"orders": orders})


@never_cache
def order_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show where the order stands, by what the receivers have written: the URL that the payer brings says nothing."""
    order = get_object_or_404(Order.objects.visible_to(request).select_related("product", "paid_with"), pk=pk)
    is_buyer = order.buyer == request.session.get("buyer")
    context = {"order": order, "payment": order.payments.first(), "is_buyer": is_buyer}
    return render(request, "shop/order_detail.html", context)
