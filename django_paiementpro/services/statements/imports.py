"""
Import statements, in batches of one short transaction each.

A merchant's statements are imported one at a time, so that no row is counted twice. An import that was killed is taken
over by the next one, once its heartbeat is old.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import BinaryIO, TypeVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from django_paiementpro import log
from django_paiementpro.conf import conf
from django_paiementpro.db.connections import database
from django_paiementpro.enums import Outcome
from django_paiementpro.models import Statement, StatementLine
from django_paiementpro.services.statements import columns as layout
from django_paiementpro.services.statements.columns import Columns, Role
from django_paiementpro.services.statements.confirmation import require_no_proof
from django_paiementpro.services.statements.matching import match
from django_paiementpro.services.statements.rows import Reading, Row, read
from django_paiementpro.services.transactions import Fit, commit
from django_paiementpro.tables import read_rows

T = TypeVar("T")

#: How many rows are stored in one transaction.
BATCH = 500

#: An import whose last sign of life is older was killed.
STALE = timedelta(minutes=5)

#: How many of the newest statements are asked for the headings of a merchant.
REMEMBERED = 20

#: Is called with the number of rows that each batch had.
Progress = Callable[[int], object]


@dataclass(frozen=True)
class ImportedStatement:
    """
    What an import has done.

    ``statement`` is None if all rows had been imported before; ``earlier`` is then a statement that has some of them,
    unless it has just been deleted.
    ``new`` is how many lines were stored, ``matched`` how many of them are about a payment of the shop.
    """

    statement: Statement | None
    earlier: Statement | None
    reading: Reading
    new: int
    known: int
    matched: int


def first_rows(file: BinaryIO) -> list[list[str]]:
    """Return the rows from which the columns can be seen. Raises ``UnreadableTableError``."""
    return list(islice(read_rows(file), layout.MAX_TITLE_ROWS + 20))


def columns_of(rows: Sequence[Sequence[str]], merchant_id: str) -> Columns:
    """
    Return the columns of a statement by its first rows: those of the merchant's last statements, else a guess.

    If the remembered ones have no status, and the file has a column that looks like one, it is proposed
    (``has_new_status``): without it, transactions that failed would count as paid.
    """
    statements = Statement.objects.using(database()).filter(merchant_id=merchant_id, imported_at__isnull=False)
    remembered: Iterable[Mapping[str, str]] = statements.order_by("-pk").values_list("columns", flat=True)[:REMEMBERED]
    found = [layout.with_status(columns) for named in remembered if (columns := layout.find(rows, named))]
    known = (columns for columns in found if not columns.has_new_status)
    return next(known, None) or next(iter(found), None) or layout.guess(rows)


def import_statement(
    file: BinaryIO,
    *,
    merchant_id: str = "",
    columns: Columns | None = None,
    file_name: str = "",
    user: AbstractBaseUser | None = None,
    statement: Statement | None = None,
    all_paid: bool = False,
    progress: Progress | None = None,
) -> ImportedStatement:
    """
    Store the rows of a statement, a CSV or XLSX file, that were not imported before, each with its payment.

    No payment is changed. ``columns`` are remembered or guessed by default; ``statement`` is an upload to import. A row
    that cannot be read is counted, listed and left out. ``all_paid`` says that all rows are successful payments, which
    a file without a column for the status requires. Raises ``UnreadableTableError`` if the file is not a table, and
    ``ValidationError`` if the columns are not known (``columns``), if a column looks like a status and the remembered
    columns have none (``new_status``), if there is no status and ``all_paid`` is false (``status``), if another
    statement of this merchant is being imported (``busy``), or if the upload has been imported or deleted
    (``changed``); nothing is stored then.
    """
    started_at = time.monotonic()
    merchant_id = statement.merchant_id if statement else merchant_id or conf.merchant_id
    columns = _checked(file, columns, merchant_id, all_paid=all_paid)
    is_upload = statement is not None
    if statement is None:
        statement = Statement(merchant_id=merchant_id, file_name=file_name[-255:], user_id=user.pk if user else None)
    statement.columns = columns.named
    _begin(statement)
    reading = Reading()
    totals = _Totals()
    try:
        for batch in _batches(read(read_rows(file), columns, merchant_id, reading), reading, progress):
            _store(statement, batch, totals)
        is_new, earlier = _finish(statement, reading, totals)
    except BaseException:
        _undo(statement, is_upload=is_upload)
        raise
    log.write(
        "statement_imported",
        outcome=Outcome.ACCEPTED,
        duration=time.monotonic() - started_at,
        user=str(user.pk) if user else "",
        count=totals.new,
        unreadable=reading.unreadable,
    )
    return ImportedStatement(
        statement=statement if is_new else None,
        earlier=earlier,
        reading=reading,
        new=totals.new,
        known=totals.known,
        matched=totals.matched,
    )


def preview_statement(
    file: BinaryIO,
    *,
    merchant_id: str = "",
    columns: Columns | None = None,
    all_paid: bool = False,
    progress: Progress | None = None,
) -> ImportedStatement:
    """Return what ``import_statement`` would do. Nothing is written. Raises the same errors."""
    merchant_id = merchant_id or conf.merchant_id
    columns = _checked(file, columns, merchant_id, all_paid=all_paid)
    reading = Reading()
    totals = _Totals()
    for batch in _batches(read(read_rows(file), columns, merchant_id, reading), reading, progress):
        new, matches = _unknown(batch, merchant_id)
        totals.add(batch, new, matches)
    return ImportedStatement(None, None, reading, totals.new, totals.known, totals.matched)


@dataclass
class _Totals:
    new: int = 0
    known: int = 0
    matched: int = 0
    #: The digest of a row that was imported before.
    known_digest: str = ""

    def add(self, batch: Sequence[Row], new: Sequence[Row], matches: Mapping[int, int]) -> None:
        self.new += len(new)
        self.known += len(batch) - len(new)
        self.matched += len(matches)
        if len(new) < len(batch):
            self.known_digest = next(row.digest for row in batch if row not in new)


def _checked(file: BinaryIO, columns: Columns | None, merchant_id: str, *, all_paid: bool) -> Columns:
    columns = columns or columns_of(first_rows(file), merchant_id)
    if problem := columns.problem():
        raise ValidationError(problem, code="columns")
    if columns.has_new_status:
        raise ValidationError(
            _("The column “%(heading)s” looks like a status, but the columns remembered for this merchant have none."),
            code="new_status",
            params={"heading": columns.headings[columns.places[Role.STATUS]].strip()},
        )
    if Role.STATUS not in columns.places and not all_paid:
        raise ValidationError(_("No column is the status, so every row would count as paid."), code="status")
    return columns


def _batches(rows: Iterable[Row], reading: Reading, progress: Progress | None) -> Iterator[list[Row]]:
    rows, shown = iter(rows), 0
    while batch := list(islice(rows, BATCH)):
        yield batch
        if progress:
            progress(reading.rows - shown)
        shown = reading.rows
    if progress:
        progress(reading.rows - shown)


def _begin(statement: Statement) -> None:
    """Claim the merchant's statements. Raises ``ValidationError`` if another import is at work."""
    statements = Statement.objects.using(database())

    def work(_fit: Fit) -> None:
        now = timezone.now()
        # Imports are rare: the row of the model's content type serves as a mutex, as for confirmations.
        kinds = ContentType.objects.using(database()).select_for_update()
        list(kinds.filter(app_label=Statement._meta.app_label, model=Statement._meta.model_name))
        unfinished = statements.filter(merchant_id=statement.merchant_id, imported_at=None)
        if unfinished.filter(seen_at__gte=now - STALE).exists():
            raise ValidationError(
                _("A statement of this merchant is being imported. Try again in a few minutes."), code="busy"
            )
        # What a killed import has left is stored again when its file is imported.
        killed = unfinished.filter(seen_at__isnull=False)
        StatementLine.objects.using(database()).filter(statement__in=list(killed)).delete()
        killed.filter(parts=None).exclude(pk=statement.pk).delete()
        statement.seen_at = now
        if statement._state.adding:
            statement.save(using=database())
        elif not _waiting(statement).update(seen_at=now, columns=statement.columns):
            raise _changed()

    commit(work)


