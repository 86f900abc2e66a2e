"""The rows of a table, each of which becomes a link, or is faulty for named reasons."""

import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

import phonenumbers
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.validators import validate_email
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_paiementpro.amounts import parse_amount
from django_paiementpro.enums import CHANNEL_COUNTRIES
from django_paiementpro.links.models import PaymentLink
from django_paiementpro.models import offered_channels
from django_paiementpro.normalization import fold
from django_paiementpro.phones import DEFAULT_REGION, parse_phone, region_of
from django_paiementpro.tables import UnreadableTableError
from django_paiementpro.tables import read_rows as read_table

#: The largest file in bytes, and the largest workbook once it is unpacked.
MAX_BYTES = 2 * 1024 * 1024
MAX_UNPACKED_BYTES = 30 * 1024 * 1024

#: How many rows of a file become links.
MAX_ROWS = 5_000

#: The headings of each column, folded, without spaces and punctuation.
HEADINGS = {
    "amount": "montant somme total prix apayer montantapayer montantdu amount sum price amountdue",
    "name": "nom noms name client cliente customer nomclient nomduclient nomcomplet nometprenom nometprenoms "
    "nomsetprenoms nomprenom nomprenoms fullname customername eleve locataire membre student tenant member pour for",
    "first_name": "prenom prenoms firstname firstnames givenname",
    "phone": "telephone telephones tel numtel phone phonenumber numero numerodetelephone numerotelephone mobile "
    "portable cellulaire cel contact whatsapp numerowhatsapp mobilenumber telephonenumber",
    "email": "email mail courriel adresseemail adressemail adresseelectronique emailaddress",
    "title": "titre title objet motif libelle designation intitule subject reason",
    "due": "echeance date datelimite dateecheance datedecheance datelimitedepaiement due duedate deadline expires "
    "expiry",
}

_FIELDS = {heading: name for name, headings in HEADINGS.items() for heading in headings.split()}

_CURRENCY = re.compile("(?:en)?(?:fcfa|cfa|xof|xaf|f|francs?|francscfa)$")

#: What columns are called in messages.
LABELS = {
    "amount": gettext_lazy("Amount"),
    "name": gettext_lazy("Name"),
    "first_name": gettext_lazy("First name"),
    "phone": gettext_lazy("Phone"),
    "email": gettext_lazy("E-mail"),
    "title": gettext_lazy("Title"),
    "due": gettext_lazy("Due date"),
}

#: How many rows above the headings may hold something else, such as the name of the school.
MAX_ROWS_ABOVE = 10

#: What a row of sums begins with.
_SUMS = frozenset({"total", "totaux", "totals", "grand total", "total general", "sous-total", "subtotal", "somme"})

# Dates in workbooks have a time, which is ignored.
_DATE = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})(?:[ T]\d{1,2}:\d\d(?::\d\d)?)?|"
    r"(?P<d>\d{1,2})(?P<mark>[/.-])(?P<m>\d{1,2})(?P=mark)(?P<y>\d{4})"
)

# Dates, times and booleans in a workbook: a spreadsheet has misread a text as one of these.
_NOT_TEXT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d|TRUE|FALSE")

