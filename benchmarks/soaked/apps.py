from importlib import import_module

from django.apps import AppConfig


class SoakedConfig(AppConfig):
    name = "benchmarks.soaked"

    def ready(self) -> None:
        import_module("benchmarks.soaked.receivers")
