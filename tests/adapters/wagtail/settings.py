from tests.adapters.settings import *  # noqa: F403
from tests.adapters.settings import INSTALLED_APPS as APPS
from tests.adapters.settings import SILENCED_SYSTEM_CHECKS as SILENCED

ROOT_URLCONF = "tests.adapters.wagtail.urls"

INSTALLED_APPS = [
    *APPS,
    "django_paiementpro.contrib.wagtail",
    "wagtail.users",
    "wagtail.images",
    "wagtail.documents",
    "wagtail.admin",
    "wagtail",
    "modelcluster",
    "taggit",
    "django.contrib.admin",
    "django.contrib.staticfiles",
]

WAGTAIL_SITE_NAME = "Shop"
WAGTAILADMIN_BASE_URL = "https://testserver"

# This site has an admin and sells nothing.
SILENCED_SYSTEM_CHECKS = [*SILENCED, "paiementpro.W003"]
