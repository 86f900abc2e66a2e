"""A host whose receivers run in workers. Its processes have more settings, as JSON in the environment."""

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as APPS

# First, so that its receivers are called first.
INSTALLED_APPS = ["tests.workers", *APPS, "django_tasks_db"]
PAIEMENTPRO_DELIVERY = "task"
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

# The second receiver waits while this file exists; None in the process of the tests.
HOLD = None

globals().update(json.loads(os.environ.get("HOST_SETTINGS", "{}")))
