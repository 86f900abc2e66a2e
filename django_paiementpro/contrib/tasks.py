"""
Signal delivery as a task of Django's tasks framework.

It uses the backend ``"default"`` of ``TASKS``, and its queue ``"default"``. Workers find the task by its path,
``django_paiementpro.contrib.tasks.deliver_event``.
"""

from collections.abc import Callable
from typing import Any

from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from django_paiementpro.delivery import outbox
from django_paiementpro.delivery.backends import FRAMEWORK

task: Callable[[Callable[..., None]], Any] = import_string(f"{FRAMEWORK}.task")


@task
def deliver_event(event: int, lease: str) -> None:
    outbox.deliver_leased(event, lease)


def enqueue(event: int, lease: str) -> None:
    """Queue the task. How long that may take is up to the backend."""
    deliver_event.enqueue(event, lease)


def why_idle() -> str:
    backend = deliver_event.get_backend()
    if isinstance(backend, import_string(f"{FRAMEWORK}.backends.immediate.ImmediateBackend")):
        return _("ImmediateBackend runs tasks in the web process, before the gateway is answered")
    if isinstance(backend, import_string(f"{FRAMEWORK}.backends.dummy.DummyBackend")):
        return _("DummyBackend runs no task")
    return ""
