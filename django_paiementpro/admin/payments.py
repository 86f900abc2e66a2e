import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME, AdminForm
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import quote, unquote
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_paiementpro import log, services
from django_paiementpro.admin import wording
from django_paiementpro.admin.actions import ACTIONS, PATIENCE, ReplayAction, StaffAction
from django_paiementpro.admin.changelist import CappedPaginator, PaymentChangeList
from django_paiementpro.admin.columns import (
    ColumnsMixin,
    ReadOnlyMixin,
    open_findings_of,
    status_badge,
)
from django_paiementpro.admin.daybook import day_book_view
from django_paiementpro.admin.export import export_payments
from django_paiementpro.admin.filters import (
    CountryFilter,
    MerchantFilter,
    OperatorFilter,
    PeriodFilter,
    ReviewFilter,
    SettledByFilter,
    StatusFilter,
)
from django_paiementpro.admin.search import search
from django_paiementpro.enums import Kind, Status
from django_paiementpro.exceptions import GatewayUnavailableError
from django_paiementpro.http import non_atomic
from django_paiementpro.models import Payment, PaymentEvent
from django_paiementpro.services.checkout import absolute_url
from django_paiementpro.services.reconciliation import newest_first
from django_paiementpro.services.status import is_just_checked

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Payment]
else:
    ModelAdmin = admin.ModelAdmin


#: How many events the page tells of, the newest.
MAX_EVENTS = 200

#: The form fields that the error codes of the services belong to.
FIELDS = {"amount_mismatch": "amount", "gateway_id_missing": "gateway_id", "gateway_id_taken": "gateway_id"}

LEVELS = {"success": messages.SUCCESS, "info": messages.INFO, "warning": messages.WARNING}


