from typing import TYPE_CHECKING

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from django_paiementpro.admin.daybook.forms import ReportForm
from django_paiementpro.admin.daybook.report import Report
from django_paiementpro.models import Payment

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Payment]
else:
    ModelAdmin = admin.ModelAdmin


def day_book(model_admin: ModelAdmin, request: HttpRequest) -> HttpResponseBase:
    """Show the takings that the query string asks for, as a page, CSV or XLSX."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    report = Report(model_admin.get_queryset(request), *ReportForm(request.GET).read())
    if (extension := request.GET.get("format", "")) in {"csv", "xlsx"}:
        return report.tables.file(request.GET.get("table", ""), extension)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Takings"),
        "opts": model_admin.opts,
        "report": report,
    }
    return TemplateResponse(request, "admin/paiementpro/payment/daybook.html", context)
