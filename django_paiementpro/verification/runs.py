"""Verifications: stored case by case, so that an interrupted one can be resumed."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from django_paiementpro import __version__
from django_paiementpro.db.connections import database
from django_paiementpro.models import Payment, Verification
from django_paiementpro.verification.cases import Case


class Run:
    """A verification in progress."""

    def __init__(self, record: Verification) -> None:
        self.record = record
        self.cases = [Case(**case) for case in record.findings["cases"]]
        #: By transport, what became of the attempts that should be refused.
        self.refusals: dict[str, dict[str, Any]] = record.findings["refusals"]

    @classmethod
    def plan(cls, channels: Iterable[str], transports: Iterable[str]) -> "Run":
        """Return a new verification, not stored yet: each channel over each transport."""
        cases = [asdict(Case(channel, transport)) for transport in transports for channel in channels]
        return cls(Verification(version=__version__, findings={"cases": cases, "refusals": {}}))

    @classmethod
    def resume(cls) -> "Run | None":
        """Return the newest verification if it was interrupted."""
        record = Verification.objects.using(database()).order_by("-pk").first()
        return None if record is None or record.finished_at else cls(record)

    @property
    def unfinished(self) -> Iterator[Case]:
        return (case for case in self.cases if case.state != "done")

    @property
    def transports(self) -> list[str]:
        return list(dict.fromkeys(case.transport for case in self.cases))

    def payment_of(self, transport: str) -> Payment | None:
        """Return a payment whose page was opened over this transport."""
        opened = [
            case.reference
            for case in self.cases
            if case.transport == transport and case.page.get("outcome") == "opened"
        ]
        return Payment.objects.using(database()).filter(reference__in=opened).first()

    def store(self) -> None:
        """Store what is known so far."""
        self.record.findings = {"cases": [asdict(case) for case in self.cases], "refusals": self.refusals}
        self.record.save(using=database())

    def finish(self) -> None:
        self.record.finished_at = timezone.now()
        self.store()