def _waiting(statement: Statement) -> QuerySet[Statement]:
    free = Q(seen_at=None) | Q(seen_at__lt=timezone.now() - STALE)
    return Statement.objects.using(database()).filter(free, pk=statement.pk, imported_at=None, parts__isnull=False)


def _changed() -> ValidationError:
    return ValidationError(
        _("This file has been imported or deleted in the meantime. Upload it again if it is missing."), code="changed"
    )


def _unknown(batch: Sequence[Row], merchant_id: str) -> tuple[list[Row], dict[int, int]]:
    """Return the rows that were not imported before, and the payments that they are about."""
    lines = StatementLine.objects.using(database())
    known = set(lines.filter(digest__in=[row.digest for row in batch]).values_list("digest", flat=True))
    new = [row for row in batch if row.digest not in known]
    return new, match(new, merchant_id) if new else {}


def _store(statement: Statement, batch: Sequence[Row], totals: _Totals) -> None:
    def work(_fit: Fit) -> tuple[list[Row], dict[int, int]]:
        if not Statement.objects.using(database()).filter(pk=statement.pk).update(seen_at=timezone.now()):
            raise _changed()
        new, matches = _unknown(batch, statement.merchant_id)
        lines = [_line(statement, row, matches.get(row.number)) for row in new]
        StatementLine.objects.using(database()).bulk_create(lines, batch_size=BATCH)
        return new, matches

    totals.add(batch, *commit(work))


