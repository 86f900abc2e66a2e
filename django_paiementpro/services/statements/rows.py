"""Rows of a statement: what each says, or why it cannot be read."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from django_paiementpro.conf import conf
from django_paiementpro.normalization import transaction_key
from django_paiementpro.services.statements import cells
from django_paiementpro.services.statements.columns import Columns, Role

#: The gateway's clock: Africa/Abidjan, which has no summer time.
ZONE = timezone.utc

#: How much of a cell that cannot be read is kept.
MAX_TEXT = 60

_FRANC = re.compile(r"f|fr|f ?cfa|cfa|franc(s)?( cfa)?|xof|952")


class Problem(TextChoices):
    """Why a row cannot be read."""

    AMOUNT = "amount", _("The amount cannot be read")
    FRACTION = "fraction", _("The amount is not in whole francs")
    ZERO = "zero", _("The amount is zero")
    FEE = "fee", _("The fee cannot be read")
    NET = "net", _("The net amount cannot be read")
    DATE = "date", _("The date cannot be read")
    STATUS = "status", _("The status is not known")
    CURRENCY = "currency", _("The currency is not known")
    NAMELESS = "nameless", _("There is neither a transaction number nor a reference")
    ROUNDED = "rounded", _("A spreadsheet has rounded the transaction number or the reference")
    ID = "id", _("The transaction number or the reference is too long, or has non-Latin letters")


class UnreadableRowError(ValueError):
    def __init__(self, problem: Problem, text: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.text = text[:MAX_TEXT]


@dataclass(slots=True)
class Row:
    """What a row says. The amount is positive; ``is_refund`` tells its direction. ``fee`` and ``net`` may be None."""

    number: int
    is_refund: bool
    gateway_id: str
    reference: str
    amount: int
    currency: str
    fee: int | None = None
    net: int | None = None
    paid_at: datetime | None = None
    has_time: bool = False
    digest: str = ""
    #: The transaction id in the form in which ids are compared.
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = transaction_key(self.gateway_id)


@dataclass
class Reading:
    """What was read so far. Of the rows that cannot be read the first ones are listed: number, reason and text."""

    max_problems: int = 1_000
    rows: int = 0
    ignored: int = 0
    unreadable: int = 0
    problems: list[tuple[int, str, str]] = field(default_factory=list)
    first_at: datetime | None = None
    last_at: datetime | None = None
    has_times: bool = False

    def add(self, row: Row) -> None:
        if row.paid_at:
            self.first_at = min(self.first_at or row.paid_at, row.paid_at)
            self.last_at = max(self.last_at or row.paid_at, row.paid_at)
            self.has_times = self.has_times or row.has_time

    def add_problem(self, number: int, error: UnreadableRowError) -> None:
        self.unreadable += 1
        if len(self.problems) < self.max_problems:
            self.problems.append((number, error.problem.value, error.text))

    def period(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """
        Return the moments that the statement covers, the second one excluded: whole days of the gateway's clock.

        The day on which it was downloaded was not over: it is covered up to the last payment, if times are known.
        """
        if not self.first_at or not self.last_at:
            return None, None
        start, end = (_midnight(moment) for moment in (self.first_at, self.last_at))
        end += timedelta(days=1)
        if self.has_times and end > now:
            end = self.last_at + timedelta(seconds=1)
        return start, end


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)


def read(table: Iterable[list[str]], columns: Columns, merchant_id: str, reading: Reading) -> Iterator[Row]:
    """
    Yield the payments and refunds below the headings, with their digests, and count the other rows in ``reading``.

    Rows that say the same have different digests, by their order; so the same rows in another file have the same ones.
    """
    seen: Counter[bytes] = Counter()
    for number, cells_of_row in enumerate(table, start=1):
        if number <= columns.row or not any(cell.strip() for cell in cells_of_row):
            continue
        reading.rows += 1
        try:
            row = read_row(number, cells_of_row, columns)
        except UnreadableRowError as error:
            if cells.is_total(cells_of_row) or _repeats_headings(cells_of_row, columns):
                reading.ignored += 1
            else:
                reading.add_problem(number, error)
            continue
        if row is None:
            reading.ignored += 1
            continue
        reading.add(row)
        content = _digest(row, merchant_id)
        seen[content] += 1
        row.digest = hashlib.sha256(content + str(seen[content]).encode()).hexdigest()
        yield row


def _repeats_headings(row: list[str], columns: Columns) -> bool:
    """Return whether a row has the headings once more, as on each page of a printed table."""
    return [cell.strip() for cell in row] == [heading.strip() for heading in columns.headings]


def _digest(row: Row, merchant_id: str) -> bytes:
    said = (
        merchant_id,
        row.is_refund,
        row.key,
        row.reference,
        row.amount,
        row.currency,
        row.fee,
        row.net,
        row.paid_at and row.paid_at.astimezone(ZONE).isoformat(),
    )
    # Half of it tells a million rows apart, and takes half the memory.
    return hashlib.sha256(repr(said).encode()).digest()[:16]


def read_row(number: int, row: list[str], columns: Columns) -> Row | None:
    """Return what a row says; None if no money moved, or if it is neither a payment nor a refund."""
    texts = {role: row[place].strip() if place < len(row) else "" for role, place in columns.places.items()}
    status, kind = texts.get(Role.STATUS, ""), texts.get(Role.KIND, "")
    is_refund = cells.is_refund(kind, status)
    if Role.STATUS in texts and not status:
        # The column says which transactions were paid: an empty cell does not.
        raise UnreadableRowError(Problem.STATUS)
    if (not is_refund and cells.is_other(kind)) or (status and not _outcome(status)):
        return None
    gateway_id, reference = _ids(texts)
    amount = _amount(texts)
    fee, net = _optional(texts, Role.FEE, Problem.FEE), _optional(texts, Role.NET, Problem.NET)
    fee = None if fee is None else abs(fee)
    is_refund = is_refund or amount < 0
    amount = abs(amount)
    if net is None and fee is not None and not is_refund:
        net = amount - fee
    if fee is None and net is not None and not is_refund:
        fee = amount - net
    paid_at, has_time = _moment(texts)
    return Row(
        number=number,
        is_refund=is_refund,
        gateway_id=gateway_id,
        reference=reference,
        amount=amount,
        currency=_currency(texts.get(Role.CURRENCY, "")),
        fee=fee,
        net=net,
        paid_at=paid_at,
        has_time=has_time,
    )


def _ids(texts: dict[Role, str]) -> tuple[str, str]:
    gateway_id, reference = texts.get(Role.GATEWAY_ID, ""), texts.get(Role.REFERENCE, "")
    for text in (gateway_id, reference):
        if re.fullmatch(r"[0-9][.,]?[0-9]*E\+?[0-9]{2}", text, re.IGNORECASE):
            raise UnreadableRowError(Problem.ROUNDED, text)
    key = transaction_key(gateway_id)
    if not key and not reference:
        raise UnreadableRowError(Problem.NAMELESS)
    if len(gateway_id) > 128 or (key and not key.isalnum()):
        raise UnreadableRowError(Problem.ID, gateway_id)
    if reference and not re.fullmatch(r"[A-Za-z0-9_-]{1,70}", reference):
        # A text that is not a reference cannot name a payment, and may be anything: a name, an address.
        if not key:
            raise UnreadableRowError(Problem.ID, reference)
        reference = ""
    return gateway_id if key else "", reference


def _amount(texts: dict[Role, str]) -> int:
    text, taken_back = texts.get(Role.AMOUNT, ""), texts.get(Role.TAKEN_BACK, "")
    amount = _read_amount(text, Problem.AMOUNT) if text or not taken_back else 0
    if taken_back and not amount:
        amount = -abs(_read_amount(taken_back, Problem.AMOUNT))
    if not amount:
        raise UnreadableRowError(Problem.ZERO, text)
    return amount


def _optional(texts: dict[Role, str], role: Role, problem: Problem) -> int | None:
    text = texts.get(role, "")
    return None if text in {"", "-", "–"} else _read_amount(text, problem)


def _read_amount(text: str, problem: Problem) -> int:
    try:
        return cells.read_amount(text)
    except ValueError:
        if problem == Problem.AMOUNT and re.search(r"[0-9][.,][0-9]{1,2}\D*$", text):
            problem = Problem.FRACTION
        raise UnreadableRowError(problem, text) from None


def _outcome(status: str) -> bool:
    try:
        return cells.read_outcome(status)
    except ValueError:
        raise UnreadableRowError(Problem.STATUS, status) from None


def _moment(texts: dict[Role, str]) -> tuple[datetime | None, bool]:
    text = texts.get(Role.DATE, "")
    if not text:
        if Role.DATE in texts:
            raise UnreadableRowError(Problem.DATE)
        return None, False
    try:
        return cells.read_moment(text, texts.get(Role.TIME, ""), zone=ZONE)
    except (ValueError, OverflowError):
        raise UnreadableRowError(Problem.DATE, text) from None


def _currency(text: str) -> str:
    plain = cells.simplified(text)
    if not plain:
        return conf.currency
    if _FRANC.fullmatch(plain):
        return "XOF"
    code = next((code for code, number in conf.currencies.items() if plain in {code.lower(), number}), "")
    if code or re.fullmatch("[a-z]{3}", plain):
        return code or plain.upper()
    raise UnreadableRowError(Problem.CURRENCY, text)
