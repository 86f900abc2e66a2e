"""
The settings of the example shop: each is read from the environment or from .env, and explained in .env.example.

Without either the shop runs for a demonstration: DEBUG, SQLite, and a payment gateway of its own below /sandbox/.
"""

from datetime import timedelta
from pathlib import Path

import django
import environ

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
env.read_env(BASE_DIR / ".env")

DEBUG = env.bool("DEBUG", default=True)
SECRET_KEY = env("SECRET_KEY", default="for demonstrations only") if DEBUG else env("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
HTTPS = env.bool("HTTPS", default=not DEBUG)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_PROXY", default=False) else None

# What the demo command listens on; the local sandbox is found there as well.
PORT = env.int("PORT", default=8000)
LOCAL_SANDBOX = env.bool("LOCAL_SANDBOX", default=DEBUG)

ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"

INSTALLED_APPS = [
    "shop",
    "django_paiementpro",
    "django_paiementpro.links",
    "django_paiementpro.monitoring",
    "django_paiementpro.receipts",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
]
if LOCAL_SANDBOX:
    INSTALLED_APPS.append("django_paiementpro.sandbox")

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "example_project.middleware.choose_language_by_switch",
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

# An empty DATABASE_URL, as make passes it on, means the same as none. A path is no URL: it may contain "#" or "+".
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
if url := env("DATABASE_URL", default=""):
    DATABASES["default"] = env.db_url_config(url)
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # SQLite has no row locks. A transaction that reads first and writes later fails at once when another has written in
    # between; one that begins as a writer waits for its turn instead, so that select_for_update() keeps its promise.
    DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 20}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = env("LANGUAGE_CODE", default="fr")
LANGUAGES = [("fr", "Français"), ("en", "English")]
TIME_ZONE = env("TIME_ZONE", default="Africa/Abidjan")
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = env.path("STATIC_ROOT", default=str(BASE_DIR / "static"))

# Whom mail_admins() writes to. Django took pairs of name and address up to 5.2.
ADMINS = env.list("ADMINS", default=[])
if django.VERSION < (6, 0):
    ADMINS = [(address, address) for address in ADMINS]
SERVER_EMAIL = DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", default="boutique@localhost")
email = env.email("EMAIL_URL", default="consolemail://")
if django.VERSION < (6, 1):
    vars().update(email)
else:
    names = {
        "EMAIL_FILE_PATH": "file_path",
        "EMAIL_HOST": "host",
        "EMAIL_PORT": "port",
        "EMAIL_HOST_USER": "username",
        "EMAIL_HOST_PASSWORD": "password",
        "EMAIL_USE_TLS": "use_tls",
        "EMAIL_USE_SSL": "use_ssl",
    }
    options = {option: email[name] for name, option in names.items() if email.get(name)}
    MAILERS = {"default": {"BACKEND": email["EMAIL_BACKEND"], "OPTIONS": options}}

PAIEMENTPRO_MERCHANT_ID = env("PAIEMENTPRO_MERCHANT_ID", default="PP-F324")
PAIEMENTPRO_ENVIRONMENT = env("PAIEMENTPRO_ENVIRONMENT", default="live")
PAIEMENTPRO_SITE_URL = env("PAIEMENTPRO_SITE_URL", default=None)
PAIEMENTPRO_CHANNELS = env.list("PAIEMENTPRO_CHANNELS", default=["OMCIV2", "MOMOCI", "FLOOZ", "WAVECI", "CARD"])
PAIEMENTPRO_EXPIRES_AFTER = timedelta(hours=env.int("PAIEMENTPRO_EXPIRES_AFTER_HOURS", default=24))
PAIEMENTPRO_GATEWAY_URL = env(
    "PAIEMENTPRO_GATEWAY_URL", default=f"http://127.0.0.1:{PORT}/sandbox" if LOCAL_SANDBOX else None
)
PAIEMENTPRO_SHOP = {
    "name": env("SHOP_NAME", default="La petite boutique"),
    "logo": "shop/logo.svg",
    "phone": "+225 07 00 00 00 00",
    "whatsapp": "+225 07 00 00 00 00",
    "email": "boutique@example.com",
    "address": "Plateau, Abidjan, Côte d’Ivoire",
    "registration": "CI-ABJ-2026-B-00000",
    "tax_id": "0000000 A",
}
PAIEMENTPRO_RECEIPT_EMAIL = env.bool("PAIEMENTPRO_RECEIPT_EMAIL", default=True)
PAIEMENTPRO_HEALTH_TOKEN = env("PAIEMENTPRO_HEALTH_TOKEN", default=None)
PAIEMENTPRO_PAYMENT_FACTORY = "shop.payments.new_payment"
PAIEMENTPRO_RETURN_HOSTS = env.list("PAIEMENTPRO_RETURN_HOSTS", default=[])
# Where neither is so, the app itself knows where to ask.
if LOCAL_SANDBOX or "PAIEMENTPRO_STATUS_URL" in env:
    PAIEMENTPRO_STATUS_URL = env("PAIEMENTPRO_STATUS_URL", default=f"{PAIEMENTPRO_GATEWAY_URL}/status")

# The API is for the single page at /express/: JSON only, and what its buyers may see hangs on their session.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
