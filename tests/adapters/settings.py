"""What the shops of the adapters have in common: every request in a transaction, CSRF protection, no status look-up."""

import secrets

import environ

database = environ.Env().db_url_config(environ.Env()("DATABASE_URL", default="") or "sqlite://:memory:")

SECRET_KEY = "only for tests"
DEBUG = False
USE_TZ = True
TIME_ZONE = "Africa/Abidjan"
LANGUAGE_CODE = "en"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
# Each run has a database of its own.
test = {} if database["ENGINE"].endswith("sqlite3") else {"NAME": f"test_adapters_{secrets.token_hex(4)}"}
DATABASES = {"default": {**database, "ATOMIC_REQUESTS": True, "TEST": test}}

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django_paiementpro",
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

# Of phonenumbers and phonenumberslite, pip installs the newest, which may differ.
SILENCED_SYSTEM_CHECKS = ["paiementpro.W007"]
