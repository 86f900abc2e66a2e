from collections.abc import Mapping
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_paiementpro import services
from django_paiementpro.admin import wording
from django_paiementpro.admin.actions import StatementAction
from django_paiementpro.admin.columns import date_column, status_badge
from django_paiementpro.admin.export import can_write_xlsx, table_response
from django_paiementpro.admin.fieldsets import admin_form
from django_paiementpro.admin.statements.forms import ColumnsForm, UploadForm
from django_paiementpro.admin.statements.lists import (
    EXPLANATIONS,
    amounts_text,
    difference_rows,
    problem_rows,
    remark,
)
from django_paiementpro.http import non_atomic
from django_paiementpro.models import Statement, format_amount
from django_paiementpro.services.statements.columns import Columns, Role
from django_paiementpro.services.statements.comparison import Sums, Verdict, compare, compared_lines, missing_payments
from django_paiementpro.services.statements.confirmation import is_kept, require_no_proof
from django_paiementpro.services.statements.imports import columns_of, first_rows
from django_paiementpro.services.statements.rows import ZONE, Row, UnreadableRowError, read_row
from django_paiementpro.services.statements.uploads import opened_upload, store_upload
from django_paiementpro.tables import UnreadableTableError

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Statement]
    RowPaginator = Paginator[Any]
else:
    ModelAdmin = admin.ModelAdmin
    RowPaginator = Paginator

#: How many rows a page of a list has.
PAGE_ROWS = 50

#: How many rows the page with the columns shows as they are read.
PREVIEW_ROWS = 8

#: The list of the rows that cannot be read, beside the four.
UNREADABLE = "unreadable"

#: The lists in the order in which staff look at them.
ORDER = (Verdict.THEIRS, Verdict.AMOUNT, Verdict.OURS, Verdict.AGREE)


