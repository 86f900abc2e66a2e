"""The day book: what was taken, by whom and how fast, as charts, tables and CSV."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from django_paiementpro.admin.daybook.report import Page
from django_paiementpro.admin.daybook.forms import PeriodForm
from django_paiementpro.models import Payment

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Payment]
else:
    ModelAdmin = admin.ModelAdmin


def day_book_view(model_admin: ModelAdmin, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Show the day book of the period that the query asks for, or hand it out as CSV."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    page = Page(model_admin.get_queryset(request), *PeriodForm(request.GET).read())
    if request.GET.get("format") == "csv":
        return page.tables.csv(request.GET.get("table", ""))
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Day book"),
        "opts": model_admin.opts,
        "page": page,
    }
    return TemplateResponse(request, "admin/paiementpro/payment/daybook.html", context)
