"""Receipts in the admin: to look them up, to open them, and to mail them again."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_paiementpro.admin.columns import ReadOnlyMixin, date_column
from django_paiementpro.receipts import outgoing
from django_paiementpro.receipts.models import Receipt

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Receipt]
else:
    ModelAdmin = admin.ModelAdmin


@admin.register(Receipt)
class ReceiptAdmin(ReadOnlyMixin, ModelAdmin):
    """Receipts are issued by the app: none is added, edited or deleted here."""

    list_display = ("number", "issued", "kind", "amount_display", "customer_name", "reference", "state")
    list_filter = ("kind", ("mailed_at", admin.EmptyFieldListFilter))
    search_fields = ("number__istartswith", "reference__istartswith", "fiscal_reference__istartswith")
    search_help_text = _(
        "Search by the number, the payment’s reference or the fiscal document: its beginning is enough."
    )
    list_per_page = 25
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ("issued",)
    ordering = ("-issued_at", "-year", "-sequence")
    # Django’s own link would bypass the permission to view receipts.
    view_on_site = False
    change_list_template = "admin/paiementpro/object_list.html"
    actions = ("mail_again",)
    fieldsets = (
        (None, {"fields": ["number", "links", "kind", "payment_link", "original_link", "amount_display", "issued"]}),
        (_("Customer"), {"fields": ["customer_name", "customer_phone", "description"]}),
        (
            _("Paid"),
            {"fields": ["merchant_id", "reference", "channel", "gateway_id", "paid", "refunded"]},
        ),
        (_("Fiscal document"), {"fields": ["fiscal_reference", "fiscal_url", "fiscal_qr_text", "fiscal_issued"]}),
        (_("Mail"), {"fields": ["mailed", "state"]}),
    )
    readonly_fields = (
        *("links", "payment_link", "original_link", "amount_display", "state"),
        *("issued", "paid", "refunded", "fiscal_issued", "mailed"),
    )

    issued = date_column("issued_at", _("issued"))
    paid = date_column("paid_at", _("paid"))
    refunded = date_column("refunded_on", _("refunded on"))
    fiscal_issued = date_column("fiscal_issued_at", _("fiscal document issued"))
    mailed = date_column("mailed_at", _("mailed"))

    class Media:
        css = {"all": ("paiementpro/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Receipt]:
        return super().get_queryset(request).select_related("payment", "original")

    def has_mail_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may mail receipts again. Django asks this for the action."""
        return request.user.has_perm("paiementpro_receipts.mail_receipt")

    @admin.action(description=_("Mail the selected receipts again"), permissions=["mail"])
    def mail_again(self, request: HttpRequest, queryset: QuerySet[Receipt]) -> None:
        """Mail them once the response has been sent, whether or not they have been mailed."""
        chosen = queryset.count()
        count = outgoing.mail_again(queryset)
        text = ngettext("%d receipt is being mailed.", "%d receipts are being mailed.", count)
        self.message_user(request, text % count, messages.SUCCESS if count else messages.WARNING)
        if count < chosen:
            text = ngettext(
                "%d receipt has no address to mail it to.",
                "%d receipts have no address to mail them to.",
                chosen - count,
            )
            self.message_user(request, text % (chosen - count), messages.WARNING)

    @admin.display(description=_("amount"), ordering="amount")
    def amount_display(self, receipt: Receipt) -> str:
        return receipt.amount_display

    @admin.display(description=_("open"))
    def links(self, receipt: Receipt) -> str:
        """Return links to the page that the customer sees, and to its PDF."""
        try:
            page, pdf = receipt.get_absolute_url(), receipt.get_pdf_url()
        except NoReverseMatch:  # a check reports it
            return ""
        return format_html('<a href="{}">{}</a> · <a href="{}">PDF</a>', page, _("Page of the customer"), pdf)

    @admin.display(description=_("payment"))
    def payment_link(self, receipt: Receipt) -> str:
        return self._link("paiementpro_payment", receipt.payment_id, receipt.reference)

    @admin.display(description=_("first receipt"))
    def original_link(self, receipt: Receipt) -> str:
        if receipt.original is None:
            return ""
        return self._link("paiementpro_receipts_receipt", receipt.original_id, receipt.original.number)

    @admin.display(description=_("still owed"))
    def state(self, receipt: Receipt) -> str:
        """Return what is still to be done, or was given up."""
        owed = [
            (
                receipt.fiscal_due_at,
                _("Fiscal document not issued yet (tried %(count)d times)"),
                receipt.fiscal_attempts,
            ),
            (receipt.mail_due_at, _("Not mailed yet (tried %(count)d times)"), receipt.mail_attempts),
        ]
        texts = [str(text) % {"count": count} for due_at, text, count in owed if due_at]
        return "; ".join(texts)

    def get_fieldsets(self, request: HttpRequest, obj: Receipt | None = None) -> Any:
        """Leave out empty fields."""
        methods = {name: getattr(self, name) for name in self.readonly_fields}
        shown = [
            (title, {"fields": [name for name in options["fields"] if _value(obj, name, methods)]})
            for title, options in super().get_fieldsets(request, obj)
        ]
        return [(title, options) for title, options in shown if options["fields"]]

    def _link(self, view: str, key: Any, text: str) -> str:
        """Return a link to the page of an object, or the text alone if this admin has none."""
        try:
            url = reverse(f"admin:{view}_change", args=[key], current_app=self.admin_site.name)
        except NoReverseMatch:
            return text
        return format_html('<a href="{}">{}</a>', url, text)


def _value(receipt: Receipt | None, name: Any, methods: dict[str, Any]) -> Any:
    return methods[name](receipt) if name in methods else getattr(receipt, name)
