"""An ordinary host, on PostgreSQL."""

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()

SECRET_KEY = "only for benchmarks"
DEBUG = False
ALLOWED_HOSTS = ["testserver"]
USE_TZ = True
TIME_ZONE = "Africa/Abidjan"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("fr", "Français")]
ROOT_URLCONF = "benchmarks.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"

database = env.db_url_config(
    env("BENCHMARK_URL", default="postgres://postgres@127.0.0.1:5432/paiementpro_benchmark"),
)
if database["ENGINE"] != "django.db.backends.postgresql":
    raise ImproperlyConfigured("BENCHMARK_URL: write the postgres:// URL of a database that may be emptied")
DATABASES = {"default": database}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_paiementpro",
    "benchmarks.orders",
]
# Tables and indexes as the models say now: what is measured need not have its migration yet.
MIGRATION_MODULES = dict.fromkeys(["admin", "auth", "contenttypes", "paiementpro", "sessions"])

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
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
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

PAIEMENTPRO_MERCHANT_ID = "PP-F324"
