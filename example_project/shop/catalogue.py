"""What the demonstration sells."""

from typing import Any

from shop.models import Product

PRODUCTS: list[dict[str, Any]] = [
    {
        "slug": "pagne-wax",
        "name_fr": "Pagne wax, 6 yards",
        "name_en": "Wax print cloth, 6 yards",
        "description_fr": "Pur coton imprimé à la cire, motif soleils. De quoi coudre un ensemble et son foulard.",
        "description_en": "Pure cotton, printed with wax in a pattern of suns. Enough for an outfit and its headscarf.",
        "picture": "wax",
        "price": 12500,
        "stock": 12,
    },
    {
        "slug": "beurre-de-karite",
        "name_fr": "Beurre de karité, 500 g",
        "name_en": "Shea butter, 500 g",
        "description_fr": "Pressé à froid, non raffiné, venu de Korhogo. Pour la peau, les lèvres et les cheveux.",
        "description_en": "Cold-pressed and unrefined, from around Korhogo. For the skin, the lips and the hair.",
        "picture": "shea",
        "price": 3500,
        "stock": 30,
    },
    {
        "slug": "cafe-de-man",
        "name_fr": "Café de Man, 250 g",
        "name_en": "Coffee from Man, 250 g",
        "description_fr": "Torréfié par petites quantités et moulu à la commande. Corsé, avec une note de cacao.",
        "description_en": "Roasted in small batches and ground to order. Full-bodied, with a note of cocoa.",
        "picture": "coffee",
        "price": 2800,
        "stock": 24,
    },
    {
        "slug": "attieke",
        "name_fr": "Attiéké frais, 1 kg",
        "name_en": "Fresh attiéké, 1 kg",
        "description_fr": "Semoule de manioc à grains fins, préparée le matin même. À servir avec du poisson grillé.",
        "description_en": "Fine cassava semolina, made the same morning. Serve it with grilled fish.",
        "picture": "attieke",
        "price": 1000,
        "stock": 40,
    },
    {
        "slug": "panier-tresse",
        "name_fr": "Panier tressé",
        "name_en": "Woven basket",
        "description_fr": "Tressé à la main en fibres de rônier, anse renforcée de cuir. Chaque pièce est unique.",
        "description_en": "Woven by hand from palm fibre, with a handle bound in leather. No two are alike.",
        "picture": "basket",
        "price": 8500,
        "stock": 2,
    },
    {
        "slug": "bissap",
        "name_fr": "Fleurs de bissap, 200 g",
        "name_en": "Hibiscus flowers, 200 g",
        "description_fr": "Calices séchés au soleil, pour une boisson rouge et fraîche. Délicieuse avec de la menthe.",
        "description_en": "Calyxes dried in the sun, for a cool red drink. Delicious with mint.",
        "picture": "hibiscus",
        "price": 1200,
        "stock": 25,
    },
]


def stock_the_shop() -> None:
    """Put the products on the shelves, once: what has been sold since stays sold."""
    for product in PRODUCTS:
        Product.objects.get_or_create(slug=product["slug"], defaults=product)
