"""Pages that make many links from a spreadsheet: the file, a preview, and the links to send."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_paiementpro.admin.export import csv_response
from django_paiementpro.admin.fieldsets import admin_form
from django_paiementpro.conf import conf
from django_paiementpro.db.keyset import in_pages
from django_paiementpro.links.admin.figures import add_figures, received_display, state_badge
from django_paiementpro.links.admin.forms import ImportForm
from django_paiementpro.links.importing.rows import Reading, Row, read_rows
from django_paiementpro.links.importing.storage import (
    BATCH_DIGITS,
    PAGE_ROWS,
    count_existing,
    import_keys,
    import_links,
    links_of_batch,
)
from django_paiementpro.models import format_amount
from django_paiementpro.services.checkout import absolute_url
from django_paiementpro.tables import UnreadableTableError

if TYPE_CHECKING:
    from django_paiementpro.links.admin.links import PaymentLinkAdmin

#: How many rows of a file the preview shows.
SHOWN_ROWS = 20

#: How many faults it shows.
SHOWN_FAULTS = 200

#: How many links of an import a page shows.
LINKS_PER_PAGE = 50

#: How long a preview can be confirmed, in seconds.
PREVIEW_SECONDS = 6 * 60 * 60

_SALT = "django_paiementpro.links.import"

#: What the confirmation sends besides the rows, in bytes at most.
_OTHER_FIELDS = 2_000


def import_view(model_admin: "PaymentLinkAdmin", request: HttpRequest) -> HttpResponseBase:
    """Read a file, show what it would make, and make it once the user agrees."""
    if not model_admin.has_add_permission(request):
        raise PermissionDenied
    if "rows" in request.POST:
        return _confirm(model_admin, request)
    form = ImportForm(request.POST or None, request.FILES or None)
    reading: Reading | None = None
    if form.is_valid():
        values = form.cleaned_data
        try:
            reading = read_rows(values["file"], values["title"], values["channel"])
        except UnreadableTableError as error:
            form.add_error("file", str(error))
    context = model_admin.page_context(request, _("Make many links"))
    context["media"] += form.media
    if reading is not None:
        preview = _preview(request, reading, form.cleaned_data)
        if preview["faults"] or len(preview["rows"]) + _OTHER_FIELDS <= _max_bytes():
            return TemplateResponse(request, "admin/paiementpro_links/preview.html", {**context, **preview})
        form.add_error("file", _("This file is too large."))
    context |= {"form": form, "adminform": admin_form(form, model_admin)}
    return TemplateResponse(request, "admin/paiementpro_links/import.html", context)


def _preview(request: HttpRequest, reading: Reading, values: dict[str, Any]) -> dict[str, Any]:
    title, channel = values["title"], values["channel"]
    payload = {
        "user": str(request.user.pk),
        "title": title,
        "channel": channel,
        "rows": [astuple(row) for row in reading.rows],
    }
    existing = 0 if reading.faults else count_existing(import_keys(reading.rows, title))
    return {
        "batch_title": title,
        "count": len(reading.rows),
        "new": len(reading.rows) - existing,
        "existing": existing,
        "total": format_amount(reading.total, conf.currency),
        "ignored": ", ".join(reading.ignored),
        "faults": reading.faults[:SHOWN_FAULTS],
        "fault_count": len(reading.faults),
        "samples": [
            {"row": row, "amount": format_amount(row.amount, conf.currency)} for row in reading.rows[:SHOWN_ROWS]
        ],
        "rows": signing.dumps(payload, salt=_SALT, compress=True),
    }


def _max_bytes() -> int:
    limit: int | None = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return 10**9 if limit is None else limit


def _confirm(model_admin: "PaymentLinkAdmin", request: HttpRequest) -> HttpResponse:
    try:
        payload = signing.loads(request.POST["rows"], salt=_SALT, max_age=PREVIEW_SECONDS)
    except signing.BadSignature:
        payload = {}
    if payload.get("user") != str(request.user.pk):
        model_admin.message_user(request, _("Please upload the file again."), messages.WARNING)
        return HttpResponseRedirect(model_admin.url("import"))
    rows = [Row(*row) for row in payload["rows"]]
    user = cast("AbstractBaseUser", request.user)
    imported = import_links(rows, payload["title"], payload["channel"], user)
    text = ngettext("%d link has been made.", "%d links have been made.", imported.made) % imported.made
    model_admin.message_user(request, text, messages.SUCCESS if imported.made else messages.INFO)
    if imported.existing:
        text = ngettext("%d link existed already.", "%d links existed already.", imported.existing)
        model_admin.message_user(request, text % imported.existing, messages.INFO)
    if not model_admin.has_view_permission(request):
        return HttpResponseRedirect(model_admin.url("import"))
    return HttpResponseRedirect(model_admin.url("batch", imported.batch))


def batch_view(model_admin: "PaymentLinkAdmin", request: HttpRequest, batch: str) -> HttpResponseBase:
    """Show the links of an import, in pages, to be sent one after the other."""
    links = _links_of(model_admin, request, batch)
    page = Paginator(links.order_by("pk"), LINKS_PER_PAGE).get_page(request.GET.get("p"))
    if not page.object_list:
        raise Http404
    add_figures(page.object_list)
    items = [
        {
            "link": link,
            "share": model_admin.share(request, link),
            "badge": state_badge(link),
            "received": received_display(link) if link.has_payments else "",
            "url": model_admin.url("change", link.pk),
        }
        for link in page
    ]
    context = {
        **model_admin.page_context(request, _("Imported links")),
        "page": page,
        "items": items,
        "export_url": model_admin.url("batch_export", batch),
    }
    return TemplateResponse(request, "admin/paiementpro_links/batch.html", context)


def batch_export_view(model_admin: "PaymentLinkAdmin", request: HttpRequest, batch: str) -> HttpResponseBase:
    """Return the links of an import as CSV, for mailings by other tools."""
    links = _links_of(model_admin, request, batch)

    def rows() -> Iterator[Sequence[object]]:
        yield [_("Name"), _("Phone"), _("Amount"), _("Title"), _("Address")]
        for page in in_pages(links, "pk", size=PAGE_ROWS):
            for link in page:
                address = absolute_url(link.get_absolute_url(), request)
                yield [link.customer_name, link.customer_phone, link.amount, link.title, address]

    return csv_response(rows(), f"{_('links')}-{batch}.csv")


def _links_of(model_admin: "PaymentLinkAdmin", request: HttpRequest, batch: str) -> Any:
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    if not re.fullmatch(f"[0-9a-f]{{{BATCH_DIGITS}}}", batch):
        raise Http404
    return links_of_batch(batch)
