"""
Signal delivery and reconciliation as Celery tasks.

Workers find them with ``autodiscover_tasks()``. Their names are ``paiementpro.deliver_event`` and
``paiementpro.reconcile``; ``task_routes = {"paiementpro.*": {"queue": "payments"}}`` gives them their own queue.
"""

from io import StringIO
from typing import Any

from celery import current_app, shared_task
from django.core.management import call_command
from django.utils.translation import gettext as _
from kombu import Connection

from django_paiementpro.delivery import outbox

# How long a notification may wait for a broker at each step: connecting, writing, reading.
BROKER_SECONDS = 2

# Timeouts by the scheme of the broker's URL.
REDIS = {"socket_connect_timeout": BROKER_SECONDS, "socket_timeout": BROKER_SECONDS}
AMQP = {"read_timeout": BROKER_SECONDS, "write_timeout": BROKER_SECONDS}
TIMEOUTS = {"redis": REDIS, "rediss": REDIS, "sentinel": REDIS, "amqp": AMQP, "amqps": AMQP, "pyamqp": AMQP}


@shared_task(name="paiementpro.deliver_event", ignore_result=True)
def deliver_event(event: int, lease: str) -> None:
    outbox.deliver_leased(event, lease)


@shared_task(name="paiementpro.reconcile", ignore_result=True)
def reconcile() -> str:
    """Run ``paiementpro_reconcile``, and return its output."""
    output = StringIO()
    call_command("paiementpro_reconcile", stdout=output)
    return output.getvalue()


def enqueue(event: int, lease: str) -> None:
    """
    Send the task to the broker. Raises the broker's error after a few seconds at most.

    The connection is not taken from the host's pool, which by default retries, and waits without limit for an answer.
    """
    with _connection() as connection:
        options: dict[str, Any] = {"connection": connection, "retry": False}
        deliver_event.apply_async((event, lease), **options)


def why_idle() -> str:
    if current_app.conf.task_always_eager:
        return _("with task_always_eager Celery runs tasks in the web process, before the gateway is answered")
    if not current_app.conf.broker_write_url:
        return _("the web process has no Celery app with a broker_url; import yours in the __init__.py of your project")
    return ""


def _connection() -> Connection:
    """Return a connection that tries each of the host's brokers once, whatever its options for workers are."""
    urls: str | list[str] = current_app.conf.broker_write_url or "amqp://"  # as Celery does
    urls = urls.split(";") if isinstance(urls, str) else urls
    timeouts = TIMEOUTS.get(urls[0].partition(":")[0])
    options = {**timeouts, "max_retries": len(urls) - 1} if timeouts else {}
    return current_app.connection_for_write(connect_timeout=BROKER_SECONDS, transport_options=options)