def _line(statement: Statement, row: Row, payment: int | None) -> StatementLine:
    return StatementLine(
        statement=statement,
        number=row.number,
        digest=row.digest,
        is_refund=row.is_refund,
        gateway_id=row.gateway_id,
        reference=row.reference,
        amount=row.amount,
        currency=row.currency,
        fee=row.fee,
        net=row.net,
        paid_at=row.paid_at,
        payment_id=payment,
    )


def _finish(statement: Statement, reading: Reading, totals: _Totals) -> tuple[bool, Statement | None]:
    """Store the figures. If there was nothing new, delete the statement instead, and return an earlier one."""
    statements = Statement.objects.using(database())

    def work(fit: Fit) -> tuple[bool, Statement | None]:
        if totals.known and not totals.new:
            earlier = statements.filter(lines__digest=totals.known_digest).first()
            statements.filter(pk=statement.pk).delete()
            return False, earlier
        now = timezone.now()
        starts_at, ends_at = reading.period(now)
        figures = {
            "rows": reading.rows,
            "known": totals.known,
            "ignored": reading.ignored,
            "unreadable": reading.unreadable,
            "problems": [[number, reason, fit(text)] for number, reason, text in reading.problems],
            "starts_at": starts_at,
            "ends_at": ends_at,
            "imported_at": now,
        }
        if not statements.filter(pk=statement.pk).update(**figures):
            raise _changed()
        statement.parts.using(database()).all().delete()
        for name, value in figures.items():
            setattr(statement, name, value)
        return True, None

    return commit(work)


def _undo(statement: Statement, *, is_upload: bool) -> None:
    """Delete what was stored, and release the merchant's statements; an upload stays, to be tried again."""

    def work(_fit: Fit) -> None:
        statements = Statement.objects.using(database()).filter(pk=statement.pk, imported_at=None)
        StatementLine.objects.using(database()).filter(statement__in=statements.values("pk")).delete()
        if is_upload:
            statements.update(seen_at=None)
        else:
            statements.delete()

    commit(work)


def delete_statement(statement: Statement) -> int:
    """
    Delete a statement, so that its file can be imported again. Return how many lines it had.

    Raises ``ValidationError`` (``proof``) if a payment was confirmed from it.
    """

    def work(_fit: Fit) -> int:
        # A confirmation locks it too.
        list(Statement.objects.using(database()).select_for_update().filter(pk=statement.pk))
        require_no_proof(statement)
        count, _by_model = StatementLine.objects.using(database()).filter(statement=statement.pk).delete()
        Statement.objects.using(database()).filter(pk=statement.pk).delete()
        return count

    return commit(work)


def prune_statements(before: datetime) -> None:
    """
    Blank what may be personal data in statements from before that moment.

    These are the name of the file, the cells that could not be read, and references that name no payment, which a
    wrong choice of columns may have filled with anything.
    """
    statements = Statement.objects.using(database()).filter(created_at__lt=before, blanked_at=None)
    for statement in statements.filter(imported_at__isnull=False):
        problems = [[number, reason, ""] for number, reason, _text in statement.problems]
        lines = StatementLine.objects.using(database()).filter(statement=statement, payment=None)
        lines.exclude(reference="").update(reference="")
        statements.filter(pk=statement.pk).update(file_name="", problems=problems, blanked_at=timezone.now())
