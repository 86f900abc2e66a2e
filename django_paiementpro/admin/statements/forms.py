from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminIntegerFieldWidget, AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_paiementpro.conf import conf
from django_paiementpro.services.statements.columns import MAX_TITLE_ROWS, Columns, Role
from django_paiementpro.services.statements.imports import first_rows
from django_paiementpro.tables import UnreadableTableError, is_workbook

#: The largest files, in bytes, that are imported while a person waits: about 50,000 rows. The command has no limit.
MAX_UPLOAD = 5 * 1024 * 1024
MAX_WORKBOOK = 2 * 1024 * 1024


class UploadForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy(
            "The list of transactions from the gateway’s back office, as CSV or XLSX. It is deleted after the import, "
            "or after a day."
        ),
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.txt,.xlsx,text/csv"}),
    )
    merchant_id = forms.CharField(
        label=gettext_lazy("Merchant"),
        help_text=gettext_lazy("The merchant account that the file is about."),
        max_length=64,
        widget=AdminTextInputWidget,
    )

    def __init__(self, data: Any, files: Any) -> None:
        super().__init__(data, files, initial={"merchant_id": conf.merchant_id})

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        limit = MAX_WORKBOOK if is_workbook(file) else MAX_UPLOAD
        if file.size > limit:
            raise ValidationError(
                _(
                    "The file has %(size)s; the limit is %(limit)s. Export a shorter period, or use the command "
                    "paiementpro_import_statement."
                ),
                code="too_large",
                params={"size": filesizeformat(file.size), "limit": filesizeformat(limit)},
            )
        try:
            first_rows(file)
        except UnreadableTableError as error:
            raise ValidationError(str(error), code="unreadable") from error
        return file


class ColumnsForm(forms.Form):
    """Says which column is what: one field for each role, and the number of the row with the headings."""

    row = forms.IntegerField(
        label=gettext_lazy("Row of the headings"),
        min_value=1,
        max_value=MAX_TITLE_ROWS,
        widget=AdminIntegerFieldWidget,
    )

    def __init__(self, data: Mapping[str, Any] | None, rows: Sequence[Sequence[str]], columns: Columns) -> None:
        initial = {"row": columns.row, **{role.value: str(place) for role, place in columns.places.items()}}
        super().__init__(data, initial=initial)
        self.rows = rows
        choices = [("", _("Not in the file")), *_choices(rows, self._row(columns))]
        for role in Role:
            self.fields[role.value] = forms.ChoiceField(label=role.label, choices=choices, required=False)
        self.fields["all_paid"] = forms.BooleanField(
            label=_("All rows of this file are successful payments"),
            help_text=_("Tick this if no column is the status. Every row then counts as paid."),
            required=False,
        )

    def _row(self, columns: Columns) -> int:
        """Return the row whose cells name the columns: the chosen one, if it is a number."""
        text = str(self.data.get("row", "")).strip() if self.is_bound else ""
        is_row = text.isascii() and text.isdecimal() and 1 <= int(text[:4]) <= len(self.rows)
        return int(text) if is_row else columns.row

    def clean(self) -> None:
        row = self.cleaned_data.get("row")
        if row is None or self.errors:
            return
        if row > len(self.rows):
            self.add_error("row", ValidationError(_("The file has no such row."), code="invalid"))
            return
        places = {role: int(self.cleaned_data[role.value]) for role in Role if self.cleaned_data[role.value]}
        columns = Columns(row, list(self.rows[row - 1]), places)
        if problem := columns.problem():
            raise ValidationError(problem, code="columns")
        self.cleaned_data["columns"] = columns

    @property
    def chosen(self) -> Columns | None:
        """What the user has chosen, or None if it makes no sense."""
        return self.cleaned_data.get("columns") if self.is_bound and self.is_valid() else None


def _choices(rows: Sequence[Sequence[str]], row: int) -> list[tuple[str, str]]:
    """Return the places of the columns, with their headings and the first value below each."""
    headings = rows[row - 1] if row <= len(rows) else []
    below = rows[row:]
    choices = []
    for place in range(max(map(len, [headings, *below]), default=0)):
        heading = headings[place].strip() if place < len(headings) else ""
        example = next((cells[place].strip() for cells in below if place < len(cells) and cells[place].strip()), "")
        label = f"{letters_of(place)}: {heading or '–'}"
        choices.append((str(place), f"{label[:60]} ({example[:30]})" if example else label[:60]))
    return choices


def letters_of(place: int) -> str:
    """Return what a spreadsheet calls a column: A to Z, AA and so on."""
    letters = ""
    place += 1
    while place:
        place, letter = divmod(place - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters
