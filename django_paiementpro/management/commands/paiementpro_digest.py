from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _

from django_paiementpro.alerts.digest import compose, read_digest, send_digest
from django_paiementpro.conf import conf


class Command(BaseCommand):
    help = (
        "Mail a day's takings, refunds and success rates, and what needs a review, to PAIEMENTPRO_ALERT_EMAILS. Run it "
        "every morning."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--day", metavar="YYYY-MM-DD", help="the day (default: yesterday)")
        parser.add_argument("--dry-run", action="store_true", help="write the text instead of mailing it")

    def handle(self, *args: Any, **options: Any) -> None:
        digest = read_digest(self.day(options["day"]))
        if options["dry_run"]:
            subject, template, context = compose(digest)
            context |= {"subject": subject, "shop": conf.shop}
            self.stdout.write(render_to_string(f"paiementpro/mail/{template}.txt", context))
        elif conf.alert_emails:
            send_digest(digest)
        else:
            raise CommandError(_("There is no address to mail it to: set PAIEMENTPRO_ALERT_EMAILS, or use --dry-run."))

    def day(self, text: str | None) -> date:
        yesterday = timezone.localdate() - timedelta(days=1)
        try:
            day = parse_date(text) if text else yesterday
        except ValueError:
            day = None
        if day is None:
            raise CommandError(_("Write the day like %(example)s.") % {"example": yesterday.isoformat()})
        return day
