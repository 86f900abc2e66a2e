import json
from argparse import ArgumentTypeError
from datetime import date, datetime, time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from django_paiementpro.receipts import issuing


def day(text: str) -> date:
    """Read a date; raises ``ArgumentTypeError``."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(_("write a date, like 2026-01-31")) from error


class Command(BaseCommand):
    help = (
        "Issue receipts for payments that have none: those settled before the app was installed. They get the next "
        "free numbers of today’s year, the oldest payment first. It may be stopped at any time and run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since", type=day, required=True, metavar="DATE", help="only payments settled on this day or later"
        )
        parser.add_argument("--mail", action="store_true", help="mail them to the customers")
        parser.add_argument(
            "--fiscal", action="store_true", help="ask PAIEMENTPRO_FISCAL_ISSUER for a document for each of them"
        )
        parser.add_argument("--dry-run", action="store_true", help="only count the payments")
        parser.add_argument("--json", action="store_true", help="write the result as a JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        since = datetime.combine(options["since"], time.min, timezone.get_default_timezone())
        if options["dry_run"]:
            count = issuing.payments_without_receipt(since).count()
            self.report(options["json"], _("Payments without a receipt: %(payments)d."), payments=count)
            return
        owes = issuing.Owes(mail=options["mail"], document=options["fiscal"])
        issued = issuing.issue_missing_receipts(since, owes=owes)
        self.report(options["json"], _("Receipts issued: %(receipts)d."), receipts=issued)

    def report(self, is_json: bool, text: str, **figures: int) -> None:
        self.stdout.write(json.dumps(figures) if is_json else text % figures)
