"""
The delivery of signals, and the reconciliation, as tasks of Celery.

A worker finds them by ``autodiscover_tasks()``. Their names are ``paiementpro.deliver_event`` and
``paiementpro.reconcile``; ``task_routes = {"paiementpro.*": {"queue": "payments"}}`` gives them a queue of their own.
"""

from io import StringIO

from celery import current_app, shared_task
from django.core.management import call_command
from django.utils.translation import gettext as _
from kombu import Connection

from django_paiementpro.delivery import outbox

# How long a notification may wait for a broker that does not answer, at each step: connecting, writing, reading.
BROKER_SECONDS = 2

# The same in the words of each kind of broker.
BOUNDS = {
    "redis": {"socket_connect_timeout": BROKER_SECONDS, "socket_timeout": BROKER_SECONDS},
    "amqp": {"read_timeout": BROKER_SECONDS, "write_timeout": BROKER_SECONDS},
}


@shared_task(name="paiementpro.deliver_event", ignore_result=True)
def deliver_event(event: int, lease: str) -> None:
    outbox.deliver_leased(event, lease)


@shared_task(name="paiementpro.reconcile", ignore_result=True)
def reconcile() -> str:
    """Run ``paiementpro_reconcile``, and return what it says."""
    output = StringIO()
    call_command("paiementpro_reconcile", stdout=output)
    return output.getvalue()


def enqueue(event: int, lease: str) -> None:
    """
    Send the task to the broker, or raise what keeps it away, after a few seconds at most.

    On a connection of its own: those of the host's pool try again, by default, and wait for an answer without end.
    """
    with _connection() as connection:
        producer = current_app.amqp.Producer(connection, auto_declare=False)
        deliver_event.apply_async((event, lease), producer=producer, retry=False)


def why_idle() -> str:
    if current_app.conf.task_always_eager:
        return _("task_always_eager has Celery run tasks in the web process, before the gateway is answered")
    if not current_app.conf.broker_write_url:
        return _("the web process knows no Celery app with a broker_url; import yours in the __init__ of your project")
    return ""


def _connection() -> Connection:
    """Return a connection that tries each broker of the host's once, whatever the host's options are for workers."""
    connection = current_app.connection_for_write(connect_timeout=BROKER_SECONDS)
    if bounds := BOUNDS.get(connection.transport.driver_type):
        retries = {"max_retries": max(len(connection.alt) - 1, 0)}
        connection.transport_options = {**(connection.transport_options or {}), **bounds, **retries}
    return connection
