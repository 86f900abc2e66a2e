"""A hostile host: every request in a transaction, every view behind a login and CSRF protection."""

import secrets
import sys
import tempfile
from pathlib import Path

import environ

env = environ.Env()
root = Path(__file__).resolve().parent.parent
sys.path.append(str(root / "example_project"))

SECRET_KEY = "only for tests"
DEBUG = False
USE_TZ = True
TIME_ZONE = "Africa/Abidjan"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("fr", "Français")]
ROOT_URLCONF = "tests.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
LOGIN_URL = "/admin/login/"

database = env.db_url_config(env("DATABASE_URL", default="") or "sqlite://:memory:")
# Each process of each run has a database of its own. SQLite's is on disk, as threads cannot share one in memory.
test_name = f"test_paiementpro_{secrets.token_hex(4)}"
is_sqlite = database["ENGINE"] == "django.db.backends.sqlite3"
test_name = str(Path(tempfile.gettempdir()) / f"{test_name}.sqlite3") if is_sqlite else test_name
DATABASES = {"default": {**database, "ATOMIC_REQUESTS": True, "TEST": {"NAME": test_name}}}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_paiementpro",
    "django_paiementpro.links",
    "django_paiementpro.monitoring",
    "django_paiementpro.receipts",
    "django_paiementpro.sandbox",
    "django_paiementpro.webhooks",
    "rest_framework",
    "drf_spectacular",
    "shop",
    "tests.host",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

PAIEMENTPRO_MERCHANT_ID = "PP-F324"
PAIEMENTPRO_SITE_URL = "https://testserver"
PAIEMENTPRO_STATUS_URL = None
PAIEMENTPRO_SANDBOX = True

REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
SPECTACULAR_SETTINGS = {"TITLE": "A shop", "VERSION": "1", "OAS_VERSION": "3.1.0"}
