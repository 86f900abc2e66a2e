"""Endpoints, and the webhooks that were sent to them."""

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, pgettext_lazy

from django_paiementpro.admin import wording
from django_paiementpro.admin.changelist import MAX_ROWS, AtLeast
from django_paiementpro.admin.columns import ReadOnlyMixin, date_column
from django_paiementpro.delivery.after_response import run_after_response
from django_paiementpro.http import non_atomic
from django_paiementpro.signals import SIGNALS
from django_paiementpro.webhooks import sending
from django_paiementpro.webhooks.enums import DeliveryStatus
from django_paiementpro.webhooks.models import TEST, Delivery, Endpoint, explain, type_of

if TYPE_CHECKING:
    EndpointModelAdmin = admin.ModelAdmin[Endpoint]
    DeliveryModelAdmin = admin.ModelAdmin[Delivery]
    EndpointModelForm = forms.ModelForm[Endpoint]
    DeliveryPaginator = Paginator[Delivery]
else:
    EndpointModelAdmin = DeliveryModelAdmin = admin.ModelAdmin
    EndpointModelForm = forms.ModelForm
    DeliveryPaginator = Paginator

#: The badge of each status, in the colours of payments.
BADGES = {
    DeliveryStatus.PENDING: "pending",
    DeliveryStatus.DELIVERED: "succeeded",
    DeliveryStatus.FAILED: "failed",
}

NAMES = {
    "payment_succeeded": _("Paid"),
    "payment_failed": _("Not paid"),
    "payment_expired": _("Expired"),
    "payment_cancelled": _("Cancelled"),
    "payment_flagged": _("To review"),
    "payment_refunded": _("Refunded"),
}


def event_choices() -> list[tuple[str, str]]:
    return [(name, f"{NAMES.get(name, name)} ({type_of(name)})") for name in SIGNALS]


class EndpointForm(EndpointModelForm):
    events = forms.MultipleChoiceField(
        label=pgettext_lazy("webhook", "Events"),
        choices=event_choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Which events are sent. None selected means all, including those of later versions."),
    )

    class Meta:
        model = Endpoint
        fields = ("url", "description", "events", "include_customer", "is_active")
        # Without the link of the admin's own widget: an endpoint is no page, and may be a secret.
        widgets = {"url": forms.URLInput(attrs={"class": "vURLField", "placeholder": "https://"})}


