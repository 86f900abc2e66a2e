import json
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import translation
from django.utils.translation import ngettext

from django_paiementpro.conf import Conf
from django_paiementpro.doctor import Finding, Verdict, Visit, examine


class Command(BaseCommand):
    help = (
        "Check this installation in the order in which things go wrong, and say what to mend. No payment is touched. "
        "The exit code is 1 where something fails."
    )
    # What they would stop is what this command is there to explain.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--gateway",
            action="store_true",
            help="also ask the gateway for a page, on which nobody pays, and about an unknown reference",
        )
        parser.add_argument("--url", default="", help="the public base of the site, in place of PAIEMENTPRO_SITE_URL")
        parser.add_argument("--language", choices=["en", "fr"], help="of what is said; else that of the process")
        parser.add_argument("--json", action="store_true", help="say it as JSON, for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        with translation.override(options["language"] or translation.get_language()):
            self.examine(Visit(_read_url(options["url"]), options["gateway"]), is_json=options["json"])

    def examine(self, visit: Visit, is_json: bool) -> None:
        """Tell what is found. Raises ``CommandError`` where something fails."""
        told = []
        for topic, finding in examine(visit):
            told.append((topic, finding))
            if not is_json:
                self.tell(finding)
        if is_json:
            self.stdout.write(json.dumps([_as_json(topic, finding) for topic, finding in told], ensure_ascii=False))
        failures = Counter(finding.verdict for _topic, finding in told)[Verdict.FAIL]
        if failures:
            raise CommandError(ngettext("%d thing to mend", "%d things to mend", failures) % failures)

    def tell(self, finding: Finding) -> None:
        styles = {
            Verdict.PASS: self.style.SUCCESS,
            Verdict.WARN: self.style.WARNING,
            Verdict.FAIL: self.style.ERROR,
        }
        self.stdout.write(f"{styles[finding.verdict](finding.verdict.value)}  {finding.text}")


def _read_url(value: str) -> str:
    try:
        return Conf.site_url.read(value or None) or ""
    except ValueError as error:
        raise CommandError(f"--url: {error}") from error


def _as_json(topic: str, finding: Finding) -> dict[str, str]:
    return {"topic": topic, "verdict": finding.verdict.value, "text": finding.text}
