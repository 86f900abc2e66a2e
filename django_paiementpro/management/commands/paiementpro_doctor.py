import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import translation
from django.utils.translation import ngettext

from django_paiementpro.conf import Conf
from django_paiementpro.doctor import Level, Result, Target, examine


class Command(BaseCommand):
    help = (
        "Examine this installation in the order in which things go wrong, and tell how to fix each problem. No payment "
        "is changed. The exit code is 1 if anything fails."
    )
    # This command explains the problems that system checks would stop it for.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--gateway",
            action="store_true",
            help="also ask the gateway for a page, which is never paid, and for the status of an unknown reference",
        )
        parser.add_argument("--url", default="", help="the public base URL of the site, overrides PAIEMENTPRO_SITE_URL")
        parser.add_argument("--language", choices=["en", "fr"], help="the language of the output")
        parser.add_argument("--json", action="store_true", help="write the results as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        with translation.override(options["language"] or translation.get_language()):
            self.examine(Target(_read_url(options["url"]), options["gateway"]), is_json=options["json"])

    def examine(self, target: Target, is_json: bool) -> None:
        """Write the results. Raises ``CommandError`` if anything fails."""
        results = []
        for topic, result in examine(target):
            results.append((topic, result))
            if not is_json:
                self.write(result)
        if is_json:
            self.stdout.write(json.dumps([_as_json(topic, result) for topic, result in results], ensure_ascii=False))
        failures = sum(result.level is Level.FAIL for _topic, result in results)
        if failures:
            raise CommandError(ngettext("%d problem to fix", "%d problems to fix", failures) % failures)

    def write(self, result: Result) -> None:
        styles = {
            Level.PASS: self.style.SUCCESS,
            Level.WARN: self.style.WARNING,
            Level.FAIL: self.style.ERROR,
        }
        self.stdout.write(f"{styles[result.level](result.level.value)}  {result.text}")


def _read_url(value: str) -> str:
    try:
        return Conf.site_url.read(value or None) or ""
    except ValueError as error:
        raise CommandError(f"--url: {error}") from error


def _as_json(topic: str, result: Result) -> dict[str, str]:
    return {"topic": topic, "level": result.level.value, "text": result.text}