@admin.register(Endpoint)
class EndpointAdmin(EndpointModelAdmin):
    form = EndpointForm
    list_display = ("name", "address", "event_names", "include_customer", "is_active")
    list_display_links = ("name",)
    fields = ("url", "description", "events", "include_customer", "is_active")
    change_list_template = "admin/paiementpro/object_list.html"
    change_form_template = "admin/paiementpro/webhooks/endpoint_page.html"
    action_template = "admin/paiementpro/webhooks/endpoint_action.html"

    class Media:
        css = {"all": ("paiementpro/admin.css",)}
        js = ("paiementpro/admin.js",)

    @admin.display(description=_("description"), ordering="description")
    def name(self, endpoint: Endpoint) -> str:
        return str(endpoint)

    @admin.display(description=_("address"))
    def address(self, endpoint: Endpoint) -> str:
        """Return the host alone: the rest of the URL may be a secret."""
        return endpoint.host

    @admin.display(description=pgettext_lazy("webhook", "events"))
    def event_names(self, endpoint: Endpoint) -> str:
        return ", ".join(map(type_of, endpoint.events)) or str(pgettext_lazy("webhook", "all"))

    def get_urls(self) -> list[URLPattern]:
        def wrap(view: Any) -> Any:
            return non_atomic(self.admin_site.admin_view(view))

        return [
            path("<path:object_id>/test/", wrap(self.test_view), name="paiementpro_webhooks_endpoint_test"),
            path("<path:object_id>/secret/", wrap(self.secret_view), name="paiementpro_webhooks_endpoint_secret"),
            *super().get_urls(),
        ]

    def save_model(self, request: HttpRequest, obj: Endpoint, form: Any, change: bool) -> None:
        """Write only what has been changed: the endpoint may have been switched off meanwhile."""
        if not change:
            obj.save()
        elif form.changed_data:
            obj.save(update_fields=form.changed_data)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """Count the deliveries that go too: there may be many, and they are not deleted on their own."""
        endpoints = list(objs)
        count = Delivery.objects.filter(endpoint__in=endpoints).count()
        counts = {
            str(Endpoint._meta.verbose_name_plural): len(endpoints),
            str(Delivery._meta.verbose_name_plural): count,
        }
        return [str(endpoint) for endpoint in endpoints], counts, set(), []

    def response_add(self, request: HttpRequest, obj: Endpoint, post_url_continue: str | None = None) -> HttpResponse:
        """Show the secret, this once."""
        if "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        return self._secret_page(request, obj)

    def test_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = self._endpoint(request, object_id)
        delivery = sending.send_test(endpoint) if request.method == "POST" else None
        context = {
            "title": _("Send a test"),
            "explanation": _("Sends an event of the type “test”, which is about no payment, and shows the answer."),
            "button": _("Send a test"),
            "delivery": delivery,
            "attempt": attempt_shown(delivery.last_attempt) if delivery else None,
        }
        return self._action_page(request, endpoint, context)

    def secret_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = self._endpoint(request, object_id)
        if request.method == "POST":
            # A reload of the page that shows the new secret must not replace it again.
            if request.POST.get("seen") == str(endpoint.old_secret_until) and sending.replace_secret(endpoint):
                self.log_change(request, endpoint, str(_("Secret replaced.")))
                return self._secret_page(request, endpoint)
            self.message_user(request, _("The secret has been replaced already."), messages.WARNING)
            return HttpResponseRedirect(self._url("change", endpoint))
        context = {
            "title": _("Replace the secret"),
            "explanation": _(
                "The new secret is shown once. For a day both sign each webhook, so that you can change it at the "
                "receiver without losing any."
            ),
            "button": _("Replace the secret"),
            "seen": str(endpoint.old_secret_until),
        }
        return self._action_page(request, endpoint, context)

    def _secret_page(self, request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
        # Django lets no page of the admin be stored by caches.
        return self._action_page(request, endpoint, {"title": _("The secret"), "secret": endpoint.secret})

    def _endpoint(self, request: HttpRequest, object_id: str) -> Endpoint:
        endpoint = self.get_object(request, unquote(object_id))
        if not self.has_change_permission(request, endpoint):
            raise PermissionDenied
        if endpoint is None:
            raise Http404
        return endpoint

    def _url(self, name: str, endpoint: Endpoint) -> str:
        view = f"admin:paiementpro_webhooks_endpoint_{name}"
        return reverse(view, args=[quote(endpoint.pk)], current_app=self.admin_site.name)

    def _action_page(self, request: HttpRequest, endpoint: Endpoint, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        page = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "subtitle": str(endpoint),
            "endpoint": endpoint,
            "back_url": self._url("change", endpoint),
            **context,
        }
        return TemplateResponse(request, self.action_template, page)


class CappedPaginator(DeliveryPaginator):
    """Stops counting at a maximum, so that the cost of the list does not grow with the table."""

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Delivery]", self.object_list).order_by()[: MAX_ROWS + 1]
        count = rows.values("pk").count()
        return AtLeast(MAX_ROWS) if count > MAX_ROWS else count


