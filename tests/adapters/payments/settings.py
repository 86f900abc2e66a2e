import sys
from pathlib import Path

from tests.adapters.settings import *  # noqa: F403
from tests.adapters.settings import INSTALLED_APPS as APPS

sys.path.append(str(Path(__file__).parent))

ROOT_URLCONF = "tests.adapters.payments.urls"

INSTALLED_APPS = [
    *APPS,
    "payments",
    "django_paiementpro.contrib.payments",
    "shop",
]

PAYMENT_HOST = "testserver"

PAYMENT_MODEL = "shop.Purchase"
PAYMENT_VARIANTS = {
    "default": ("django_paiementpro.contrib.payments.provider.PaiementProProvider", {}),
    "wave": (
        "django_paiementpro.contrib.payments.provider.PaiementProProvider",
        {"merchant_id": "PP-F900", "channel": "WAVECI"},
    ),
}
