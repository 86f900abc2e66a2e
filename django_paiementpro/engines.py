"""
What carries deliveries to a worker where ``PAIEMENTPRO_DELIVERY`` is ``"task"``: an engine that the host has already.

Celery, where ``django_paiementpro.contrib.celery`` is installed; else Django's tasks framework, with the backend that
the host has chosen. The modules that need either are imported by name, when they are needed: the other may be missing.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

from django.apps import apps

#: Django's tasks framework, or its backport for Django 5.2.
FRAMEWORK = "django.tasks" if find_spec("django.tasks") else "django_tasks"

CELERY_APP = "django_paiementpro.contrib.celery"


class Engine(Protocol):
    """A module that queues deliveries."""

    def enqueue(self, event: int, lease: str) -> None:
        """Have a worker deliver what an event owes, under the lease that it has. Raises whatever the engine does."""

    def idleness(self) -> str:
        """Return why no worker would run what is queued, in words; empty where one may."""


def get_engine() -> Engine:
    """Return the host's engine. Raises ``ImportError`` where there is none, and what it says of its own settings."""
    module = f"{CELERY_APP}.tasks" if apps.is_installed(CELERY_APP) else "django_paiementpro.contrib.tasks"
    return cast("Engine", import_module(module))
