import sys
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_paiementpro import services
from django_paiementpro.phones import parse_phone
from django_paiementpro.services.privacy import other_numbers

#: The exit code where payments were left as they wait for the payer.
LEFT = 3


class Command(BaseCommand):
    help = (
        "Blank the personal data of one person's payments, whatever their age. The exit code is 3 where payments were "
        "left as they wait for the payer: run it again once they are paid or expired."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", default="", help="the person's e-mail address, in any case")
        parser.add_argument(
            "--phone",
            default="",
            help="the person's telephone number, in any spelling; with its country code unless it is Ivorian",
        )
        parser.add_argument(
            "--no-input", action="store_false", dest="interactive", help="do not ask whether it is meant"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        person = {"email": options["email"], "phone": options["phone"]}
        try:
            found = services.count_personal_data(**person)
            others = other_numbers(person["phone"]) if person["phone"].strip() else {}
        except ValueError as error:
            raise CommandError(_("Write the person’s e-mail address, telephone number, or both.")) from error
        self.stdout.write(
            _("Payments to blank: %(payments)d. Waiting for the payer, and left: %(left)d.")
            % {"payments": found.payments, "left": found.left}
        )
        left = found.left
        if found.payments:
            if options["interactive"]:
                confirm()
            blanked = services.erase_personal_data(**person)
            left = blanked.left
            others = others and other_numbers(person["phone"])
            self.stdout.write(
                _("Payments blanked: %(payments)d, events: %(events)d.")
                % {"payments": blanked.payments, "events": blanked.events}
            )
        complaints = []
        if left:
            text = ngettext(
                "%d payment waits for the payer and was left: run this again once it is paid or expired.",
                "%d payments wait for the payer and were left: run this again once they are paid or expired.",
                left,
            )
            complaints.append(text % left)
        if others:
            complaints.append(_name(others, person["phone"]))
        if complaints:
            raise CommandError(" ".join(complaints), returncode=LEFT if left else 1)


def _name(others: Mapping[str, int], phone: str) -> str:
    """Say that the number may belong to another country, and what to write in that case."""
    numbers = ", ".join(f"{number} ({count})" for number, count in others.items())
    return _(
        "No payment has the number %(number)s, but others have the same digits with another country code. If one of "
        "these is the person’s number, run this again with it: %(numbers)s."
    ) % {"number": parse_phone(phone), "numbers": numbers}


def confirm() -> None:
    """Ask a person at the terminal whether it is meant. Raises ``CommandError`` where it is not, or nobody is there."""
    if not sys.stdin.isatty():
        raise CommandError(_("There is nobody to ask: nothing was blanked. Run this with --no-input."))
    yes = _("yes")
    question = _("This cannot be undone. Write “%(yes)s” to blank them: ") % {"yes": yes}
    if input(question).strip().lower() not in {yes, "yes"}:
        raise CommandError(_("Nothing was blanked."))
