"""
The views of payers and of the gateway, as a thin layer over ``services``.

They are open to anyone who has a signed URL: without login, without a CSRF token (the gateway has none), outside the
host's transactions, and never cached.
"""

import math
import re
import time
from collections.abc import Callable
from copy import copy
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseNotFound,
    HttpResponseRedirect,
    JsonResponse,
)
from django.http.response import HttpResponseBase
from django.shortcuts import render, resolve_url
from django.urls import NoReverseMatch
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters

from django_paiementpro import log, return_urls, services, signing
from django_paiementpro.conf import conf
from django_paiementpro.delivery.after_response import begin_request
from django_paiementpro.enums import Outcome, Status
from django_paiementpro.exceptions import (
    GatewayBusyError,
    GatewayRefusedError,
    GatewayUnavailableError,
    InvalidNotification,
    TooManyRefusalsError,
)
from django_paiementpro.extensions import extensions
from django_paiementpro.forms import CustomerForm
from django_paiementpro.gateway import probe
from django_paiementpro.gateway.messages import Notification, read_notification
from django_paiementpro.http import (
    BUSY_SECONDS,
    UNAVAILABLE_SECONDS,
    conditional_response,
    non_atomic,
    page_context,
    retry_after,
)
from django_paiementpro.models import CUSTOMER_FIELDS, Payment
from django_paiementpro.services.customers import fields_to_ask, store_answers
from django_paiementpro.services.notifications import find_payment, receive_notification
from django_paiementpro.services.observations import NOTIFICATION, RETURN, observe

# How browsers announce that they prefetch a page: the standard header, and older ones.
PURPOSE_HEADERS = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
SPECULATIVE = re.compile("prefetch|prerender|preview", re.IGNORECASE)

# The parameter of a checkout URL that asks for another phone number or payment method.
CHANGE = "change"

# How soon a waiting page reloads itself without JavaScript: not before one can have read it.
MIN_REFRESH_SECONDS = 8


class OpenView(View):
    """
    A view for anyone who has a signed URL.

    It is decorated once, in ``as_view()``: decorating ``dispatch`` would cost time on each request.
    """

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        view = login_not_required(csrf_exempt(non_atomic(super().as_view(**initkwargs))))
        view = sensitive_post_parameters()(view)
        # Responses to POST are not cached anyway.
        return never_cache(view) if "get" in cls.http_method_names else view

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        begin_request(request)
        try:
            return super().dispatch(request, *args, **kwargs)
        except Payment.DoesNotExist as error:  # deleted since it was read
            raise Http404 from error


class CheckoutView(OpenView):
    """
    Send the payer to the gateway's page. The same link tries again, and resumes on another device.

    Where only details of the customer are missing or invalid, it asks for them first. Once an attempt has failed, it
    asks for another phone number or payment method too, if the URL has the parameter ``change``.
    """

    # No HEAD: inspecting or prefetching a link must not open a page.
    http_method_names = ["get", "post", "options"]

    def get(self, request: HttpRequest, signed: str) -> HttpResponse:
        payment = _payment_or_404(signed, signing.CHECKOUT)
        if request.method == "GET" and _is_speculative(request):
            # Not a 2xx: the browser would show it instead of the page.
            return _page(request, "checkout_error", payment, 403, case="preview")
        if not Status(payment.status).is_payable:
            return HttpResponseRedirect(payment.get_return_url())
        asks = CHANGE in request.GET or not CUSTOMER_FIELDS.isdisjoint(request.POST)
        if asks and (form := _customer_form(request, payment)):
            return _form_page(request, payment, form)
        return self._initialize(request, payment)

    post = get

    def _initialize(self, request: HttpRequest, payment: Payment) -> HttpResponse:
        try:
            return HttpResponseRedirect(services.initialize_payment(payment, request, is_current=True))
        except GatewayUnavailableError as error:
            is_busy = isinstance(error, GatewayBusyError)
            case, seconds = ("busy", BUSY_SECONDS) if is_busy else ("unavailable", UNAVAILABLE_SECONDS)
            response = _page(request, "checkout_error", payment, 503, case=case, refresh_seconds=seconds)
            response["Retry-After"] = str(seconds)
            return response
        except TooManyRefusalsError as error:
            minutes = math.ceil(error.retry_after / 60)
            response = _page(request, "checkout_error", payment, 429, case="paused", minutes=minutes, can_change=True)
            response["Retry-After"] = str(error.retry_after)
            return response
        except GatewayRefusedError:
            return _page(request, "checkout_error", payment, 502, case="refused", can_change=True)
        except ValidationError as error:
            if not Status(payment.status).is_payable:
                return HttpResponseRedirect(payment.get_return_url())
            if form := _customer_form(request, payment):
                return _form_page(request, payment, form)
            fields = log.write_invalid(payment, error)
            return _page(request, "checkout_error", payment, 400, case="invalid" if fields else "refused")


