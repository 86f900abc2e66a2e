import sys
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_paiementpro import services
from django_paiementpro.phones import parse_phone
from django_paiementpro.services.privacy import other_numbers

#: The exit code if payments were skipped because they are waiting for the customer.
SKIPPED = 3


class Command(BaseCommand):
    help = (
        "Blank the personal data in one person's payments, of any age, and in the payment links made for them. The "
        "exit code is 3 if payments were skipped because they are waiting for the customer: run it again once they are "
        "paid or expired."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", default="", help="the person's e-mail address, case-insensitive")
        parser.add_argument(
            "--phone",
            default="",
            help="the person's phone number, in any format; with its country code unless it is Ivorian",
        )
        parser.add_argument("--no-input", action="store_false", dest="interactive", help="do not ask for confirmation")

    def handle(self, *args: Any, **options: Any) -> None:
        person = {"email": options["email"], "phone": options["phone"]}
        try:
            found = services.count_personal_data(**person)
            others = other_numbers(person["phone"]) if person["phone"].strip() else {}
        except ValueError as error:
            raise CommandError(_("Enter the person’s e-mail address, phone number, or both.")) from error
        self.stdout.write(
            _("Payments to blank: %(payments)d. Skipped, waiting for the customer: %(left)d.")
            % {"payments": found.payments, "left": found.left}
        )
        for name, count in found.others.items():
            self.stdout.write(_("%(name)s to blank: %(count)d.") % {"name": capfirst(name), "count": count})
        left = found.left
        if found.payments or found.others:
            if options["interactive"]:
                confirm()
            blanked = services.erase_personal_data(**person)
            left = blanked.left
            others = others and other_numbers(person["phone"])
            self.stdout.write(
                _("Payments blanked: %(payments)d, events: %(events)d.")
                % {"payments": blanked.payments, "events": blanked.events}
            )
            for name, count in blanked.others.items():
                self.stdout.write(_("%(name)s blanked: %(count)d.") % {"name": capfirst(name), "count": count})
        problems = []
        if left:
            text = ngettext(
                "%d payment is waiting for the customer and was skipped: run this again once it is paid or expired.",
                "%d payments are waiting for the customer and were skipped: run this again once they are paid or "
                "expired.",
                left,
            )
            problems.append(text % left)
        if others:
            problems.append(_other_countries(others, person["phone"]))
        if problems:
            raise CommandError(" ".join(problems), returncode=SKIPPED if left else 1)


def _other_countries(others: Mapping[str, int], phone: str) -> str:
    """Return a hint that the number may belong to another country."""
    numbers = ", ".join(f"{number} ({count})" for number, count in others.items())
    return _(
        "No payment has the number %(number)s, but others have the same digits with another country code. If one of "
        "these is the person’s number, run this again with it: %(numbers)s."
    ) % {"number": parse_phone(phone), "numbers": numbers}


def confirm() -> None:
    """Ask for confirmation. Raises ``CommandError`` if it is refused, or if there is no terminal."""
    if not sys.stdin.isatty():
        raise CommandError(_("Cannot ask for confirmation without a terminal: nothing was blanked. Use --no-input."))
    yes = _("yes")
    question = _("This cannot be undone. Type “%(yes)s” to blank them: ") % {"yes": yes}
    if input(question).strip().lower() not in {yes, "yes"}:
        raise CommandError(_("Nothing was blanked."))
