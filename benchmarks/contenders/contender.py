"""What all contenders have in common."""

from abc import ABC, abstractmethod
from collections import Counter
from typing import ClassVar

from django.db.models import Model

from benchmarks.contenders.wire import Request

#: How often the receiver of each has been called, in this process.
heard: Counter[str] = Counter()


class Contender(ABC):
    """An implementation that receives notifications."""

    name: ClassVar[str]
    #: Its tables; those that refer to others come first.
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
        """Return how many payments are paid according to the database."""

    def is_accepted(self, status: int) -> bool:
        return status == 200
