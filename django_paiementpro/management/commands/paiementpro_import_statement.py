import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from django_paiementpro import services
from django_paiementpro.conf import conf
from django_paiementpro.management.progress import progress_bar
from django_paiementpro.services.statements.columns import MAX_TITLE_ROWS, Columns, Role, by_name
from django_paiementpro.services.statements.comparison import compare
from django_paiementpro.services.statements.imports import columns_of, first_rows
from django_paiementpro.services.statements.rows import Problem, Reading
from django_paiementpro.tables import UnreadableTableError, is_workbook

#: How many unreadable rows are written.
MAX_PROBLEMS = 20


class Command(BaseCommand):
    help = (
        "Import a statement of the gateway, CSV or XLSX, and compare it with the payments here. No payment is changed. "
        "Rows that were imported before are skipped, so the same file can be imported again. The columns are those of "
        "the merchant’s last statement, or are guessed from the headings."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="the file from the gateway’s back office")
        parser.add_argument(
            "--merchant", default="", metavar="ID", help="the merchant account, by default PAIEMENTPRO_MERCHANT_ID"
        )
        parser.add_argument(
            "--column",
            action="append",
            default=[],
            metavar="NAME=HEADING",
            help="the heading of a column, such as amount=Montant; amount, gateway_id, reference, date, time, fee, "
            "net, status, kind, currency, taken_back. Give all columns that matter: remembered ones no longer count",
        )
        parser.add_argument(
            "--all-paid",
            action="store_true",
            help="all rows of the file are successful payments: required if no column is the status",
        )
        parser.add_argument("--dry-run", action="store_true", help="only read the file, and count what is new")
        parser.add_argument("--json", action="store_true", help="write the result as a JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(options["file"])
        try:
            with path.open("rb") as file:
                self.import_file(file, path.name, options)
        except OSError as error:
            raise CommandError(
                _("Cannot read %(file)s: %(error)s") % {"file": path, "error": error.strerror}
            ) from error
        except UnreadableTableError as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            raise CommandError(self.advice(error)) from error

    def import_file(self, file: BinaryIO, name: str, options: Mapping[str, Any]) -> None:
        merchant = options["merchant"] or conf.merchant_id
        rows = first_rows(file)
        columns = _named(rows, options["column"]) if options["column"] else columns_of(rows, merchant)
        with progress_bar(_("Rows"), _lines_of(file)) as advance:
            if options["dry_run"]:
                done = services.preview_statement(
                    file, merchant_id=merchant, columns=columns, all_paid=options["all_paid"], progress=advance
                )
            else:
                done = services.import_statement(
                    file,
                    merchant_id=merchant,
                    columns=columns,
                    file_name=name,
                    all_paid=options["all_paid"],
                    progress=advance,
                )
        if options["json"]:
            self.stdout.write(json.dumps(_figures(done, is_dry=options["dry_run"]), ensure_ascii=False))
            return
        self.report(done, is_dry=options["dry_run"])

    def report(self, done: services.ImportedStatement, *, is_dry: bool) -> None:
        text = _("%(new)d new rows, %(known)d known, %(ignored)d not payments, %(unreadable)d unreadable.")
        self.stdout.write(text % _counts(done))
        for number, reason, cell in done.reading.problems[:MAX_PROBLEMS]:
            self.stderr.write(_("Row %(row)d: %(reason)s") % {"row": number, "reason": Problem(reason).label})
            if cell:
                self.stderr.write(f"  {cell}")
        if is_dry:
            self.stdout.write(_("%(matched)d have a payment here. Nothing was done.") % {"matched": done.matched})
        elif done.statement is None:
            self.stdout.write(_("All rows had been imported before. Nothing has changed."))
        else:
            for verdict, sums in compare(done.statement).items():
                amounts = ", ".join(f"{amount} {currency}" for currency, amount in sums.amounts.items())
                self.stdout.write(f"{verdict.label}: {sums.count}" + (f" ({amounts})" if amounts else ""))

    def advice(self, error: ValidationError) -> str:
        text = " ".join(error.messages)
        if error.code in {"columns", "new_status"}:
            text += " " + _("Name the columns with --column, or import the file once in the admin.")
        elif error.code == "status":
            text += " " + _("Name all columns with --column, or use --all-paid if all rows are successful payments.")
        return text


def _named(rows: list[list[str]], named: list[str]) -> Columns:
    """Return the columns that were named on the command line."""
    headings = {}
    for text in named:
        role, equals, heading = text.partition("=")
        if not equals or role not in Role.values:
            raise CommandError(_("--column: write %(names)s, “=” and a heading") % {"names": ", ".join(Role.values)})
        headings[role] = heading
    for number, row in enumerate(rows[:MAX_TITLE_ROWS], start=1):
        if columns := by_name(number, row, headings):
            return columns
    raise CommandError(
        _("No row of the file has all of these headings: %(headings)s") % {"headings": ", ".join(headings.values())}
    )


def _lines_of(file: BinaryIO) -> int | None:
    """Return about how many rows the file has; None for a workbook, whose rows are compressed."""
    if is_workbook(file):
        return None
    return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1024 * 1024), b""))


def _counts(done: services.ImportedStatement) -> dict[str, int]:
    reading: Reading = done.reading
    return {
        "rows": reading.rows,
        "new": done.new,
        "known": done.known,
        "ignored": reading.ignored,
        "unreadable": reading.unreadable,
        "matched": done.matched,
    }


def _figures(done: services.ImportedStatement, *, is_dry: bool) -> dict[str, Any]:
    problems = [{"row": number, "reason": reason} for number, reason, _text in done.reading.problems]
    figures: dict[str, Any] = {**_counts(done), "problems": problems}
    if is_dry:
        return {"dry_run": True, **figures}
    if done.statement:
        figures["statement"] = done.statement.pk
        figures["lists"] = {
            verdict.value: {"count": sums.count, "amounts": sums.amounts}
            for verdict, sums in compare(done.statement).items()
        }
    return figures
