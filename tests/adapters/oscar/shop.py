"""A shop to buy from, by oscar's own pages."""

from typing import Any

from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.test import Client
from oscar.core.loading import get_model

Country = get_model("address", "Country")
Order = get_model("order", "Order")
Partner = get_model("partner", "Partner")
Product = get_model("catalogue", "Product")
ProductClass = get_model("catalogue", "ProductClass")
StockRecord = get_model("partner", "StockRecord")

ADDRESS = {"first_name": "Awa", "last_name": "Koné", "line1": "Rue 12", "line4": "Abidjan", "phone_number": ""}
EMAIL = "awa@example.com"


def make_product(price: int = 12505, stock: int = 10, *, is_shipped: bool = True) -> Any:
    """Put a product on sale."""
    country = {"printable_name": "Côte d’Ivoire", "is_shipping_country": True}
    Country.objects.get_or_create(iso_3166_1_a2="CI", defaults=country)
    kind = ProductClass.objects.create(name="Cloth", requires_shipping=is_shipped, track_stock=True)
    product = Product.objects.create(product_class=kind, title="Pagne wax")
    partner, _created = Partner.objects.get_or_create(name="Chez Awa")
    StockRecord.objects.create(
        product=product, partner=partner, partner_sku=product.pk, price=price, num_in_stock=stock
    )
    return product


def free_stock(product: Any) -> int:
    return int(product.stockrecords.get().net_stock_level)


def send(client: Client, path: str, **data: Any) -> HttpResponse:
    """Send a form, with its CSRF token."""
    return client.post(path, {"csrfmiddlewaretoken": client.cookies["csrftoken"].value, **data})


def sign_in(client: Client) -> Any:
    user = get_user_model().objects.create_user("awa", EMAIL, "secret", first_name="Awa", last_name="Koné")
    client.force_login(user, "oscar.apps.customer.auth_backends.EmailBackend")
    return user


def fill_basket(client: Client, product: Any, quantity: int = 1) -> None:
    assert client.get(product.get_absolute_url()).status_code == 200
    response = send(client, f"/basket/add/{product.pk}/", quantity=quantity)
    assert response.status_code == 302


def check_out(client: Client, product: Any, phone: str = "+225 07 07 12 34 56", quantity: int = 1) -> HttpResponse:
    """Go from the product to the order, as a guest unless signed in, and return the answer to placing it."""
    fill_basket(client, product, quantity)
    if client.get("/checkout/").status_code == 200:
        send(client, "/checkout/", username=EMAIL, options="anonymous")
    if product.get_product_class().requires_shipping:
        response = send(client, "/checkout/shipping-address/", **{**ADDRESS, "phone_number": phone})
        assert response.status_code == 302, response.context["form"].errors
    assert client.get("/checkout/shipping-method/").status_code == 302
    assert client.get("/checkout/payment-method/").status_code == 302
    assert client.get("/checkout/preview/").status_code == 200
    return send(client, "/checkout/preview/", action="place_order")
