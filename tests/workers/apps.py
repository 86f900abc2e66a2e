from django.apps import AppConfig
from django.conf import settings


class WorkersConfig(AppConfig):
    name = "tests.workers"

    def ready(self) -> None:
        if settings.HOLD:
            # As a project's __init__ does it, so that every process knows the broker.
            from tests.workers import celery_app, receivers  # noqa: F401
