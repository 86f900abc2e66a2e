import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.module_loading import import_string
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_paiementpro import log, services
from django_paiementpro.admin import wording
from django_paiementpro.admin.actions import ACTIONS, PATIENCE, ReplayAction, StaffAction, StatementAction
from django_paiementpro.admin.changelist import MAX_RESULTS, CappedPaginator
from django_paiementpro.admin.columns import (
    ColumnsMixin,
    ReadOnlyMixin,
    newest_events,
    open_findings_of,
    refunds_of,
    status_badge,
)
from django_paiementpro.admin.export import can_write_xlsx, export_payments
from django_paiementpro.admin.fieldsets import admin_form
from django_paiementpro.admin.filters import (
    ChannelFilter,
    CountryFilter,
    MerchantFilter,
    PeriodFilter,
    ReviewFilter,
    SettledByFilter,
    StatusFilter,
    VerificationFilter,
    own_parameters,
)
from django_paiementpro.admin.search import describe, search
from django_paiementpro.admin.sharing import share_payment
from django_paiementpro.enums import PAID, Kind, Status
from django_paiementpro.exceptions import GatewayUnavailableError
from django_paiementpro.extensions import extensions
from django_paiementpro.http import non_atomic
from django_paiementpro.models import Payment, PaymentEvent, Statement
from django_paiementpro.services.reconciliation import newest_first
from django_paiementpro.services.statements.confirmation import compared_line
from django_paiementpro.services.status import is_just_checked

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Payment]
else:
    ModelAdmin = admin.ModelAdmin


#: Fields of the payment's page for those who may send signals again, which takes a developer's knowledge.
TECHNICAL_FIELDS = {"return_context", "success_url", "failure_url"}

#: The form field of each error code of the services.
FIELDS = {"amount_mismatch": "amount", "gateway_id_missing": "gateway_id", "gateway_id_taken": "gateway_id"}

LEVELS = {"success": messages.SUCCESS, "info": messages.INFO, "warning": messages.WARNING}

#: Imported when it is called, since most processes never show the takings.
DAY_BOOK_VIEW = "django_paiementpro.admin.daybook.views.day_book"


