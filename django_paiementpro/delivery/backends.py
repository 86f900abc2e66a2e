"""
The task queue that runs receivers if ``PAIEMENTPRO_DELIVERY`` is ``"task"``: one that the host already uses.

Celery, if ``django_paiementpro.contrib.celery`` is installed, otherwise the backend of Django's tasks framework. The
modules for them are imported by name when they are needed: either package may be missing.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

from django.apps import apps

#: Django's tasks framework, or its backport for Django 5.2.
FRAMEWORK = "django.tasks" if find_spec("django.tasks") else "django_tasks"

CELERY_APP = "django_paiementpro.contrib.celery"


class Backend(Protocol):
    """A module that queues deliveries."""

    def enqueue(self, event: int, lease: str) -> None:
        """Queue the delivery of an event's pending signals, under its current lease. The queue's errors propagate."""

    def why_idle(self) -> str:
        """Return why no worker would run what is queued, or an empty string."""


def get_backend() -> Backend:
    """Return the host's backend. Raises ``ImportError`` if there is none, and whatever it raises itself."""
    module = f"{CELERY_APP}.tasks" if apps.is_installed(CELERY_APP) else "django_paiementpro.contrib.tasks"
    return cast("Backend", import_module(module))
