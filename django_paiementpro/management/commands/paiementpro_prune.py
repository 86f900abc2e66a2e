import json
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from django_paiementpro import services
from django_paiementpro.management.arguments import whole_number
from django_paiementpro.management.progress import progress_bar
from django_paiementpro.services.privacy import BATCH_SIZE

MAX_DAYS = 36_500
MAX_BATCH = 10_000


class Command(BaseCommand):
    help = (
        "Blank the personal data in payments that have not changed for a number of days, and keep what bookkeeping "
        "needs. Run it every night; it may be stopped at any time and run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            type=whole_number(1, MAX_DAYS),
            required=True,
            metavar="DAYS",
            help="only payments created, and last changed, more than this many days ago",
        )
        parser.add_argument("--dry-run", action="store_true", help="only count the payments")
        parser.add_argument(
            "--batch-size",
            type=whole_number(1, MAX_BATCH),
            default=BATCH_SIZE,
            metavar="PAYMENTS",
            help="how many to blank in one transaction (default: %(default)s)",
        )
        parser.add_argument("--json", action="store_true", help="write the result as a JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        before = timezone.now() - timedelta(days=options["older_than"])
        count = services.prunable_payments(before).count()
        if options["dry_run"]:
            self.report(options["json"], _("Payments to blank: %(payments)d."), payments=count)
            return
        with progress_bar(_("Payments"), count) as advance:
            blanked = services.prune_personal_data(before, batch_size=options["batch_size"], progress=advance)
        text = _("Payments blanked: %(payments)d, events: %(events)d.")
        self.report(options["json"], text, payments=blanked.payments, events=blanked.events)

    def report(self, is_json: bool, text: str, **figures: int) -> None:
        self.stdout.write(json.dumps(figures) if is_json else text % figures)