_ERROR_VALUE = re.compile(r"#(?:REF!|N/A|VALUE!|VALEUR!|DIV/0!|NAME\?|NOM\?|NUM!|NOMBRE!|NULL!|NUL!|SPILL!|N/D)")


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is fine. Everything but the amount may be empty."""

    line: int
    name: str
    phone: str
    amount: int
    title: str = ""
    email: str = ""
    #: The last day on which the link can be paid, in ISO format.
    due: str = ""

    def link(self, title: str, channel: str = "") -> PaymentLink:
        """Return the unsaved link. A title of the row's own takes precedence."""
        last = datetime.combine(date.fromisoformat(self.due), time(23, 59, 59)) if self.due else None
        return PaymentLink(
            title=self.title or title,
            amount=self.amount,
            channel=channel,
            customer_name=self.name,
            customer_phone=self.phone,
            customer_email=self.email,
            expires_at=timezone.make_aware(last) if last else None,
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a row."""

    line: int
    reasons: list[str]
    #: The beginning of the row, to recognise it by.
    text: str


@dataclass(slots=True)
class Reading:
    """What a file says. Links are made of it only if there are no faults."""

    rows: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    #: The headings of columns that are not used.
    ignored: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(row.amount for row in self.rows)


def read_rows(content: bytes, title: str, channel: str = "") -> Reading:
    """Read a file of rows with a common title. Raise ``UnreadableTableError`` if the file as a whole cannot be read."""
    if len(content) > MAX_BYTES:
        raise UnreadableTableError(_("This file is too large."))
    with io.BytesIO(content) as file:
        table = read_table(file, is_heading=_heading, computed=True, max_unpacked=MAX_UNPACKED_BYTES)
        with closing(table):
            lines = ((number, cells) for number, cells in enumerate(table, start=1) if any(map(str.strip, cells)))
            return _read_lines(lines, title, channel)


def _read_lines(lines: Iterator[tuple[int, list[str]]], title: str, channel: str) -> Reading:
    """Read the rows that are not blank, each with its number."""
    columns, ignored = _find_headings(lines)
    reading = Reading(ignored=ignored)
    for count, (number, cells) in enumerate(lines, start=1):
        if count > MAX_ROWS:
            text = ngettext(
                "This file has more than %(rows)d row: split it.",
                "This file has more than %(rows)d rows: split it.",
                MAX_ROWS,
            )
            raise UnreadableTableError(text % {"rows": MAX_ROWS})
        row = _read_row(number, cells, columns, title, channel)
        if isinstance(row, Row):
            reading.rows.append(row)
        else:
            reading.faults.append(row)
    if not reading.rows and not reading.faults:
        raise UnreadableTableError(_("This file has no rows below its headings."))
    return reading


def _find_headings(lines: Iterator[tuple[int, list[str]]]) -> tuple[dict[str, int], list[str]]:
    """Return the places of the columns, and the headings that are not used."""
    best: list[str] = []
    for count, (_number, cells) in enumerate(lines):
        if count > MAX_ROWS_ABOVE:
            break
        fields = [_heading(cell) for cell in cells]
        names = [name for name in fields if name]
        if "amount" in names and {"name", "phone"} & {*names}:
            if twice := sorted({name for name in names if names.count(name) > 1}):
                text = _("This file has two columns for one value: %(columns)s. Remove one of them.")
                raise UnreadableTableError(text % {"columns": ", ".join(str(LABELS[name]) for name in twice)})
            used = {name: place for place, name in enumerate(fields) if name}
            ignored = [_shown(cell) for cell, name in zip(cells, fields, strict=True) if not name and _shown(cell)]
            return used, ignored
        best = max(best, names, key=len)
    if best:
        found = ", ".join(str(LABELS[name]) for name in dict.fromkeys(best))
        text = _("A column is missing: the file needs an amount, and a name or a phone number. Found: %(columns)s.")
        raise UnreadableTableError(text % {"columns": found})
    raise UnreadableTableError(_("No headings were found. The first row must name the columns: name, phone, amount."))


def _heading(cell: str) -> str:
    """Return which column the cell is the heading of, or an empty text."""
    if len(cell) > 60:
        return ""
    word = re.sub(r"[\W_]+", "", fold(cell))
    return _FIELDS.get(word) or _FIELDS.get(_CURRENCY.sub("", word), "")


def _shown(cell: str) -> str:
    """Return a cell on one line, in short."""
    return " ".join(cell.split())[:100]


def _read_row(number: int, cells: Sequence[str], columns: Mapping[str, int], title: str, channel: str) -> Row | Fault:
    reasons: list[str] = []
    values: dict[str, Any] = {}
    for name, place in columns.items():
        cell = cells[place] if place < len(cells) else ""
        read = _READERS.get(name)
        try:
            values[name] = read(cell, channel) if read else _read_text(cell)
        except ValueError as error:
            values[name] = ""
            reasons.append(_("%(label)s: %(text)s") % {"label": LABELS[name], "text": str(error)})
    first_name = values.pop("first_name", "")
    name = " ".join(filter(None, [first_name, values.pop("name", "")]))
    row = Row(number, name, **{"phone": "", "amount": 0, **values})
    if not reasons:
        reasons = _faults(row, title, channel)
    if not reasons:
        return row
    text = " · ".join(filter(None, map(_shown, cells)))
    return Fault(number, reasons, text[:200])


def _faults(row: Row, title: str, channel: str) -> list[str]:
    if not row.phone and fold(row.name).strip(" :.") in _SUMS | {""}:
        return [_("This row names no customer; if it is a total, remove it.")]
    try:
        # The user is not read once for each row.
        row.link(title, channel).full_clean(exclude=["created_by"], validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        return [
            message if name == NON_FIELD_ERRORS else _("%(label)s: %(text)s") % {"label": _label(name), "text": message}
            for name, messages in error.message_dict.items()
            for message in messages
        ]
    return []


def _label(name: str) -> str:
    return capfirst(str(getattr(PaymentLink._meta.get_field(name), "verbose_name", name)))


def _read_text(cell: str) -> str:
    text = _read_cell(cell)
    if _NOT_TEXT.fullmatch(text):
        raise ValueError(_("This is not text."))
    return text


def _read_cell(cell: str) -> str:
    text = " ".join(cell.split())
    if _ERROR_VALUE.fullmatch(text):
        raise ValueError(_("The formula has an error (%(value)s).") % {"value": text})
    # What is left where a text was decoded by the wrong encoding.
    if any(character == "\ufffd" or unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise ValueError(_("This contains characters that cannot be read."))
    return text


def _read_amount(cell: str, _channel: str) -> int:
    text = _read_text(cell)
    if not text:
        raise ValueError(_("It is missing."))
    try:
        return parse_amount(text)
    except ValueError as error:
        raise ValueError(_("“%(text)s” is not a whole amount in francs.") % {"text": text[:40]}) from error


def _read_email(cell: str, _channel: str) -> str:
    text = _read_text(cell)
    if text:
        try:
            validate_email(text)
        except ValidationError as error:
            raise ValueError(_("“%(text)s” is not an e-mail address.") % {"text": text[:40]}) from error
    return text


def _read_date(cell: str, _channel: str) -> str:
    text = _read_cell(cell)
    if not text:
        return ""
    day = _parse_date(text)
    if day < timezone.localdate():
        raise ValueError(_("This date is in the past."))
    if day.year >= 2100:
        raise ValueError(_("This date is too far away."))
    return day.isoformat()


def _parse_date(text: str) -> date:
    match = _DATE.fullmatch(text)
    parts = match.groupdict() if match else {}
    try:
        return date(
            *(int(parts[long] or parts[short]) for long, short in (("year", "y"), ("month", "m"), ("day", "d")))
        )
    except (KeyError, ValueError) as error:
        raise ValueError(_("“%(text)s” is not a date like 31/12/2027.") % {"text": text[:40]}) from error


def _read_phone(cell: str, channel: str) -> str:
    """
    Return the number as it was typed, if the app reads it as it is meant; else with what makes it clear.

    Spreadsheets turn ``0707123456`` into the number 707123456. The zero is put back if the number is then complete, and
    can mean only one number in the countries that the shop serves.
    """
    text = _read_text(cell)
    if not text:
        return ""
    numbers = _possible_numbers(text, channel)
    if not numbers:
        raise ValueError(_("“%(text)s” is not a complete phone number.") % {"text": text[:40]})
    if len(numbers) > 1:
        raise ValueError(_("“%(text)s” may be the number of several countries: begin it with +.") % {"text": text[:40]})
    (number,) = numbers
    for spelling in (text, f"0{text}"):
        if _parse(spelling, channel) == number:
            return spelling
    return number


def _possible_numbers(text: str, channel: str) -> set[str]:
    """Return what a text may mean, in E.164 format: one number if it has a country code or fits the default country."""
    as_usual = _parse(text, channel)
    if as_usual and _is_complete(as_usual):
        return {as_usual}
    digits = re.sub(r"\D", "", text)
    readings = [(spelling, region) for region in _regions(channel) for spelling in (digits, f"0{digits}")]
    numbers = (_parse_in(spelling, region) for spelling, region in readings) if as_usual and "+" not in text else ()
    return {number for number in numbers if number}


def _regions(channel: str) -> set[str]:
    """Return the countries of the shop's customers, as far as the payment method or the settings name them."""
    if channel in CHANNEL_COUNTRIES:
        return {region_of(channel)}
    if getattr(settings, "PAIEMENTPRO_CHANNELS", None) is None:
        return {DEFAULT_REGION}
    offered = {code for code, _label in offered_channels()}
    return {country for code, country in CHANNEL_COUNTRIES.items() if code in offered} or {DEFAULT_REGION}


def _parse(text: str, channel: str) -> str:
    try:
        return parse_phone(text, channel)
    except ValueError:
        return ""


def _parse_in(digits: str, region: str) -> str:
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return ""
    is_valid = phonenumbers.is_valid_number_for_region(number, region)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if is_valid else ""


def _is_complete(number: str) -> bool:
    return phonenumbers.is_possible_number(phonenumbers.parse(number))


_READERS: dict[str, Callable[[str, str], Any]] = {
    "amount": _read_amount,
    "phone": _read_phone,
    "email": _read_email,
    "due": _read_date,
}