class PayView(OpenView):
    """
    The page to share with a customer: who asks for what, with a button to the checkout.

    A messenger that loads it for a preview changes nothing, and opens no page at the gateway. A payment with a result,
    or one that may have been paid but does not match, is shown by its return page.
    """

    http_method_names = ["get", "post", "head", "options"]

    def get(self, request: HttpRequest, signed: str) -> HttpResponse:
        payment = _payment_or_404(signed, signing.PAY)
        if not Status(payment.status).is_payable or (payment.attempt and payment.needs_review):
            return HttpResponseRedirect(payment.get_return_url())
        if request.method == "POST":
            return HttpResponseRedirect(payment.get_checkout_url())
        return _page(request, "pay", payment)

    post = get


def _customer_form(request: HttpRequest, payment: Payment) -> CustomerForm | None:
    """Return the form to fill in before the customer goes to the gateway; None if nothing is missing."""
    names = fields_to_ask(payment, is_change=CHANGE in request.GET)
    if not names:
        return None
    if request.method != "POST" or names.isdisjoint(request.POST):
        return CustomerForm(instance=copy(payment), names=names)
    form = CustomerForm(request.POST, instance=copy(payment), names=names)
    if form.is_valid():
        store_answers(payment, form.answers())
        return None
    if not form.is_change:
        store_answers(payment, form.answers())
        form.keep_answers()
    return form


def _form_page(request: HttpRequest, payment: Payment, form: CustomerForm) -> HttpResponse:
    return _page(request, "checkout_form", payment, 400 if form.is_bound else 200, form=form)


