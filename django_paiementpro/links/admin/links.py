from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.text import Truncator, slugify
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from django_paiementpro import qr
from django_paiementpro.admin import wording
from django_paiementpro.admin.changelist import MAX_ROWS, AtLeast
from django_paiementpro.admin.columns import date_column, status_badge
from django_paiementpro.admin.fieldsets import admin_form
from django_paiementpro.admin.sharing import Share, known_phone, share
from django_paiementpro.conf import conf
from django_paiementpro.db.connections import database, in_transaction
from django_paiementpro.fields import AmountField
from django_paiementpro.http import non_atomic
from django_paiementpro.links.admin import imports
from django_paiementpro.links.admin.figures import (
    add_figures,
    places_left,
    received_display,
    state_badge,
)
from django_paiementpro.links.admin.filters import ReusableFilter, StateFilter
from django_paiementpro.links.admin.forms import AmountFormField, AmountsFormField, LinkForm, SwitchForm
from django_paiementpro.links.admin.search import search
from django_paiementpro.links.importing.storage import BATCH_DIGITS
from django_paiementpro.links.models import PaymentLink
from django_paiementpro.models import Payment, format_amount
from django_paiementpro.services.checkout import absolute_url

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[PaymentLink]
    LinkPaginatorBase = Paginator[PaymentLink]
else:
    ModelAdmin = admin.ModelAdmin
    LinkPaginatorBase = Paginator

#: The permission to send the money of a link to another merchant account.
CHOOSE_MERCHANT = "paiementpro_links.choose_merchant"

#: What no form changes once a link has a payment: the customer may be paying exactly that.
FIXED_FIELDS = ("amount", "currency", "merchant_id", "is_reusable")

#: How many payments the page of a link shows, the newest ones.
MAX_PAYMENTS = 100

#: The printed pages: the size of the paper, in the order of their buttons.
PAPERS = {"poster": "A4", "card": "A6"}


