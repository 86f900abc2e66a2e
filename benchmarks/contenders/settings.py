"""An ordinary project with all contenders in it, on the database that NOTIFICATION_URL names."""

from importlib.util import find_spec

from benchmarks.host import *  # noqa: F403
from benchmarks.host import INSTALLED_APPS as APPS
from benchmarks.host import env

ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "benchmarks.contenders.urls"

database = env.db_url_config(
    env("NOTIFICATION_URL", default="postgres://postgres@127.0.0.1:5432/paiementpro_notifications"),
)
if database["ENGINE"] == "django.db.backends.sqlite3":
    # As for production: a transaction that will write waits for its turn, which the peers need, and readers do not
    # stop it.
    database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
    }
DATABASES = {"default": {**database, "CONN_MAX_AGE": None}}

#: The peers that can be imported here: the app of each, and what it needs.
PEERS = {
    "payments": ["payments", "benchmarks.contenders.with_payments"],
    "djstripe": ["djstripe"],
    "getpaid": ["getpaid", "benchmarks.contenders.with_getpaid"],
}
HERE = [name for name in PEERS if find_spec(name)]

INSTALLED_APPS = [
    *APPS,
    "rest_framework",
    "benchmarks.contenders.floor",
    "benchmarks.contenders.honest",
    *(app for name in HERE for app in PEERS[name]),
]
# The tables are made as the models say.
MIGRATION_MODULES = dict.fromkeys(
    ["admin", "auth", "contenttypes", "djstripe", "getpaid", "paiementpro", "payments", "sessions"]
)

PAIEMENTPRO_PAYMENT_FACTORY = "benchmarks.rest.new_payment"
REST_FRAMEWORK = {
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}

PAYMENT_HOST = "127.0.0.1"
PAYMENT_MODEL = "with_payments.Payment"
PAYMENT_VARIANTS = {"gateway": ("benchmarks.contenders.with_payments.provider.Provider", {})}

DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
STRIPE_LIVE_MODE = False
STRIPE_TEST_SECRET_KEY = "sk_test_onlyforbenchmarksonlyforben"

GETPAID_ORDER_MODEL = "with_getpaid.Order"
GETPAID_PAYMENT_MODEL = "with_getpaid.Payment"

# Forged notifications are not logged: the terminal must not be measured.
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"level": "CRITICAL"}}
