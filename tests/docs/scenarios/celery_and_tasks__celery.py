from threading import Event
from typing import Any

from celery.contrib.testing.worker import start_worker
from celery.signals import task_postrun
from django.conf import settings
from django.core.management import call_command
from django.test import TransactionTestCase
from orders.models import Order

from django_paiementpro.testing import make_payment, notify, pay
from shop import celery_app


class Celery(TransactionTestCase):
    def setUp(self) -> None:
        celery_app.conf.broker_url = "memory://"

    def test_receiver_runs_in_the_worker_of_its_queue(self) -> None:
        order = Order.objects.create(
            first_name="Awa", last_name="Koné", email="awa@example.com", phone="07 07 12 34 56"
        )
        payment = make_payment(content_object=order)
        pay(payment)
        assert notify(payment).status_code == 200
        assert not Order.objects.get().is_paid

        # Nothing is read meanwhile: what the worker writes to SQLite in memory would be locked.
        done = Event()

        def finish(**kwargs: Any) -> None:
            done.set()

        task_postrun.connect(finish)
        with start_worker(celery_app, pool="solo", perform_ping_check=False, queues=["celery", "payments"]):
            assert done.wait(30), "no worker has run the receiver"
        assert Order.objects.get().is_paid

    def test_beat_finds_its_task(self) -> None:
        (entry,) = celery_app.conf.beat_schedule.values()
        celery_app.loader.import_default_modules()
        assert entry["task"] in celery_app.tasks
        assert celery_app.amqp.router.route({}, entry["task"])["queue"].name == "payments"

    def test_check_passes(self) -> None:
        assert settings.PAIEMENTPRO_DELIVERY == "task"
        call_command("check", fail_level="WARNING")
