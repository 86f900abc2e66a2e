"""An ordinary host, on PostgreSQL."""

from django.core.exceptions import ImproperlyConfigured

from benchmarks.host import *  # noqa: F403
from benchmarks.host import env

ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "benchmarks.urls"

database = env.db_url_config(
    env("BENCHMARK_URL", default="postgres://postgres@127.0.0.1:5432/paiementpro_benchmark"),
)
if database["ENGINE"] != "django.db.backends.postgresql":
    raise ImproperlyConfigured("BENCHMARK_URL: write the postgres:// URL of a database that may be emptied")
DATABASES = {"default": database}

# Tables and indexes as in the models: what is measured may have no migration yet.
MIGRATION_MODULES = dict.fromkeys(["admin", "auth", "contenttypes", "paiementpro", "sessions"])
