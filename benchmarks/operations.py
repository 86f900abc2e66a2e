"""A host with the database, gateway and broker of the benchmarks of the operations."""

from benchmarks.host import *  # noqa: F403
from benchmarks.host import INSTALLED_APPS as APPS
from benchmarks.host import env

ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "benchmarks.operations_urls"
DATABASES = {
    "default": {
        **env.db_url_config(
            env("OPERATIONS_URL", default="postgres://postgres@127.0.0.1:5432/paiementpro_operations"),
        ),
        # A connection for each thread of the server, for as long as the thread lives.
        "CONN_MAX_AGE": env.int("CONN_MAX_AGE", default=None),
    }
}
INSTALLED_APPS = [*APPS, "django_paiementpro.sandbox", "django_paiementpro.contrib.celery", "benchmarks.soaked"]

PAIEMENTPRO_SANDBOX = True
PAIEMENTPRO_GATEWAY_URL = env("GATEWAY_URL", default="http://127.0.0.1:1")
PAIEMENTPRO_STATUS_URL = f"{PAIEMENTPRO_GATEWAY_URL}/status"
PAIEMENTPRO_API_GATEWAY_CALLS = env.int("GATEWAY_CALLS", default=24)
PAIEMENTPRO_DELIVERY = env("DELIVERY", default="immediate")

# Errors are intended here, and counted.
LOGGING = {"version": 1, "disable_existing_loggers": False, "loggers": {"django_paiementpro": {"level": "CRITICAL"}}}
