from tests.adapters.oscar.settings import *  # noqa: F403
from tests.adapters.oscar.settings import INSTALLED_APPS as APPS

ROOT_URLCONF = "tests.adapters.oscar_api_checkout.urls"

INSTALLED_APPS = [
    *APPS,
    "rest_framework",
    "oscarapi",
    "oscarapicheckout",
    "django_paiementpro.contrib.oscar_api_checkout",
]

API_ENABLED_PAYMENT_METHODS = [
    {
        "method": "django_paiementpro.contrib.oscar_api_checkout.methods.PaiementPro",
        "permission": "oscarapicheckout.permissions.Public",
        "method_kwargs": {},
        "permission_kwargs": {},
    },
    {
        "method": "oscarapicheckout.methods.Cash",
        "permission": "oscarapicheckout.permissions.Public",
        "method_kwargs": {},
        "permission_kwargs": {},
    },
]
OSCARAPI_INITIAL_ORDER_STATUS = "Pending"  # it is "new" otherwise
OSCAR_INITIAL_ORDER_STATUS = "Pending"
OSCAR_ORDER_STATUS_PIPELINE = {
    "Pending": ["Authorized", "Payment Declined", "Canceled"],
    "Payment Declined": ["Pending", "Authorized", "Canceled"],
    "Authorized": ["Shipped", "Canceled"],
    "Shipped": [],
    "Canceled": ["Authorized"],  # paid after all
}
