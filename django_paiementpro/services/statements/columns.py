"""
Which column of a statement is what.

The gateway publishes no format: the columns are guessed from their headings, and a person corrects the guess.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_paiementpro.services.statements.cells import simplified

#: The headings are looked for in this many rows.
MAX_TITLE_ROWS = 40


class Role(TextChoices):
    """What a column of a statement is."""

    GATEWAY_ID = "gateway_id", gettext_lazy("Gateway transaction")
    REFERENCE = "reference", gettext_lazy("Reference")
    AMOUNT = "amount", gettext_lazy("Amount")
    TAKEN_BACK = "taken_back", gettext_lazy("Amount taken back (debit)")
    FEE = "fee", gettext_lazy("Fee")
    NET = "net", gettext_lazy("Net amount")
    DATE = "date", gettext_lazy("Date")
    TIME = "time", gettext_lazy("Time of day")
    STATUS = "status", gettext_lazy("Status")
    KIND = "kind", gettext_lazy("Type of operation")
    CURRENCY = "currency", gettext_lazy("Currency")


# What headings are called, folded; the first pattern that matches a heading wins, and the first column of each role.
_MERCHANT_REFERENCE = (
    r"reference ?number|(ref(erence)?s?|id|n[o°]?|numero) ?[.:]? ?(de |du |la |l')?"
    r"(marchand|merchant|commande|order|facture|invoice|boutique|client order|interne)|"
    r"(merchant|marchand|order|commande|votre|your|shop)[ _]?(ref|reference|id|number|no)?\b(?!.*transaction)"
)
_TRANSACTION = (
    r"pay ?id|(trans(action)?s?|trx|txn|tx|paiement|payment|operation)[ _.]?(id|no|n°|num(ero)?|ref(erence)?)?$|"
    r"(id|n[o°]?|num(ero)?|ref(erence)?|identifiant|code)s?[ _.:]*(de |du |la |l')*"
    r"(trans(action)?|trx|txn|tx|paiement|payment|operation|paiement ?pro|passerelle|gateway)|identifiant$|id$"
)
_HEADINGS: Sequence[tuple[Role, str]] = (
    (Role.NET, r"net\b|montant net|(montant|amount).*(net\b|a reverser|reverse\b|credite)|net amount|payout amount"),
    (Role.FEE, r"(montant |total )?(des )?(frais|fees?|commissions?|charges?)\b"),
    (Role.CURRENCY, r"devise|currency|monnaie"),
    (Role.STATUS, r"statuts?\b|status|etat\b|result|code (de )?(reponse|retour)|response ?code|issue"),
    (Role.TIME, r"heures?\b|time$|hour"),
    (Role.DATE, r".*\bdate|.*horodatage|datetime|timestamp|(created|paid|settled)[ _]?(at|on)|jour\b|day\b|le$"),
    (Role.KIND, r"type|nature|operation$|libelle operation|transaction ?type|sens\b"),
    (Role.TAKEN_BACK, r"debit|taken back|montant debit|sortie"),
    (Role.REFERENCE, _MERCHANT_REFERENCE),
    (Role.GATEWAY_ID, _TRANSACTION),
    (Role.REFERENCE, r"ref(erence)?s?\b"),
    (Role.AMOUNT, r"(montant|amount|somme|valeur|value|brut|gross|credit|prix|price|total|entree|encaisse)"),
)


@dataclass(frozen=True)
class Columns:
    """The number of the row with the headings, from 1, and the place of each role's column, from 0."""

    row: int
    headings: Sequence[str]
    places: Mapping[Role, int]
    #: Whether the status is a proposal: the remembered columns have none.
    has_new_status: bool = False

    @property
    def named(self) -> dict[str, str]:
        """The heading of each role's column, which the next statement may have at another place."""
        return {role.value: heading_of(self.headings, place) for role, place in self.places.items()}

    def problem(self) -> str:
        """Return what is missing, in words; empty if rows can be read."""
        if Role.AMOUNT not in self.places:
            return _("Choose the column with the amount.")
        if not {Role.GATEWAY_ID, Role.REFERENCE} & self.places.keys():
            return _("Choose the column with the gateway’s transaction number, the one with your reference, or both.")
        if len({*self.places.values()}) < len(self.places):
            return _("A column can have only one meaning.")
        return ""


def heading_of(headings: Sequence[str], place: int) -> str:
    """Return what names a column: its heading, with a number if several columns have it; else its place."""
    name = simplified(headings[place]) if place < len(headings) else ""
    if not name:
        return f"#{place + 1}"
    before = sum(simplified(heading) == name for heading in headings[:place])
    return f"{name} #{before + 1}" if before else name


def guess(rows: Sequence[Sequence[str]]) -> Columns:
    """Return the columns of a statement, of which these are the first rows; the headings follow any title lines."""
    guesses = [guess_row(number, row) for number, row in enumerate(rows[:MAX_TITLE_ROWS], start=1)]
    # A title line may look like a heading or two.
    return max(guesses, key=lambda each: (not each.problem(), len(each.places), -each.row), default=Columns(1, [], {}))


def guess_row(number: int, row: Sequence[str]) -> Columns:
    """Return the columns if this row has the headings."""
    places: dict[Role, int] = {}
    for place, cell in enumerate(row):
        role = _role_of(simplified(cell))
        if role and role not in places:
            places[role] = place
    if Role.AMOUNT not in places and Role.NET in places:
        # All that the merchant gets to see, or the only sum of the table.
        places[Role.AMOUNT] = places.pop(Role.NET)
    return Columns(number, list(row), places)


def _role_of(heading: str) -> Role | None:
    heading = re.sub(r"\(.*?\)", "", heading).strip(" :*.")
    if not heading or len(heading) > 60:
        return None
    return next((role for role, pattern in _HEADINGS if re.match(pattern, heading)), None)


def with_status(columns: Columns) -> Columns:
    """Return the columns. If they have no status, add an unused column whose heading looks like one."""
    if Role.STATUS in columns.places:
        return columns
    used = {*columns.places.values()}
    for place, heading in enumerate(columns.headings):
        if place not in used and _role_of(simplified(heading)) == Role.STATUS:
            return replace(columns, places={**columns.places, Role.STATUS: place}, has_new_status=True)
    return columns


def find(rows: Sequence[Sequence[str]], named: Mapping[str, str]) -> Columns | None:
    """Return the columns that have these headings, wherever they are; None if one of them is missing."""
    for number, row in enumerate(rows[:MAX_TITLE_ROWS], start=1):
        if columns := by_name(number, row, named):
            return columns
    return None


def by_name(number: int, row: Sequence[str], named: Mapping[str, str]) -> Columns | None:
    places_by_name = {heading_of(row, place): place for place in range(len(row))}
    places = {Role(role): places_by_name.get(simplified(name)) for role, name in named.items()}
    found = {role: place for role, place in places.items() if place is not None}
    return Columns(number, list(row), found) if found and len(found) == len(named) else None
