import sys
from pathlib import Path

from tests.adapters.settings import *  # noqa: F403
from tests.adapters.settings import INSTALLED_APPS as APPS

sys.path.append(str(Path(__file__).parent))

ROOT_URLCONF = "tests.adapters.salesman.urls"

INSTALLED_APPS = [
    *APPS,
    "salesman.core",
    "salesman.basket",
    "salesman.checkout",
    "salesman.orders",
    "rest_framework",
    "shop",
]

SALESMAN_PRODUCT_TYPES = {"shop.Product": "shop.serializers.ProductSerializer"}
SALESMAN_PAYMENT_METHODS = ["shop.payment.MobileMoney"]