@admin.register(Payment)
class PaymentAdmin(ColumnsMixin, ReadOnlyMixin, ModelAdmin):
    """
    The list of payments, the page of each, and the staff actions. You may register a subclass of it instead.

    Payments cannot be added, edited or deleted. The list's cost does not grow with the table: no full count, no facets.
    """

    list_display = (
        "reference",
        "order",
        "amount_display",
        "badge",
        "channel_display",
        "customer",
        "created",
        "settled",
    )
    list_filter = (
        StatusFilter,
        ReviewFilter,
        PeriodFilter,
        ChannelFilter,
        CountryFilter,
        SettledByFilter,
        MerchantFilter,
        VerificationFilter,
    )
    # The columns that have an index.
    sortable_by = ("reference", "created", "settled")
    search_fields = ("reference",)  # shows the search box; search() decides what is compared
    search_help_text = _(
        "Search by reference, gateway transaction, e-mail, phone number, name or order. The beginning of a reference, "
        "e-mail or name is enough."
    )
    list_per_page = 25
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = ("check_payments", "export_csv", "export_xlsx")
    # Not at Django's default path, so that a ModelAdmin of the host's own gets Django's templates.
    change_list_template = "admin/paiementpro/payment/payment_list.html"
    change_form_template = "admin/paiementpro/payment/payment_page.html"
    object_history_template = "admin/paiementpro/payment/history.html"
    fieldsets = (
        (None, {"fields": ["reference", "badge", "amount_display", "description", "order"]}),
        (
            _("Customer"),
            {
                "fields": [
                    "customer_first_name",
                    "customer_last_name",
                    "customer_email",
                    "customer_phone",
                    "user",
                    "blanked",
                ]
            },
        ),
        (
            _("At the gateway"),
            {
                "fields": [
                    "channel_display",
                    "merchant_id",
                    "gateway_id",
                    "dated",
                    "response_code",
                    "response_message",
                    "attempt",
                    "return_context",
                ]
            },
        ),
        (
            _("Timeline"),
            {
                "fields": [
                    "created",
                    "opened",
                    "settled",
                    "settled_by",
                    "success_url",
                    "failure_url",
                ]
            },
        ),
    )
    readonly_fields = (
        *("badge", "amount_display", "order", "channel_display"),
        *("created", "opened", "settled", "dated", "blanked"),
    )

    class Media:
        css = {"all": ("paiementpro/admin.css",)}
        js = ("paiementpro/admin.js",)

    # Permissions. Django calls has_<name>_permission() for the actions of the list.

    def may(self, request: HttpRequest, action: str) -> bool:
        """Return whether the user may ``check``, ``confirm``, ``refund``, ``redeliver``, ``review`` or ``export``."""
        return request.user.has_perm(f"{Payment._meta.app_label}.{action}_payment")

    def has_check_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "check")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "export")

    def has_export_xlsx_permission(self, request: HttpRequest) -> bool:
        """Offer XLSX only where XlsxWriter is installed."""
        return self.has_export_permission(request) and can_write_xlsx()

    # The list.

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payment]:
        return super().get_queryset(request).prefetch_related("findings")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Payment], search_term: str
    ) -> tuple[QuerySet[Payment], bool]:
        return search(queryset, search_term), False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Read the parameters of Django's own filters as our own; whatever builds the list calls this first."""
        request.GET = own_parameters(request.GET)  # type: ignore[assignment]
        return super().get_changelist(request, **kwargs)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow only the lookups of our filters; others have no index."""
        return lookup in {name for list_filter in self.list_filter for name in _parameters(list_filter)}

    @non_atomic
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, outside of any transaction, because its actions call the gateway."""
        if request.method == "POST":
            forbidden = {*self.actions} - {*self.get_actions(request)}
            if forbidden & {*request.POST.getlist("action")}:
                raise PermissionDenied
        context = {
            "may_export": self.has_export_permission(request),
            "may_export_xlsx": self.has_export_xlsx_permission(request),
            "searched": describe(request.GET.get("q", "")),
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    @admin.action(description=_("Ask the gateway about the selected payments"), permissions=["check"])
    def check_payments(self, request: HttpRequest, queryset: QuerySet[Payment]) -> None:
        """Ask about each payment, the newest first, for as long as a person waits for a page."""
        deadline = time.monotonic() + PATIENCE
        asked = paid = unanswered = 0
        unpaid = queryset.exclude(status__in=PAID)
        for payment in newest_first(unpaid):
            patience = deadline - time.monotonic()
            if patience < 0:
                self.message_user(
                    request, _("There was not enough time for all of them. Select fewer payments."), messages.WARNING
                )
                break
            if not ACTIONS["check"].is_possible(payment) or is_just_checked(payment):
                continue
            asked += 1
            try:
                paid += services.ask_gateway(
                    payment, user_of(request), gettext("From the list of payments."), patience
                ).is_paid
            except GatewayUnavailableError:
                unanswered += 1
            except (ValidationError, Payment.DoesNotExist):  # changed or deleted in the meantime
                continue
        text = ngettext("The gateway was asked about %d payment.", "The gateway was asked about %d payments.", asked)
        self.message_user(request, text % asked)
        if paid:
            text = ngettext("%d payment has been paid.", "%d payments have been paid.", paid)
            self.message_user(request, text % paid, messages.SUCCESS)
        if unanswered:
            text = ngettext(
                "The gateway did not answer about %d payment.",
                "The gateway did not answer about %d payments.",
                unanswered,
            )
            self.message_user(request, text % unanswered, messages.WARNING)

    @admin.action(description=_("Export the selected payments (CSV)"), permissions=["export"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Payment]) -> HttpResponseBase:
        log.write("payments_exported", user=str(request.user.pk))
        return export_payments(queryset)

    @admin.action(description=_("Export the selected payments (XLSX)"), permissions=["export_xlsx"])
    def export_xlsx(self, request: HttpRequest, queryset: QuerySet[Payment]) -> HttpResponseBase:
        log.write("payments_exported", user=str(request.user.pk))
        return export_payments(queryset, "xlsx")

    def export_view(self, request: HttpRequest, extension: str = "csv") -> HttpResponseBase:
        """Export the list as it is filtered."""
        if not (self.has_view_permission(request) and self.may(request, "export")):
            raise PermissionDenied
        try:
            queryset = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(self._url("changelist") + "?e=1")
        return self.export_xlsx(request, queryset) if extension == "xlsx" else self.export_csv(request, queryset)

    def get_paginator(
        self, request: HttpRequest, queryset: Any, per_page: int, orphans: int = 0, allow_empty_first_page: bool = True
    ) -> Any:
        """Cap the count of payments. Django calls this for the history of a payment too."""
        if queryset.model is Payment:
            paginator = CappedPaginator(queryset, per_page, orphans, allow_empty_first_page)
            if request.GET.get("q"):
                paginator.max_rows = MAX_RESULTS
            return paginator
        return super().get_paginator(request, queryset, per_page, orphans, allow_empty_first_page)

    # The payment's page.

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        request.current_app = self.admin_site.name
        payment = self.get_object(request, unquote(object_id))
        context = self._page_context(request, payment) if payment and self.has_view_permission(request, payment) else {}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def get_fieldsets(self, request: HttpRequest, obj: Payment | None = None) -> Any:
        """Leave out empty fields, and technical ones unless the user may send signals."""
        hidden = set() if self.may(request, "redeliver") else TECHNICAL_FIELDS

        def is_shown(name: Any) -> bool:
            if name in hidden:
                return False
            method = getattr(self, name, None)
            return name == "amount_display" or bool(method(obj) if method and obj else getattr(obj, name, None))

        fieldsets = [
            (title, {"fields": [name for name in options["fields"] if is_shown(name)]})
            for title, options in super().get_fieldsets(request, obj)
        ]
        return [(title, options) for title, options in fieldsets if options["fields"]]

    def _page_context(self, request: HttpRequest, payment: Payment) -> dict[str, Any]:
        events, is_cut = newest_events(payment)
        refunds = refunds_of(payment)
        is_technical = self.may(request, "redeliver")
        entries = [
            {
                "entry": entry,
                "replay_url": self._url("replay", payment.pk, entry.event.pk)
                if entry.event.kind == Kind.NOTIFICATION
                else "",
            }
            for entry in wording.timeline(events, is_technical=is_technical)
        ]
        return {
            "summary": wording.summarize(
                payment, events, open_findings_of(payment), refunds, is_technical=is_technical
            ),
            "day_format": wording.day_format(),
            "refunds": refunds,
            "entries": entries,
            "is_cut": is_cut,
            "max_events": len(events),
            "may_replay": self.may(request, ReplayAction.permission),
            "staff_actions": [
                {"url": self._url(name, payment.pk), "label": action.label}
                for name, action in ACTIONS.items()
                if self.may(request, action.permission) and action.is_possible(payment)
            ],
            "share": share_payment(payment, request) if _is_payable(payment) else None,
            "extension_links": [link for app in extensions() for link in app.admin_links(request, payment)],
        }

    def get_urls(self) -> list[URLPattern]:
        def wrap(view: Any) -> Any:
            return non_atomic(self.admin_site.admin_view(view))

        name = f"{self.opts.app_label}_{self.opts.model_name}_{{}}".format
        standard = super().get_urls()
        for pattern in standard:
            if pattern.name == name("changelist"):
                non_atomic(pattern.callback)  # even if a subclass overrides changelist_view
        return [
            path("takings/", self.admin_site.admin_view(self.day_book_view), name=name("daybook")),
            path("export/", self.admin_site.admin_view(self.export_view), name=name("export")),
            path(
                "export/xlsx/", self.admin_site.admin_view(self.export_view), {"extension": "xlsx"}, name("export_xlsx")
            ),
            path(
                "<path:object_id>/statement-lines/<int:line_id>/confirm/",
                wrap(self.statement_view),
                name=name("statement_line"),
            ),
            path("<path:object_id>/events/<int:event_id>/replay/", wrap(self.replay_view), name=name("replay")),
            *(
                path(f"<path:object_id>/{action}/", wrap(self.action_view), {"action": action}, name=name(action))
                for action in ACTIONS
            ),
            *standard,
        ]

    def _url(self, name: str, *arguments: Any) -> str:
        view = f"admin:{self.opts.app_label}_{self.opts.model_name}_{name}"
        return reverse(view, args=[quote(argument) for argument in arguments], current_app=self.admin_site.name)

    def day_book_view(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = import_string(DAY_BOOK_VIEW)(self, request)
        return response

    # Staff actions.

    def action_view(self, request: HttpRequest, object_id: str, action: str) -> HttpResponse:
        return self._staff_view(request, object_id, ACTIONS[action])

    def replay_view(self, request: HttpRequest, object_id: str, event_id: int) -> HttpResponse:
        event = PaymentEvent.objects.filter(pk=event_id, kind=Kind.NOTIFICATION).select_related("payment").first()
        if event is None or str(event.payment_id) != unquote(object_id):
            raise Http404
        return self._staff_view(request, object_id, ReplayAction(event))

    def statement_view(self, request: HttpRequest, object_id: str, line_id: int) -> HttpResponse:
        """Confirm a payment that a statement has, and return to the statement."""
        line = compared_line(line_id)
        if line is None or str(line.payment_id) != unquote(object_id):
            raise Http404
        if not request.user.has_perm(f"{self.opts.app_label}.view_statement"):
            raise PermissionDenied
        response = self._staff_view(request, object_id, StatementAction(line))
        if isinstance(response, HttpResponseRedirect) and Statement.objects.filter(pk=line.statement_id).exists():
            view = f"admin:{self.opts.app_label}_statement_change"
            page = reverse(view, args=[line.statement_id], current_app=self.admin_site.name)
            return HttpResponseRedirect(f"{page}?list=theirs")
        return response

    def _staff_view(self, request: HttpRequest, object_id: str, action: StaffAction) -> HttpResponse:
        """Ask for a reason, perform the action once, and return to the payment with a message."""
        payment = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, payment) or not self.may(request, action.permission):
            raise PermissionDenied
        if payment is None:
            raise Http404
        page = HttpResponseRedirect(self._url("change", payment.pk))
        if not action.is_possible(payment):
            self.message_user(request, _("This is not possible in the current state of the payment."), messages.WARNING)
            return page
        form = action.form_class(request.POST if request.method == "POST" else None, payment)
        if form.is_valid():
            payment.updated_at = form.cleaned_data["seen"]
            try:
                level, text = action.perform(payment, user_of(request), form.cleaned_data)
            except ValidationError as error:
                if error.code == "changed":
                    self.message_user(request, error.message, messages.WARNING)
                    return page
                field = FIELDS.get(error.code or "")
                form.add_error(field if field in form.fields else None, error)
            except Payment.DoesNotExist:
                self.message_user(request, _("This payment no longer exists."), messages.WARNING)
                return HttpResponseRedirect(self._url("changelist"))
            else:
                self.log_change(request, payment, text)
                self.message_user(request, text, LEVELS[level])
                return page
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media + form.media,
            "title": action.label,
            "subtitle": str(payment),
            "payment": payment,
            "badge": status_badge(payment.status),
            "action": action,
            "findings": wording.to_review(open_findings_of(payment)) if action.shows_findings else [],
            "preview": action.preview(payment),
            "is_technical": self.may(request, "redeliver"),
            "form": form,
            "adminform": admin_form(form, self),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/paiementpro/payment/staff_action.html", context)


def user_of(request: HttpRequest) -> AbstractBaseUser:
    """Return the user of a request that has passed ``admin_view``."""
    return cast("AbstractBaseUser", request.user)


def _parameters(list_filter: Any) -> Sequence[str]:
    return getattr(list_filter, "parameter_names", None) or (list_filter.parameter_name,)


def _is_payable(payment: Payment) -> bool:
    return Status(payment.status).is_payable and payment.has_customer