class LinkChangeList(ChangeList):
    """Reads what came in with one query for each page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        add_figures(self.result_list)


class LinkPaginator(LinkPaginatorBase):
    """Counts up to a maximum, where the pages end too."""

    @cached_property
    def count(self) -> int:
        links: Any = self.object_list
        count: int = links.order_by()[: MAX_ROWS + 1].count()
        return AtLeast(MAX_ROWS) if count > MAX_ROWS else count


@admin.register(PaymentLink)
class PaymentLinkAdmin(ModelAdmin):
    """The list of payment links, the page of each, its posters, and the import of many. You may register a subclass."""

    form = LinkForm
    list_display = ("title_column", "amount_column", "customer", "state", "received_column", "created")
    list_filter = (StateFilter, ReusableFilter)
    search_fields = ("title",)  # shows the search box; search() decides what is compared
    search_help_text = _("Search by title, customer, phone number or address.")
    sortable_by = ("created",)
    list_per_page = 25
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = LinkPaginator
    # Not at Django's default path, so that a ModelAdmin of the host's own gets Django's templates.
    change_list_template = "admin/paiementpro_links/link_list.html"
    change_form_template = "admin/paiementpro_links/link_page.html"
    view_on_site = False  # the page has the public address, which need not be on this host
    readonly_fields = ("amount_column", "created_by", "created")

    created = date_column("created_at", _("created"))

    class Media:
        css = {"all": ("paiementpro/admin.css",)}
        js = ("paiementpro/admin.js",)

    # The list.

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LinkChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[PaymentLink], search_term: str
    ) -> tuple[QuerySet[PaymentLink], bool]:
        return search(queryset, search_term), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"may_import": self.has_add_permission(request), **(extra_context or {})}
        return super().changelist_view(request, context)

    @admin.display(description=_("title"))
    def title_column(self, link: PaymentLink) -> str:
        return Truncator(link.title).chars(80)

    @admin.display(description=_("amount"))
    def amount_column(self, link: PaymentLink) -> str:
        return link.amount_display or str(_("customer’s choice"))

    @admin.display(description=pgettext_lazy("whom a link is for", "for"))
    def customer(self, link: PaymentLink) -> str:
        return ", ".join(filter(None, [link.customer_name, link.customer_phone]))

    @admin.display(description=_("state"))
    def state(self, link: PaymentLink) -> SafeString:
        return state_badge(link)

    @admin.display(description=_("received"))
    def received_column(self, link: Any) -> str:
        return received_display(link) if link.has_payments else ""

    # Its form.

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fixed = obj is not None and obj.has_payments
        many = ["currency"] if len(conf.currencies) > 1 or fixed else []
        options = [
            "description",
            *([] if fixed and obj.amount else ["min_amount", "max_amount", "suggested_amounts"]),
            *many,
            *("channel", "is_reusable", "max_payments", "expires_at", "success_message", "success_url"),
            "customer_email",
            *(["merchant_id"] if fixed or request.user.has_perm(CHOOSE_MERCHANT) else []),
            *([] if obj is None or obj.is_active else ["closed_message"]),
            *([] if obj is None else ["created_by", "created"]),
        ]
        first = ["title", "amount_column" if fixed else "amount", "customer_name", "customer_phone"]
        return [(None, {"fields": first}), (_("More options"), {"fields": options, "classes": ["collapse"]})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fixed = FIXED_FIELDS if obj is not None and obj.has_payments else ()
        return (*super().get_readonly_fields(request, obj), *fixed)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        texts = {"label": db_field.verbose_name, "help_text": db_field.help_text}
        if isinstance(db_field, AmountField):
            return AmountFormField(**_capitalized(texts), required=not db_field.blank)
        if db_field.name == "suggested_amounts":
            hint = _("With a semicolon between them: 5 000; 10 000.")
            return AmountsFormField(**_capitalized({**texts, "help_text": hint}), required=False)
        if db_field.name == "currency":
            choices = [(code, code) for code in conf.currencies]
            return forms.ChoiceField(**_capitalized(texts), choices=choices, initial=conf.currency)
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Lock the link while a form about it is processed, so that no payment of it begins meanwhile."""
        link: Any = super().get_object(request, object_id, from_field)
        if link is None:
            return None
        add_figures([link])
        if request.method == "POST" and in_transaction():
            list(PaymentLink.objects.using(database()).select_for_update().filter(pk=link.pk).values_list("pk"))
            link.has_payments = _has_payments(link)
        return link

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save a new link, or the columns of an existing one that the user has changed."""
        if not change:
            obj.created_by_id = request.user.pk
            obj.save()
            return
        names = [name for name in form.changed_data if name in form.cleaned_data]
        if names:
            obj.save(update_fields=names)
        if obj.has_payments and {*FIXED_FIELDS} & {*request.POST}:
            text = _("A customer has started to pay in the meantime, so amount and merchant have not been changed.")
            self.message_user(request, text, messages.WARNING)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Go to the page of the new link, where it is shared."""
        if "_addanother" in request.POST or not self.has_view_permission(request):
            return super().response_add(request, obj, post_url_continue)
        self.message_user(request, _("The link is ready: send it to your customer."), messages.SUCCESS)
        return HttpResponseRedirect(self.url("change", obj.pk))

    # Deleting.

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Protect links that have payments."""
        protected = [
            _("“%(link)s” has payments: switch it off instead.") % {"link": link}
            for link in objs
            if _has_payments(link)
        ]
        deleted, counts, permissions, others = super().get_deleted_objects(objs, request)
        return deleted, counts, permissions, protected or others

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[PaymentLink]) -> None:
        """Delete them one by one, as the model decides."""
        for link in queryset:
            link.delete()

    # Its page.

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"show_save_and_continue": False, "may_import": self.has_add_permission(request)}
        return super().add_view(request, form_url, {**context, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        link = None if request.method == "POST" else self.get_object(request, unquote(object_id))
        context = self._page_context(request, link) if link and self.has_view_permission(request, link) else {}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def _page_context(self, request: HttpRequest, link: Any) -> dict[str, Any]:
        share = self.share(request, link)
        payments, is_cut = self._payments(request, link)
        batch = (link.import_key or "")[:BATCH_DIGITS]
        return {
            "link": link,
            "badge": state_badge(link),
            "received": received_display(link),
            "places_left": places_left(link),
            "share": share,
            "qr_code": qr.svg_element(share.url),
            "files": [
                {"url": self.url("poster", link.pk), "label": _("Poster (A4)"), "is_page": True},
                {"url": self.url("card", link.pk), "label": _("Table card (A6)"), "is_page": True},
                {"url": self.url("qr_svg", link.pk), "label": _("QR code (SVG)")},
                {"url": self.url("qr_png", link.pk), "label": _("QR code (PNG)")},
            ],
            "switch_url": self.url("switch", link.pk) if self.has_change_permission(request, link) else "",
            "batch_url": self.url("batch", batch) if batch else "",
            "may_see_payments": _may_see_payments(request),
            "payments": payments,
            "is_cut": is_cut,
            "max_payments": MAX_PAYMENTS,
        }

    def _payments(self, request: HttpRequest, link: PaymentLink) -> tuple[list[dict[str, Any]], bool]:
        """Return the newest payments, with their pages, if the user may see them; and whether there are more."""
        if not _may_see_payments(request):
            return [], False
        payments = list(link.payments[: MAX_PAYMENTS + 1])
        has_pages = self.admin_site.is_registered(Payment)
        rows = [
            {
                "payment": payment,
                "badge": status_badge(payment.status),
                "created": wording.moment(payment.created_at),
                "url": self._reverse("paiementpro_payment_change", payment.pk) if has_pages else "",
            }
            for payment in payments[:MAX_PAYMENTS]
        ]
        return rows, len(payments) > MAX_PAYMENTS

    def share(self, request: HttpRequest, link: PaymentLink) -> Share:
        phone = known_phone(link.customer_phone, link.channel)
        return share(link.get_absolute_url(), request, link.title, link.amount_display, phone, link.customer_email)

    def get_urls(self) -> list[URLPattern]:
        def wrap(view: Any) -> Any:
            return non_atomic(self.admin_site.admin_view(view))

        name = f"{self.opts.app_label}_{self.opts.model_name}_{{}}".format
        return [
            path("import/", wrap(self.import_view), name=name("import")),
            path("imports/<str:batch>/", wrap(self.batch_view), name=name("batch")),
            path("imports/<str:batch>/export/", wrap(self.batch_export_view), name=name("batch_export")),
            path("<path:object_id>/switch/", wrap(self.switch_view), name=name("switch")),
            path("<path:object_id>/qr.svg", wrap(self.qr_svg_view), name=name("qr_svg")),
            path("<path:object_id>/qr.png", wrap(self.qr_png_view), name=name("qr_png")),
            *(
                path(f"<path:object_id>/{paper}/", wrap(self.paper_view), {"paper": paper}, name=name(paper))
                for paper in PAPERS
            ),
            *super().get_urls(),
        ]

    def url(self, name: str, *arguments: Any) -> str:
        return self._reverse(f"{self.opts.app_label}_{self.opts.model_name}_{name}", *arguments)

    def _reverse(self, name: str, *arguments: Any) -> str:
        quoted = [quote(argument) for argument in arguments]
        return reverse(f"admin:{name}", args=quoted, current_app=self.admin_site.name)

    def find(self, request: HttpRequest, object_id: str) -> Any:
        """Return a link that the user may view."""
        link = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, link):
            raise PermissionDenied
        if link is None:
            raise Http404
        return link

    # Printing.

    def qr_svg_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        link = self.find(request, object_id)
        return _download(link, qr.svg(absolute_url(link.get_absolute_url(), request)), "image/svg+xml", "svg")

    def qr_png_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        link = self.find(request, object_id)
        return _download(link, qr.png(absolute_url(link.get_absolute_url(), request)), "image/png", "png")

    def paper_view(self, request: HttpRequest, object_id: str, paper: str) -> HttpResponse:
        link = self.find(request, object_id)
        url = absolute_url(link.get_absolute_url(), request)
        least = link.min_amount or conf.min_amount
        context = {
            "link": link,
            "shop": conf.shop,
            "paper": PAPERS[paper],
            "stylesheet": f"paiementpro_links/paper-{PAPERS[paper].lower()}.css",
            "least": format_amount(least, link.currency),
            "qr_code": qr.svg_element(url),
            "address": url.partition("://")[2],
            "page_url": self.url("change", link.pk),
        }
        return TemplateResponse(request, "admin/paiementpro_links/paper.html", context)

    # Switching off and on.

    def switch_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a message to customers, and switch the link off; or on again."""
        link = self.find(request, object_id)
        if not self.has_change_permission(request, link):
            raise PermissionDenied
        wanted = not link.is_active
        initial = {"is_active": "1" if wanted else "0", "closed_message": link.closed_message}
        form = SwitchForm(request.POST or None, initial=initial)
        if wanted:
            del form.fields["closed_message"]
        if form.is_valid():
            self._switch(request, link, form.cleaned_data)
            return HttpResponseRedirect(self.url("change", link.pk))
        title = _("Switch the link on") if wanted else _("Switch the link off")
        context = {
            **self.page_context(request, title),
            "subtitle": str(link),
            "link": link,
            "form": form,
            "adminform": admin_form(form, self, [] if wanted else None),
            "media": self.media + form.media,
            "page_url": self.url("change", link.pk),
        }
        return TemplateResponse(request, "admin/paiementpro_links/switch.html", context)

    def _switch(self, request: HttpRequest, link: Any, values: dict[str, Any]) -> None:
        wanted = values["is_active"]
        text = _("The link is switched on.") if wanted else _("The link is switched off.")
        with transaction.atomic(using=database()):
            rows = PaymentLink.objects.using(database()).select_for_update().filter(pk=link.pk)
            stored = rows.first()
            has_changed = stored is not None and stored.is_active != wanted
            if stored is not None and has_changed:
                stored.is_active = wanted
                stored.closed_message = values.get("closed_message", stored.closed_message)
                stored.save(update_fields=["is_active", "closed_message"])
                self.log_change(request, stored, str(text))
        if has_changed:
            self.message_user(request, text, messages.SUCCESS)
            return
        text = _("The link was switched on already.") if wanted else _("The link was switched off already.")
        self.message_user(request, text, messages.INFO)

    # Many at once.

    def import_view(self, request: HttpRequest) -> HttpResponseBase:
        return imports.import_view(self, request)

    def batch_view(self, request: HttpRequest, batch: str) -> HttpResponseBase:
        return imports.batch_view(self, request, batch)

    def batch_export_view(self, request: HttpRequest, batch: str) -> HttpResponseBase:
        return imports.batch_export_view(self, request, batch)

    def page_context(self, request: HttpRequest, title: Any) -> dict[str, Any]:
        """Return the context of our own pages."""
        request.current_app = self.admin_site.name
        return {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media, "title": title}


def _may_see_payments(request: HttpRequest) -> bool:
    return request.user.has_perm(f"{Payment._meta.app_label}.view_payment")


def _has_payments(link: PaymentLink) -> bool:
    """Return whether a link has payments: in a transaction, those of others that were committed meanwhile too."""
    payments: QuerySet[Payment] = link.payments
    if in_transaction():
        payments = payments.select_for_update()
    return bool(payments.values_list("pk")[:1])


def _capitalized(texts: dict[str, Any]) -> dict[str, Any]:
    label = str(texts["label"])
    return {**texts, "label": label[:1].upper() + label[1:]}


def _download(link: Model, content: bytes | str, content_type: str, ending: str) -> HttpResponse:
    name = f"{slugify(str(link))[:60] or 'qr'}.{ending}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(content, content_type=content_type, headers=headers)
