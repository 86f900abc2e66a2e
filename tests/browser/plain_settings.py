"""The example shop without an identity: the payer pages as they come."""

from example_project.settings import *  # type: ignore[import-not-found]  # noqa: F403  # the example's own settings
from example_project.settings import INSTALLED_APPS

PAIEMENTPRO_SHOP: dict[str, str] = {}
# Its templates for the payer pages come after the app's.
INSTALLED_APPS = [*(app for app in INSTALLED_APPS if app != "shop"), "shop"]
