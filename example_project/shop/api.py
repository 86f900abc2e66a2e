"""What the single page asks of the shop itself; its payments it asks of the app's own API."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from django_paiementpro.api.parsing import read_body
from shop.forms import OrderForm
from shop.models import Order, Product, buyer_of


@extend_schema(exclude=True)
class OrderView(APIView):
    """Take a guest's order of a product, by the form that the shop's pages have."""

    def post(self, request: Request, slug: str) -> Response:
        product = get_object_or_404(Product, slug=slug)
        data = read_body(request)
        form = OrderForm(product, data if isinstance(data, dict) else {})
        if not form.is_valid():
            return Response(form.errors, status=400)
        order = Order.objects.place(buyer_of(request), product, **form.cleaned_data)
        answer = {"order": str(order.pk), "url": order.get_absolute_url(), "title": str(order), "total": order.total}
        return Response(answer, status=201)
