from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from django_paiementpro.services.groups import GroupState, make_groups


class Command(BaseCommand):
    help = (
        "Make groups for the shop's staff: cashier, support, accountant and owner, named in the site's language. "
        "Groups that exist are left as they are; how they differ is reported."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        existing = parser.add_mutually_exclusive_group()
        existing.add_argument(
            "--add", action="store_true", help="also give existing groups the permissions that they lack"
        )
        existing.add_argument(
            "--reset",
            action="store_true",
            help="also give existing groups exactly the ready-made permissions, which undoes the shop's own changes",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            states = make_groups(add=options["add"], reset=options["reset"])
        except LookupError as error:
            raise CommandError(_("There are no permissions yet. Run migrate first.")) from error
        for state in states:
            self.report(state)

    def report(self, state: GroupState) -> None:
        text = _("%(group)s: made.") if state.is_new else _("%(group)s: exists.")
        self.stdout.write(text % {"group": state.group.name})
        for label, names in (
            (_("lacks: %(permissions)s"), state.missing),
            (_("has besides: %(permissions)s"), state.additional),
        ):
            if names:
                self.stdout.write("  " + label % {"permissions": ", ".join(names)})
