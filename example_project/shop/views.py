from contextlib import suppress

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from django_paiementpro.models import Payment
from shop.forms import MAX_QUANTITY, BuyerForm, OrderForm
from shop.models import Order, Product, buyer_of


def product_list(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/product_list.html", {"products": Product.objects.all()})


def product_detail(request: HttpRequest, slug: str) -> HttpResponse:
    return render(request, "shop/product_detail.html", {"product": get_object_or_404(Product, slug=slug)})


@never_cache
def express(request: HttpRequest) -> HttpResponse:
    """Show the single page, which buys through the API."""
    buyer_of(request)  # so that all it sends comes from the same
    products = Product.objects.filter(stock__gt=0)
    context = {"products": products, "form": BuyerForm(), "max_quantity": MAX_QUANTITY}
    return render(request, "shop/express.html", context)


@never_cache
def buy(request: HttpRequest, slug: str) -> HttpResponse:
    """Take the order of a guest, and send them to pay it."""
    buyer = buyer_of(request)
    product = get_object_or_404(Product, slug=slug)
    form = OrderForm(product, request.POST or None)
    if not form.is_valid():
        return render(request, "shop/buy.html", {"product": product, "form": form})
    order = Order.objects.place(buyer, product, **form.cleaned_data)
    return pay(request, order.pk)


@require_POST
def pay(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the buyer to pay an open order, unless its money has come in the meantime."""
    with suppress(ValidationError), transaction.atomic():
        # The lock keeps the order from being cancelled meanwhile.
        order = get_object_or_404(Order.objects.of_buyer(request).select_for_update(), pk=pk)
        if order.is_payable:
            return redirect(order.open_payment().get_checkout_url())
    return redirect("shop:order", pk)


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
    """Take the buyer to the order. On another device show a page that thanks, without the buyer's data."""
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
