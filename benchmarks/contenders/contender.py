"""What all contenders have in common."""

from abc import ABC, abstractmethod
from collections import Counter
from typing import ClassVar

from django.db.models import Model

from benchmarks.contenders.wire import Request

#: How often the receiver of each has been called, in this process.
heard: Counter[str] = Counter()


class Contender(ABC):
    """One who takes notifications."""

    name: ClassVar[str]
    #: Its tables, those first that refer to others.
    models: ClassVar[list[type[Model]]]

    def prepare(self) -> None:  # noqa: B027  most need nothing
        """Store what every payment needs."""

    @abstractmethod
    def notifications(self, number: int) -> list[Request]:
        """Make this number of pending payments, and return the notification of each."""

    @abstractmethod
    def forged(self) -> Request:
        """Return a forged notification, which names no payment."""

    @abstractmethod
    def count_paid(self) -> int:
        """Return how many payments the database holds to be paid."""

    def is_accepted(self, status: int) -> bool:
        return status == 200
