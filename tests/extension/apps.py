from collections.abc import Collection, Mapping
from threading import Event
from typing import Any, ClassVar

from django_paiementpro.extensions import ExtensionConfig
from django_paiementpro.models import Payment


class NoisyConfig(ExtensionConfig):
    """An optional app that notes what the core asks of it. Tests install it, and set what it answers."""

    name = "tests.extension"
    label = "noisy"

    numbers: ClassVar[dict[str, int]] = {}
    error: ClassVar[Exception | None] = None
    context: ClassVar[dict[str, Any]] = {}
    keeps: ClassVar[bool] = False
    stops: ClassVar[bool] = False
    blanked: ClassVar[list[int]] = []
    others: ClassVar[dict[str, int]] = {}
    persons: ClassVar[list[tuple[str, str, bool]]] = []

    def reconcile(self, stop: Event) -> Mapping[str, int]:
        if self.error:
            raise self.error
        if self.stops:
            stop.set()
        return self.numbers

    def blank_personal_data(self, payments: Collection[int]) -> None:
        self.blanked.extend(payments)
        if self.error:
            raise self.error

    def erase_person(self, email: str, phone: str, *, dry_run: bool = False) -> Mapping[str, int]:
        self.persons.append((email, phone, dry_run))
        return self.others

    def result_context(self, payment: Payment) -> Mapping[str, Any]:
        return self.context

    def keeps_payer(self, payment: Payment) -> bool:
        return self.keeps


class QuietConfig(ExtensionConfig):
    """An optional app that adds nothing. It is asked after the noisy one."""

    name = "tests.extension.quiet"
    label = "quiet"
    asked: ClassVar[list[str]] = []

    def reconcile(self, stop: Event) -> Mapping[str, int]:
        self.asked.append("reconcile")
        return super().reconcile(stop)
