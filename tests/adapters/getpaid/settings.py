import sys
from pathlib import Path

from tests.adapters.settings import *  # noqa: F403
from tests.adapters.settings import INSTALLED_APPS as APPS

sys.path.append(str(Path(__file__).parent))

ROOT_URLCONF = "tests.adapters.getpaid.urls"

INSTALLED_APPS = [
    *APPS,
    "shop",
    "getpaid",
    "django_paiementpro.contrib.getpaid",
]

GETPAID_ORDER_MODEL = "shop.Order"
GETPAID_BACKEND_SETTINGS = {
    "paiementpro": {"VALIDATORS": ["django_paiementpro.contrib.getpaid.validators.payable"]},
}
