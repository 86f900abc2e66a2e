"""
A host's project in a folder of its own, as ``startproject`` makes it: settings, URLs, a database, server processes.

What a test breaks it breaks in the project's files and settings; the server and the commands are processes.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.server.threads import DEADLINE

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = """
import json, os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent
SECRET_KEY = "qGz1Yb7-xX2vR4kT9mW3nP6sD8fH0jL5aC_eU!iOoZbVgNhQ-of-the-shop"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "shop_urls"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django_paiementpro",
    "orders",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
LANGUAGES = [("en", "English"), ("fr", "French")]
LANGUAGE_CODE = "en"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PAIEMENTPRO_MERCHANT_ID = "PP-F324"
PAIEMENTPRO_SITE_URL = "https://shop.example"
PAIEMENTPRO_STATUS_URL = None
PAIEMENTPRO_TIMEOUT = (20, 20)

for name, value in json.loads(os.environ["SHOP_SETTINGS"]).items():
    globals().pop(name, None) if value == "not set" else globals().update({name: value})
"""

URLS = """
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("paiementpro/", include("django_paiementpro.urls")),
]
"""

RECEIVERS = """
from django.apps import AppConfig
from django.dispatch import receiver
from django_paiementpro.signals import payment_succeeded


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self):
        receiver(payment_succeeded)(fulfil)


def fulfil(sender, payment, **kwargs):
    pass
"""

SERVE = """
import django
django.setup()
from tests.server.site import Site
server = Site()
print(server.url, flush=True)
server.serve_forever()
"""

MANAGE = "from django.core.management import execute_from_command_line; import sys; execute_from_command_line(sys.argv)"


IMPORTS = """
from datetime import timedelta
from django.utils import timezone
from django_paiementpro import __version__
from django_paiementpro.models import Payment, PaymentEvent, ReconciliationRun, Verification
"""


class Report(NamedTuple):
    """What a command said, and its exit code."""

    out: str
    error: str
    code: int

    @property
    def failures(self) -> list[str]:
        return [line for line in self.out.splitlines() if line.startswith("fail")]

    @property
    def complaints(self) -> list[str]:
        """All lines but those that pass."""
        return [line for line in self.out.splitlines() if not line.startswith("pass")]


class Installation:
    """A project; ``settings`` are both the server's and the commands'. ``"not set"`` takes one off."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.settings = settings
        self.environment: dict[str, str] = {}
        self.write("shop_settings.py", SETTINGS)
        self.write("shop_urls.py", URLS)
        self.write("orders/__init__.py", "")
        self.write("orders/apps.py", RECEIVERS)
        self.write("manage.py", MANAGE)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def manage(self, *args: str, **settings: Any) -> Report:
        """Run one of the project's commands, with settings that the server may not have."""
        return self.run("manage.py", *args, **settings)

    def does(self, script: str) -> None:
        """Run a script that has the models at hand."""
        report = self.run("-c", f"import django\ndjango.setup()\n{IMPORTS}\n{script}")
        assert report.code == 0, report.error

    def run(self, *args: str, **settings: Any) -> Report:
        run = subprocess.run(
            [sys.executable, *args],
            check=False,
            cwd=self.folder,
            env=self._environment(settings),
            capture_output=True,
            encoding="utf-8",
            timeout=4 * DEADLINE,
        )
        return Report(run.stdout, run.stderr, run.returncode)

    def examine(self, *args: str, **settings: Any) -> Report:
        return self.manage("paiementpro_doctor", *args, **settings)

    @contextmanager
    def serving(self, **settings: Any) -> Iterator[str]:
        """Serve the site from a process of its own, and give its base URL."""
        with subprocess.Popen(
            [sys.executable, "-c", SERVE],
            cwd=self.folder,
            env=self._environment(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            try:
                assert process.stdout
                url = process.stdout.readline().strip()
                assert url, "the server did not start"
                yield url
            finally:
                process.kill()

    def _environment(self, settings: dict[str, Any]) -> dict[str, str]:
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "shop_settings",
            "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}",
            "PYTHONIOENCODING": "utf-8",
            "SHOP_SETTINGS": json.dumps(self.settings | settings),
            **self.environment,
        }
