"""The example shop, with the admin theme that ``THEME`` names; without one, with Django's own."""

import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(root / "example_project"))

from example_project.settings import *  # noqa: E402, F403
from example_project.settings import INSTALLED_APPS, env  # noqa: E402

THEME = env("THEME", default="django")
ROOT_URLCONF = "tests.themes.urls"
INSTALLED_APPS = [*INSTALLED_APPS, "django_paiementpro.webhooks"]

if THEME != "django":
    INSTALLED_APPS = [THEME.partition("-")[0], *INSTALLED_APPS]
if THEME == "unfold-mixin":
    INSTALLED_APPS = [*INSTALLED_APPS, "tests.themes.mixin"]

# Jazzmin's default is light, whatever the browser prefers.
JAZZMIN_UI_TWEAKS = {"default_theme_mode": "auto"}
