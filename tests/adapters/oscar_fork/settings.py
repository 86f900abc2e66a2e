import sys
from pathlib import Path

from tests.adapters.oscar.settings import *  # noqa: F403
from tests.adapters.oscar.settings import INSTALLED_APPS as APPS

sys.path.append(str(Path(__file__).parent))

ADAPTER = "django_paiementpro.contrib.oscar.checkout.apps.CheckoutConfig"

INSTALLED_APPS = [
    "shop.checkout.apps.CheckoutConfig",
    "django_paiementpro.contrib.oscar",
]
INSTALLED_APPS += [app for app in APPS if app != ADAPTER]