class TypeFilter(admin.SimpleListFilter):
    """Offers the types that there are, where Django's own filter would read the whole table."""

    title = pgettext_lazy("webhook", "type")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind) for kind in (*map(type_of, SIGNALS), TEST)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        return queryset.filter(type=self.value()) if self.value() else queryset


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyMixin, DeliveryModelAdmin):
    list_display = ("created", "type", "endpoint", "payment", "badge", "answer", "duration")
    list_filter = ("status", TypeFilter, "endpoint")
    list_select_related = ("endpoint", "event__payment")
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    paginator = CappedPaginator
    search_fields = ("webhook_id",)  # shows the search box; get_search_results() decides
    search_help_text = _("Search by webhook-id, or by the beginning of a payment’s reference.")
    actions = ("send_again",)
    fields = ("type", "endpoint", "payment", "badge", "webhook_id", "created", "next_attempt", "request", "results")
    readonly_fields = fields
    change_list_template = "admin/paiementpro/object_list.html"
    change_form_template = "admin/paiementpro/webhooks/delivery_page.html"

    class Media:
        css = {"all": ("paiementpro/admin.css",)}

    def has_send_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm("paiementpro_webhooks.send_delivery")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        queryset = super().get_queryset(request)
        # The list shows neither, and both are long.
        is_list = request.resolver_match is not None and "_changelist" in str(request.resolver_match.url_name)
        return queryset.defer("body", "attempts") if is_list else queryset

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        term = "".join(search_term.split())
        if not term:
            return queryset, False
        lookup = "webhook_id" if term.startswith("msg_") else "event__payment__reference__startswith"
        return queryset.filter(**{lookup: term}), False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in {"status__exact", "type", "endpoint__id__exact", "event__payment__id__exact"}

    # Columns.

    created = date_column("created_at", _("created"))

    @admin.display(description=_("payment"))
    def payment(self, delivery: Delivery) -> str:
        if delivery.event is None:
            return ""
        payment = delivery.event.payment
        url = reverse("admin:paiementpro_payment_change", args=[payment.pk], current_app=self.admin_site.name)
        return format_html('<a href="{}">{}</a>', url, payment.short_reference)

    @admin.display(description=_("status"))
    def badge(self, delivery: Delivery) -> SafeString:
        status = DeliveryStatus(delivery.status)
        return format_html('<span class="pp-badge pp-{}">{}</span>', BADGES[status], status.label)

    @admin.display(description=_("answer"))
    def answer(self, delivery: Delivery) -> str:
        return str(delivery.response_status or "")

    @admin.display(description=_("duration"))
    def duration(self, delivery: Delivery) -> str:
        return "" if delivery.seconds is None else f"{delivery.seconds:.1f} s"

    next_attempt = date_column("next_at", _("next attempt"))

    @admin.display(description=pgettext_lazy("webhook", "request"))
    def request(self, delivery: Delivery) -> SafeString:
        body = json.dumps(json.loads(delivery.body), indent=2, ensure_ascii=False)
        return format_html('<pre class="pp-scroll">POST {}\n\n{}</pre>', delivery.endpoint.url, body)

    @admin.display(description=_("attempts"))
    def results(self, delivery: Delivery) -> SafeString:
        shown = format_html_join(
            "",
            "<li>{} · <strong>{}</strong> · {}{}</li>",
            (
                (
                    attempt["at"],
                    attempt["result"],
                    attempt["duration"],
                    format_html('<pre class="pp-scroll">{}</pre>', attempt["answer"]) if attempt["answer"] else "",
                )
                for attempt in map(attempt_shown, reversed(delivery.attempts))
            ),
        )
        return format_html("<ol reversed>{}</ol>", shown) if shown else shown

    # Sending again.

    @non_atomic
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, extra_context)

    @admin.action(description=_("Send the selected webhooks again"), permissions=["send"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        count = sum(map(sending.make_due, queryset.select_related(None).only("pk")))
        skipped = queryset.count() - count
        if count:
            text = ngettext("%d webhook is being sent again.", "%d webhooks are being sent again.", count)
            self.message_user(request, text % count, messages.SUCCESS)
            run_after_response(sending.send_new)
        if skipped:
            text = ngettext(
                "%d webhook cannot be sent: its endpoint is switched off, or it is being sent now.",
                "%d webhooks cannot be sent: their endpoints are switched off, or they are being sent now.",
                skipped,
            )
            self.message_user(request, text % skipped, messages.WARNING)

    def get_urls(self) -> list[URLPattern]:
        view = non_atomic(self.admin_site.admin_view(self.send_view))
        standard = super().get_urls()
        for pattern in standard:
            if pattern.name == "paiementpro_webhooks_delivery_changelist":
                non_atomic(pattern.callback)
        return [path("<path:object_id>/send/", view, name="paiementpro_webhooks_delivery_send"), *standard]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"may_send": self.has_send_permission(request), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def send_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send one webhook again, and show its answer."""
        delivery = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, delivery) or not self.has_send_permission(request, delivery):
            raise PermissionDenied
        if delivery is None:
            raise Http404
        if request.method == "POST":
            answer = None
            if sending.make_due(delivery):
                delivery.refresh_from_db()
                answer = sending.send_now(delivery)
            if answer is None:
                text = _("It cannot be sent: its endpoint is switched off, or it is being sent now.")
                self.message_user(request, text, messages.WARNING)
            elif answer.is_success:
                self.message_user(request, _("It has been delivered."), messages.SUCCESS)
            else:
                self.message_user(request, explain(delivery.last_attempt), messages.ERROR)
        url = reverse(
            "admin:paiementpro_webhooks_delivery_change", args=[quote(delivery.pk)], current_app=self.admin_site.name
        )
        return HttpResponseRedirect(url)


def attempt_shown(attempt: dict[str, Any]) -> dict[str, str]:
    """Return an attempt in words."""
    moment = parse_datetime(attempt.get("at", ""))
    return {
        "at": wording.moment(moment) if moment else "",
        "result": explain(attempt),
        "duration": f"{attempt.get('seconds') or 0:.1f} s",
        "answer": attempt.get("answer", ""),
    }
