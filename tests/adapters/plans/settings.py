import sys
from pathlib import Path

from tests.adapters.settings import *  # noqa: F403
from tests.adapters.settings import INSTALLED_APPS as APPS

sys.path.append(str(Path(__file__).parent))

ROOT_URLCONF = "tests.adapters.plans.urls"

INSTALLED_APPS = [
    *APPS,
    "shop",
    "ordered_model",
    "plans",
    "payments",
    "plans_payments",
    "django_paiementpro.contrib.payments",
]

PAYMENT_HOST = "testserver"
SEND_PLANS_EMAILS = False

PAYMENT_MODEL = "plans_payments.Payment"
PAYMENT_VARIANTS = {
    "mobile-money": ("django_paiementpro.contrib.payments.provider.PaiementProProvider", {}),
}
PLANS_CURRENCY = "XOF"
PLANS_TAXATION_POLICY = "shop.taxation.Taxation"
