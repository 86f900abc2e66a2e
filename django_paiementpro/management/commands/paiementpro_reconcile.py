from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.core.management.base import BaseCommand
from django.db.models import Model
from django.utils import timezone
from django.utils.translation import gettext as _
from tqdm import tqdm

from django_paiementpro import log, services

M = TypeVar("M", bound=Model)


class Command(BaseCommand):
    help = (
        "Ask the gateway about payments that are not settled, expire those that nobody has paid in time, and deliver "
        "signals whose receivers failed. Run it every few minutes; two runs at once share the work."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        started_at = timezone.now()
        totals = services.Reconciliation()
        payments = services.unsettled_payments().filter(created_at__lte=started_at)
        events = services.undelivered_events()
        # What is owed to the host does not wait for the gateway; what is settled below is delivered there and then.
        self.each(
            _("Signals"),
            services.oldest_first(events),
            events.count(),
            lambda event: services.reconcile_event(event, totals),
            totals,
        )
        self.each(
            _("Payments"),
            services.newest_first(payments),
            payments.count(),
            lambda payment: services.reconcile_payment(payment, started_at, totals),
            totals,
        )
        self.stdout.write(
            _(
                "%(asked)d asked about, %(settled)d paid, %(expired)d expired, %(unanswered)d without an answer; "
                "%(delivered)d signals delivered, %(undelivered)d still owed; %(failed)d errors"
            )
            % {name: getattr(totals, name) for name in totals.__slots__}
        )

    def each(
        self,
        label: str,
        rows: Iterable[M],
        count: int,
        work: Callable[[M], None],
        totals: services.Reconciliation,
    ) -> None:
        """Do the work for each row; what goes wrong with one must not keep the others waiting."""
        for row in tqdm(rows, desc=label, total=count, disable=None, leave=False):
            try:
                work(row)
            except Exception:  # noqa: BLE001  logged
                totals.failed += 1
                log.write("reconcile_failed", exc_info=True, pk=row.pk)