class NotificationView(OpenView):
    """
    The webhook for the gateway's notifications (IPN). A forged URL costs a signature check: no query, just a plain 404.

    A genuine URL is answered with 200 (recorded), 400 (refused, but recorded too), or 404 if the payment no longer
    exists. A probe by ``paiementpro_doctor`` is answered with how it arrived; it costs no query and leaves no trace.
    """

    http_method_names = ["post"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return super().dispatch(request, *args, **kwargs)
        except Http404:
            return _not_found()

    def post(self, request: HttpRequest, signed: str) -> HttpResponse:
        started_at = time.monotonic()
        url_key = signing.unsign(signed, signing.NOTIFICATION)
        if url_key is None:
            report = probe.report(request, signed)
            return JsonResponse(report, headers={"Cache-Control": "no-store"}) if report else _not_found()
        notification: Notification | InvalidNotification
        try:
            notification = read_notification(request)
        except InvalidNotification as error:
            notification = error
        event = receive_notification(url_key, notification, request.META.get("REMOTE_ADDR", ""))
        if event is None:
            return _not_found()
        if event.payment.is_verification:
            observe(request, event.payment, NOTIFICATION, event.reason if event.outcome == Outcome.REFUSED else "")
        log.write(
            "notification_received",
            event.payment,
            outcome=event.outcome,
            duration=time.monotonic() - started_at,
            reason=event.reason,
        )
        if event.outcome == Outcome.REFUSED:
            return HttpResponseBadRequest(f"Bad Request: {event.reason}", content_type="text/plain")
        return HttpResponse("OK", content_type="text/plain")


def _not_found() -> HttpResponse:
    return HttpResponseNotFound("Not Found", content_type="text/plain")


class ReturnView(OpenView):
    """
    Show the status of the payment to the returning payer. The URL's parameters prove nothing, and are ignored.

    While the result is unknown, the gateway is asked, at most once every few seconds, and the page waits. It is asked
    about a payment that has just failed or been cancelled too: its page may have been paid since.
    """

    http_method_names = ["get", "post", "head", "options"]

    def get(self, request: HttpRequest, signed: str) -> HttpResponse:
        payment = _payment_or_404(signed, signing.RETURN)
        if payment.is_verification:
            observe(request, payment, RETURN)
        services.check_waiting_payment(payment)
        if not payment.is_final:
            return _waiting_page(request, payment)
        if target := _host_page(request, payment):
            return _send_back(target)
        additions: dict[str, Any] = {}
        for extension in extensions():
            additions |= extension.result_context(payment)
        return _page(request, "result", payment, **additions)

    post = get


def _waiting_page(request: HttpRequest, payment: Payment) -> HttpResponse:
    seconds = retry_after(payment.waiting_time)
    closes_at = payment.page_expires_at
    response = _page(
        request,
        "waiting",
        payment,
        refresh_seconds=max(MIN_REFRESH_SECONDS, seconds),
        is_looked_up=bool(conf.status_url),
        open_until=closes_at if closes_at and closes_at > timezone.now() else None,
    )
    response["Retry-After"] = str(seconds)
    return response


class StatusView(OpenView):
    """
    Return the same status as JSON, without personal data. ``redirect_url`` is null until the payment is final.

    Until then, ``Retry-After`` says when to ask again; a client that has the ``ETag`` gets 304 if nothing changed.
    """

    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, signed: str) -> HttpResponseBase:
        payment = _payment_or_404(signed, signing.STATUS)
        target = (_host_page(request, payment) or payment.get_return_url()) if payment.is_final else None
        response = JsonResponse(
            {
                "reference": payment.reference,
                "status": payment.status,
                "is_final": payment.is_final,
                "redirect_url": target,
                "refunded_amount": payment.refunded_amount,
            }
        )
        waiting_time = None if payment.is_final else payment.waiting_time
        return conditional_response(request, response, response.content, waiting_time)


def _is_speculative(request: HttpRequest) -> bool:
    """Return whether a browser is prefetching the page."""
    return any(SPECULATIVE.search(request.headers.get(name, "")) for name in PURPOSE_HEADERS)


def _page(request: HttpRequest, name: str, payment: Payment, status: int = 200, **context: Any) -> HttpResponse:
    """Render a built-in page. A host can override its blocks, or the whole template."""
    context |= {**page_context(), "payment": payment, "status": payment.status}
    return render(request, f"paiementpro/{name}.html", context, status=status)


def _send_back(target: str) -> HttpResponse:
    """Redirect to a page, or to an app by its own scheme, which ``HttpResponseRedirect`` would reject."""
    if return_urls.is_app_link(target) and return_urls.is_allowed(target, conf.return_hosts):
        return HttpResponse(status=302, headers={"Location": target})
    return HttpResponseRedirect(target)


def _payment_or_404(signed: str, purpose: str) -> Payment:
    url_key = signing.unsign(signed, purpose)
    payment = None if url_key is None else find_payment(url_key)
    if payment is None:
        raise Http404
    return payment


def _host_page(request: HttpRequest, payment: Payment) -> str:
    """Return the host's URL for the payer of a final payment, or an empty string for the built-in page."""
    if Status(payment.status).is_paid:
        own, common = payment.success_url, conf.success_url
    else:
        own, common = payment.failure_url, conf.failure_url
    site_host = urlsplit(conf.site_url or "").netloc
    hosts = {request.get_host(), site_host} - {""}
    own = own.replace("{reference}", payment.reference)
    if own and url_has_allowed_host_and_scheme(own, hosts, require_https=request.is_secure()):
        return own
    if return_urls.is_allowed(own, conf.return_hosts):
        return own
    if common is None or any(extension.keeps_payer(payment) for extension in extensions()):
        return ""
    try:
        return resolve_url(common.replace("{reference}", payment.reference))
    except NoReverseMatch as error:
        log.write("host_page_missing", payment, raised=error)
        return ""