@admin.register(Payment)
class PaymentAdmin(ColumnsMixin, ReadOnlyMixin, ModelAdmin):
    """
    The list, the payment's page and what staff may do from there. A host may subclass it, and register that instead.

    Nothing is added, edited or deleted. The list's cost does not grow with the table: no full count, no facets.
    """

    list_display = (
        "reference",
        "order",
        "amount_display",
        "badge",
        "operator",
        "customer",
        "created",
        "settled",
    )
    list_filter = (
        StatusFilter,
        ReviewFilter,
        PeriodFilter,
        OperatorFilter,
        CountryFilter,
        SettledByFilter,
        MerchantFilter,
    )
    # Only what has an index to be sorted by.
    sortable_by = ("reference", "created", "settled")
    search_fields = ("reference",)  # what shows the field; search() decides what is compared
    search_help_text = _(
        "Reference, number of the gateway, e-mail, telephone in any spelling, name or order; names, e-mails and "
        "references also by how they begin."
    )
    list_per_page = 25
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = ("check_payments", "export_csv")
    # Not where Django looks by itself: a host's own admin of payments has Django's templates.
    change_list_template = "admin/paiementpro/payment/payment_list.html"
    change_form_template = "admin/paiementpro/payment/payment_page.html"
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
                    "blanked_at",
                ]
            },
        ),
        (
            _("At the gateway"),
            {
                "fields": [
                    "operator",
                    "merchant_id",
                    "gateway_id",
                    "transaction_date",
                    "response_code",
                    "response_message",
                    "attempt",
                    "return_context",
                ]
            },
        ),
        (
            _("Course"),
            {
                "fields": [
                    "created_at",
                    "initialized_at",
                    "settled_at",
                    "settled_by",
                    "success_url",
                    "failure_url",
                ]
            },
        ),
    )
    readonly_fields = ("badge", "amount_display", "order", "operator")

    class Media:
        css = {"all": ("paiementpro/admin.css",)}
        js = ("paiementpro/admin.js",)

    def __init__(self, model: type[Payment], admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        # The admin's own index, with what waits for somebody to look at; a host's own index stays.
        if admin_site.index_template is None:
            admin_site.index_template = "admin/paiementpro/index.html"

    # Permissions: has_<action>_permission() is what Django asks for the list's actions too.

    def may(self, request: HttpRequest, action: str) -> bool:
        """Return whether the user may ``check``, ``confirm``, ``refund``, ``redeliver``, ``review`` or ``export``."""
        return request.user.has_perm(f"{Payment._meta.app_label}.{action}_payment")

    def has_check_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "check")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "export")

    # The list.

    @admin.display(description=mark_safe('<input type="checkbox" id="action-toggle">'))  # no variable in it  # nosec B308
    def action_checkbox(self, obj: Payment) -> SafeString:
        """Write the box that Django writes, without a template for each row: a fifth of the page's time."""
        label = gettext("Select this object for an action - {}").format(obj)
        return format_html(
            '<input type="checkbox" name="{}" value="{}" class="action-select" aria-label="{}">',
            ACTION_CHECKBOX_NAME,
            obj.pk,
            label,
        )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[PaymentChangeList]:
        return PaymentChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Payment], search_term: str
    ) -> tuple[QuerySet[Payment], bool]:
        return search(queryset, search_term), False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Let the URL look up what the filters do: any other has no index, or reads what the database refuses."""
        return lookup in {name for list_filter in self.list_filter for name in _parameters(list_filter)}

    @non_atomic
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list. Outside of a transaction, as its actions ask the gateway."""
        if request.method == "POST":
            forbidden = {*self.actions} - {*self.get_actions(request)}
            if forbidden & {*request.POST.getlist("action")}:
                raise PermissionDenied
        context = {"may_export": self.may(request, "export"), **(extra_context or {})}
        return super().changelist_view(request, context)

    @admin.action(description=_("Ask the gateway about the selected payments"), permissions=["check"])
    def check_payments(self, request: HttpRequest, queryset: QuerySet[Payment]) -> None:
        """Ask about each, the newest first, as long as a person waits for a page."""
        deadline = time.monotonic() + PATIENCE
        asked = paid = unanswered = 0
        unpaid = queryset.exclude(status__in=[status for status in Status if status.is_paid])
        for payment in newest_first(unpaid):
            patience = deadline - time.monotonic()
            if patience < 0:
                self.message_user(request, _("There was no time for all of them: select fewer."), messages.WARNING)
                break
            if not ACTIONS["check"].is_possible(payment) or is_just_checked(payment):
                continue
            asked += 1
            try:
                paid += services.ask_gateway(payment, user_of(request), gettext("From the list."), patience).is_paid
            except GatewayUnavailableError:
                unanswered += 1
            except (ValidationError, Payment.DoesNotExist):  # it has changed or gone in the meantime
                continue
        text = ngettext("The gateway was asked about %d payment.", "The gateway was asked about %d payments.", asked)
        self.message_user(request, text % asked)
        if paid:
            text = ngettext("%d payment is paid.", "%d payments are paid.", paid)
            self.message_user(request, text % paid, messages.SUCCESS)
        if unanswered:
            text = ngettext(
                "About %d payment the gateway gave no answer.",
                "About %d payments the gateway gave no answer.",
                unanswered,
            )
            self.message_user(request, text % unanswered, messages.WARNING)

    @admin.action(description=_("Export the selected payments (CSV)"), permissions=["export"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Payment]) -> HttpResponseBase:
        log.write("payments_exported", user=str(request.user.pk))
        return export_payments(queryset)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Export the list as it is filtered and searched."""
        if not (self.has_view_permission(request) and self.may(request, "export")):
            raise PermissionDenied
        try:
            queryset = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(self._url("changelist") + "?e=1")
        return self.export_csv(request, queryset)

    def get_paginator(
        self, request: HttpRequest, queryset: Any, per_page: int, orphans: int = 0, allow_empty_first_page: bool = True
    ) -> Any:
        """Cap the count of payments. The history of a payment is paged by this method too."""
        if queryset.model is Payment:
            return CappedPaginator(queryset, per_page, orphans, allow_empty_first_page)
        return super().get_paginator(request, queryset, per_page, orphans, allow_empty_first_page)

    # The payment's page.

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        payment = self.get_object(request, unquote(object_id))
        context = self._story(request, payment) if payment and self.has_view_permission(request, payment) else {}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def get_fieldsets(self, request: HttpRequest, obj: Payment | None = None) -> Any:
        """Leave out what a payment has nothing to say to."""

        def is_shown(name: Any) -> bool:
            method = getattr(self, name, None)
            return name == "amount_display" or bool(method(obj) if method and obj else getattr(obj, name, None))

        fieldsets = [
            (title, {"fields": [name for name in options["fields"] if is_shown(name)]})
            for title, options in super().get_fieldsets(request, obj)
        ]
        return [(title, options) for title, options in fieldsets if options["fields"]]

    def _story(self, request: HttpRequest, payment: Payment) -> dict[str, Any]:
        events = list(payment.events.order_by("-pk")[: MAX_EVENTS + 1])
        is_cut = len(events) > MAX_EVENTS
        events = events[:MAX_EVENTS][::-1]
        for event in events:
            event.payment = payment
        refunds = list(payment.refunds.select_related("user")) if payment.refunded_amount else []
        for refund in refunds:
            refund.payment = payment
        entries = [
            {
                "entry": entry,
                "replay_url": self._url("replay", payment.pk, entry.event.pk)
                if entry.event.kind == Kind.NOTIFICATION
                else "",
            }
            for entry in wording.tell(events)
        ]
        return {
            "summary": wording.summarize(payment, events, open_findings_of(payment), refunds),
            "refunds": refunds,
            "entries": entries,
            "is_cut": is_cut,
            "max_events": MAX_EVENTS,
            "may_replay": self.may(request, ReplayAction.permission),
            "staff_actions": [
                {"url": self._url(name, payment.pk), "label": action.label}
                for name, action in ACTIONS.items()
                if self.may(request, action.permission) and action.is_possible(payment)
            ],
            "payer_link": _payer_link(request, payment),
        }

    def get_urls(self) -> list[URLPattern]:
        def wrap(view: Any) -> Any:
            return non_atomic(self.admin_site.admin_view(view))

        name = f"{self.opts.app_label}_{self.opts.model_name}_{{}}".format
        standard = super().get_urls()
        for pattern in standard:
            if pattern.name == name("changelist"):
                non_atomic(pattern.callback)  # also where a host has a changelist_view of its own
        return [
            path("day-book/", self.admin_site.admin_view(self.day_book_view), name=name("daybook")),
            path("export/", self.admin_site.admin_view(self.export_view), name=name("export")),
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

    # What staff do.

    def day_book_view(self, request: HttpRequest) -> HttpResponseBase:
        return day_book_view(self, request)

    def action_view(self, request: HttpRequest, object_id: str, action: str) -> HttpResponse:
        return self._staff_view(request, object_id, ACTIONS[action])

    def replay_view(self, request: HttpRequest, object_id: str, event_id: int) -> HttpResponse:
        event = PaymentEvent.objects.filter(pk=event_id, kind=Kind.NOTIFICATION).select_related("payment").first()
        if event is None or str(event.payment_id) != unquote(object_id):
            raise Http404
        return self._staff_view(request, object_id, ReplayAction(event))

    def _staff_view(self, request: HttpRequest, object_id: str, action: StaffAction) -> HttpResponse:
        """Ask for a reason, do what is to be done once, and go back to the payment, saying what has come of it."""
        payment = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, payment) or not self.may(request, action.permission):
            raise PermissionDenied
        if payment is None:
            raise Http404
        page = HttpResponseRedirect(self._url("change", payment.pk))
        if not action.is_possible(payment):
            self.message_user(request, _("As the payment is now, this cannot be done."), messages.WARNING)
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
        visible = [(None, {"fields": [field.name for field in form.visible_fields()]})]
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
            "form": form,
            "adminform": AdminForm(cast("Any", form), visible, {}, (), model_admin=self),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/paiementpro/payment/staff_action.html", context)


def user_of(request: HttpRequest) -> AbstractBaseUser:
    """Return who is signed in, as whoever comes this far is."""
    return cast("AbstractBaseUser", request.user)


def _parameters(list_filter: Any) -> Sequence[str]:
    return getattr(list_filter, "parameter_names", None) or (list_filter.parameter_name,)


def _payer_link(request: HttpRequest, payment: Payment) -> str:
    """Return the link by which the customer can pay, to be given to them; empty where nothing is to be paid."""
    is_payable = Status(payment.status).is_payable and payment.has_payer
    return absolute_url(payment.get_checkout_url(), request) if is_payable else ""