@admin.register(Statement)
class StatementAdmin(ModelAdmin):
    """
    The gateway's statements: staff upload a file, say what its columns are, and get four lists.

    An import changes no payment. Payments are confirmed one by one, by staff who may do so by hand.
    """

    list_display = ("__str__", "merchant_id", "period", "rows", "unreadable", "created", "user")
    list_select_related = ("user",)
    list_per_page = 25
    sortable_by = ()
    actions = None
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    change_list_template = "admin/paiementpro/object_list.html"

    class Media:
        css = {"all": ("paiementpro/admin.css",)}
        js = ("paiementpro/admin.js",)

    created = date_column("created_at", _("created"))

    @admin.display(description=_("period"))
    def period(self, statement: Statement) -> str:
        return period_text(statement)

    def has_change_permission(self, request: HttpRequest, obj: Statement | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Statement]:
        """Hide uploads whose import was never begun from the list, but not from their own pages."""
        statements = super().get_queryset(request)
        match = request.resolver_match
        is_list = bool(match and match.url_name == self._name("changelist"))
        return statements.filter(imported_at__isnull=False) if is_list else statements

    def get_urls(self) -> list[URLPattern]:
        def wrap(view: Any) -> Any:
            return non_atomic(self.admin_site.admin_view(view))

        return [
            path("add/", wrap(self.upload_view), name=self._name("add")),
            path("<path:object_id>/columns/", wrap(self.columns_view), name=self._name("columns")),
            path("<path:object_id>/export/", self.admin_site.admin_view(self.export_view), name=self._name("export")),
            path("<path:object_id>/delete/", wrap(self.remove_view), name=self._name("delete")),
            path("<path:object_id>/change/", self.admin_site.admin_view(self.lists_view), name=self._name("change")),
            *super().get_urls(),
        ]

    def _name(self, name: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{name}"

    def _url(self, name: str, *arguments: Any) -> str:
        arguments = tuple(quote(argument) for argument in arguments)
        return reverse(f"admin:{self._name(name)}", args=arguments, current_app=self.admin_site.name)

    def _statement(self, request: HttpRequest, object_id: str) -> Statement:
        statement = self.get_object(request, unquote(object_id))
        if statement is None:
            raise Http404
        return statement

    def _page(self, request: HttpRequest, template: str, title: Any, context: Mapping[str, Any]) -> TemplateResponse:
        request.current_app = self.admin_site.name
        media = self.media + context["form"].media if "form" in context else self.media
        base = {**self.admin_site.each_context(request), "opts": self.opts, "media": media, "title": title}
        return TemplateResponse(request, f"admin/paiementpro/statement/{template}.html", {**base, **context})

    # Upload and import.

    def upload_view(self, request: HttpRequest) -> HttpResponse:
        """Take a file, and go on to its columns."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = UploadForm(*(request.POST, request.FILES) if request.method == "POST" else (None, None))
        if form.is_valid():
            file = form.cleaned_data["file"]
            statement = store_upload(
                file, merchant_id=form.cleaned_data["merchant_id"], file_name=file.name, user=_user_of(request)
            )
            return HttpResponseRedirect(self._url("columns", statement.pk))
        return self._page(
            request, "upload", _("Import a statement"), {"form": form, "adminform": admin_form(form, self)}
        )

    def columns_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the first rows as they are read, ask what the columns are, and import the file."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        statement = self._statement(request, object_id)
        with opened_upload(statement) as file:
            rows = first_rows(file)
            if statement.imported_at or not rows:
                return HttpResponseRedirect(self._url("change", statement.pk) if rows else self._url("add"))
            guessed = columns_of(rows, statement.merchant_id)
            form = ColumnsForm(request.POST if request.method == "POST" else None, rows, guessed)
            columns = form.chosen
            if columns and "preview" not in request.POST:
                try:
                    done = services.import_statement(
                        file,
                        statement=statement,
                        columns=columns,
                        user=_user_of(request),
                        all_paid=form.cleaned_data["all_paid"],
                    )
                except UnreadableTableError as error:
                    form.add_error(None, str(error))
                except ValidationError as error:
                    form.add_error("all_paid" if error.code == "status" else None, error)
                else:
                    return self._imported(request, done)
        shown = columns or guessed
        context = {
            "form": form,
            "adminform": admin_form(form, self),
            "statement": statement,
            "has_status": Role.STATUS in shown.places,
            "has_new_status": shown.has_new_status,
            "preview": _preview(rows, shown) if not shown.problem() else [],
        }
        return self._page(request, "columns", _("Columns of the statement"), context)

    def _imported(self, request: HttpRequest, done: services.ImportedStatement) -> HttpResponse:
        statement = done.statement or done.earlier
        if statement is None:  # it was deleted at this moment
            return HttpResponseRedirect(self._url("changelist"))
        if done.statement:
            text = ngettext("%(new)d row was imported.", "%(new)d rows were imported.", done.new) % {"new": done.new}
            self.log_addition(request, statement, text)
        else:
            text = gettext("All rows of this file had been imported before. Nothing has changed.")
        self.message_user(request, text)
        return HttpResponseRedirect(self._url("change", statement.pk))

    # The lists.

    def lists_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show how the statement compares with the payments here."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        statement = self._statement(request, object_id)
        if statement.imported_at is None:
            return HttpResponseRedirect(self._url("columns", statement.pk))
        lists = compare(statement)
        chosen = request.GET.get("list", "")
        if chosen not in {*Verdict.values, UNREADABLE}:
            chosen = next((verdict for verdict in ORDER if lists[verdict].count), Verdict.AGREE).value
        if chosen == UNREADABLE:
            rows: Any = problem_rows(statement)
            count = len(rows)
        else:
            rows = missing_payments(statement) if chosen == Verdict.OURS else compared_lines(statement, chosen)
            count = lists[Verdict(chosen)].count
        page = _CountedPaginator(rows, count).get_page(request.GET.get("page"))
        context = {
            "statement": statement,
            "subtitle": str(statement),
            "period": period_text(statement),
            "tabs": self._tabs(statement, lists, chosen),
            "chosen": chosen,
            "explanation": "" if chosen == UNREADABLE else EXPLANATIONS[Verdict(chosen)](),
            "page_obj": page,
            "rows": [self._row(request, statement, chosen, row) for row in page.object_list],
            "is_cut": statement.unreadable > len(statement.problems),
            "has_xlsx": can_write_xlsx(),
            "is_kept": (is_proof := is_kept(statement)),
            "may_delete": self.has_delete_permission(request, statement) and not is_proof,
        }
        return self._page(request, "statement", _("Statement of the gateway"), context)

    def _tabs(self, statement: Statement, lists: Mapping[Verdict, Sums], chosen: str) -> list[dict[str, Any]]:
        tabs = [
            {
                "query": f"?list={verdict.value}",
                "label": verdict.label,
                "count": lists[verdict].count,
                "amount": amounts_text(lists[verdict]),
                "is_chosen": verdict.value == chosen,
            }
            for verdict in ORDER
        ]
        if statement.unreadable:
            tabs.append(
                {
                    "query": f"?list={UNREADABLE}",
                    "label": _("Unreadable"),
                    "count": statement.unreadable,
                    "amount": "",
                    "is_chosen": chosen == UNREADABLE,
                }
            )
        return tabs

    def _row(self, request: HttpRequest, statement: Statement, chosen: str, row: Any) -> dict[str, Any]:
        if chosen == UNREADABLE:
            return {"number": row.number, "remark": row.reason, "text": row.text}
        is_ours = chosen == Verdict.OURS
        payment = row if is_ours else row.payment
        app = self.opts.app_label
        cells: dict[str, Any] = {
            "number": "" if is_ours else row.number,
            "date": wording.moment(row.paid_at) if row.paid_at else "",
            "gateway_id": row.gateway_id,
            "reference": "" if is_ours else row.reference,
            "is_refund": not is_ours and row.is_refund,
            "amount": row.amount_display,
            "fee": "" if is_ours or row.fee is None else format_amount(row.fee, row.currency),
            "remark": "" if is_ours else remark(row),
            "payment": payment,
        }
        if payment:
            cells["badge"] = status_badge(payment.status)
            if request.user.has_perm(f"{app}.view_payment"):
                cells["url"] = self._payment_url("change", payment.pk)
        if payment and not is_ours:
            row.statement = statement
            may_confirm = request.user.has_perm(f"{app}.confirm_payment") and request.user.has_perm(
                f"{app}.view_payment"
            )
            if may_confirm and StatementAction(row).is_possible(payment):
                cells["confirm_url"] = self._payment_url("statement_line", payment.pk, row.pk)
        return cells

    def _payment_url(self, name: str, *arguments: Any) -> str:
        view = f"admin:{self.opts.app_label}_payment_{name}"
        return reverse(view, args=arguments, current_app=self.admin_site.name)

    def export_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Return a list, or all of them, as CSV or XLSX."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        statement = self._statement(request, object_id)
        chosen = [verdict for verdict in ORDER if verdict.value == request.GET.get("list")]
        parts = [gettext("statement"), str(statement.pk), *(verdict.value for verdict in chosen)]
        return table_response(
            difference_rows(statement, chosen or ORDER), "-".join(parts), request.GET.get("format", "csv")
        )

    def remove_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Delete a statement after confirmation. Django's own page would list every line, and there are too many."""
        statement = self._statement(request, object_id)
        if not self.has_delete_permission(request, statement):
            raise PermissionDenied
        try:
            require_no_proof(statement)
            count = services.delete_statement(statement) if request.method == "POST" else None
        except ValidationError as error:
            self.message_user(request, error.messages[0], messages.WARNING)
            return HttpResponseRedirect(self._url("change", statement.pk))
        if count is not None:
            self.log_deletions(request, cast("Any", [statement]))
            text = ngettext(
                "The statement and its %(count)d row were deleted.",
                "The statement and its %(count)d rows were deleted.",
                count,
            )
            self.message_user(request, text % {"count": count})
            return HttpResponseRedirect(self._url("changelist"))
        return self._page(request, "delete", _("Delete the statement"), {"statement": statement})


class _CountedPaginator(RowPaginator):
    """A paginator of rows whose number is known."""

    def __init__(self, rows: Any, count: int) -> None:
        super().__init__(rows, PAGE_ROWS)
        self.count = count


def period_text(statement: Statement) -> str:
    """Return the days that a statement covers, by the gateway's clock."""
    if not statement.starts_at or not statement.ends_at:
        return ""
    moments = (statement.starts_at, statement.ends_at - timedelta(seconds=1))
    start, end = (wording.day(moment.astimezone(ZONE)) for moment in moments)
    return start if start == end else f"{start} – {end}"


def _preview(rows: list[list[str]], columns: Columns) -> list[dict[str, Any]]:
    """Return the first rows below the headings, as they would be imported."""
    numbered = ((number, row) for number, row in enumerate(rows, start=1) if number > columns.row and any(row))
    return [_preview_row(number, row, columns) for number, row in islice(numbered, PREVIEW_ROWS)]


def _preview_row(number: int, row: list[str], columns: Columns) -> dict[str, Any]:
    try:
        said: Row | None = read_row(number, row, columns)
    except UnreadableRowError as error:
        return {"number": number, "problem": error.problem.label, "text": error.text}
    if said is None:
        return {"number": number, "problem": _("Not a payment, or not paid"), "text": ""}
    return {
        "number": number,
        "date": wording.moment(said.paid_at) if said.paid_at else "",
        "gateway_id": said.gateway_id,
        "reference": said.reference,
        "kind": _("Refund") if said.is_refund else _("Payment"),
        "amount": format_amount(said.amount, said.currency),
        "fee": "" if said.fee is None else format_amount(said.fee, said.currency),
        "net": "" if said.net is None else format_amount(said.net, said.currency),
    }


def _user_of(request: HttpRequest) -> AbstractBaseUser:
    return cast("AbstractBaseUser", request.user)
