"""
The gateway's endpoints: initialization by JSON and by SOAP, the payer's page, the status look-up.

They are exempt from ``ATOMIC_REQUESTS``, since the shop that is notified meanwhile writes to the same database.
"""

import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar, cast

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    JsonResponse,
    RawPostDataException,
    UnreadablePostError,
)
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.encoding import iri_to_uri
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from django_paiementpro.gateway.text import clean
from django_paiementpro.http import non_atomic
from django_paiementpro.sandbox import payer, protocol, soap
from django_paiementpro.sandbox.checks import is_switched_on
from django_paiementpro.sandbox.models import SandboxSession
from django_paiementpro.sandbox.operators import Operator, find_operator, offered_operators, split_operators
from django_paiementpro.sandbox.payer import EDGE_CASES, Way

V = TypeVar("V", bound=Callable[..., Any])


def _switched_on(view: V) -> V:
    @functools.wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not is_switched_on():
            raise Http404
        return view(*args, **kwargs)

    return cast("V", wrapper)


open_to_all = [login_not_required, never_cache, non_atomic, _switched_on]


@method_decorator([csrf_exempt, *open_to_all], name="dispatch")
class InitializeView(View):
    """Open a session, or refuse in the gateway's words; with HTTP 200 in both cases."""

    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            session = _open(protocol.read_request(_body(request), _validated_host(request)))
        except protocol.RefusedError as error:
            return JsonResponse(protocol.not_initialized(str(error)))
        page_url = f"{reverse('paiementpro_sandbox:page')}?sessionid={session.session_id}"
        return JsonResponse(protocol.initialized(request.build_absolute_uri(page_url)))


@method_decorator([csrf_exempt, *open_to_all], name="dispatch")
class SoapView(View):
    """The same over SOAP: a fault has HTTP 500, a refusal 200."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if "wsdl" not in {name.lower() for name in request.GET}:
            return _xml(soap.fault("Bad Request"), 500)
        return _xml(soap.description(request.build_absolute_uri(request.path)))

    def post(self, request: HttpRequest) -> HttpResponse:
        action = request.headers.get("SOAPAction", "")
        try:
            fields = soap.read_call(_body(request), request.headers.get("Content-Type", ""), action)
            edge_case = soap.find_edge_case(fields.get("customerLastname", ""))
            soap.refuse(edge_case)
            session = _open(protocol.read_fields(fields, _validated_host(request)))
        except soap.FaultError as error:
            return _xml(soap.fault(str(error)), 500)
        except protocol.RefusedError as error:
            return _xml(soap.answer(error.code, str(error)))
        return _xml(soap.answer(soap.OPENED_CODE, soap.OPENED, session.session_id, edge_case))


@method_decorator(open_to_all, name="dispatch")
class PageView(View):
    """Show the payer's page, and act on its buttons."""

    def get(self, request: HttpRequest) -> HttpResponse:
        session = _find(request)
        if session is None:
            return _closed(request, None, "unknown", 404)
        return _show(request, session)

    def post(self, request: HttpRequest) -> HttpResponse:
        session = _find(request)
        if session is None:
            return _closed(request, None, "unknown", 404)
        if request.POST.get("way") not in Way.values:
            return HttpResponseBadRequest("Bad Request: way", content_type="text/plain")
        if session.is_paid:
            return _back_to_shop(request, session, protocol.SUCCESS_CODE)
        if session.is_expired:
            return _show(request, session)
        return self._act(request, session, Way(request.POST["way"]))

    def _act(self, request: HttpRequest, session: SandboxSession, way: Way) -> HttpResponse:
        if way == Way.LEAVE:
            return _closed(request, session, "left")
        operator = find_operator(request.POST.get("channel", ""))
        if way.takes_money and (errors := _errors(operator, request.POST.get("phone", ""))):
            return _show(request, session, errors)
        response_code = payer.act(session, way, operator.channel if operator else session.channel)
        return _back_to_shop(request, session, response_code)


@method_decorator([csrf_exempt, *open_to_all], name="dispatch")
class StatusLookUpView(View):
    """Answer the status look-up, which needs no authentication."""

    def get(self, request: HttpRequest, reference: str) -> HttpResponse:
        paid = SandboxSession.objects.filter(reference=clean(reference), state=SandboxSession.State.PAID).last()
        # MariaDB ignores case.
        is_known = paid is not None and paid.reference == reference
        return JsonResponse(protocol.status_answer(paid if is_known else None))

    post = get


def _open(values: dict[str, Any]) -> SandboxSession:
    """Open a session. Raises ``RefusedError`` if the reference has been used."""
    merchant_id, reference = values.pop("merchant_id"), values.pop("reference")
    session, is_new = SandboxSession.objects.get_or_create(
        merchant_id=merchant_id, reference=reference, defaults=values
    )
    if not is_new:
        raise protocol.RefusedError(protocol.REFERENCE_USED)
    return session


def _xml(text: str, status: int = 200) -> HttpResponse:
    return HttpResponse(text, content_type="text/xml; charset=utf-8", status=status)


def _body(request: HttpRequest) -> bytes:
    try:
        return request.body
    except (RequestDataTooBig, RawPostDataException, UnreadablePostError):
        return b""


def _validated_host(request: HttpRequest) -> str:
    """Return the host of the request, without its port; nothing if ``ALLOWED_HOSTS`` allows any host."""
    return "" if "*" in settings.ALLOWED_HOSTS else re.sub(":[0-9]+$", "", request.get_host()).lower()


def _find(request: HttpRequest) -> SandboxSession | None:
    return SandboxSession.objects.filter(session_id=clean(request.GET.get("sessionid", ""))).first()


def _back_to_shop(request: HttpRequest, session: SandboxSession, response_code: str | None) -> HttpResponse:
    """Redirect the payer, or show the page if nothing was decided or the shop gave no return URL."""
    if response_code is None or not session.return_url:
        return _show(request, session)
    # Django's redirect() accepts neither app links nor long URLs.
    location = iri_to_uri(protocol.return_url(session, response_code))
    return HttpResponse(status=302, headers={"Location": location})


def _errors(operator: Operator | None, phone: str) -> dict[str, str]:
    if operator is None:
        return {"channel": _("Choose how you want to pay.")}
    if operator.needs_phone and not protocol.is_phone(re.sub(r"[\s.-]", "", phone)):
        return {"phone": _("Enter a number of 8 to 15 digits.")}
    return {}


def _show(request: HttpRequest, session: SandboxSession, errors: dict[str, str] | None = None) -> HttpResponse:
    if session.is_paid:
        return _closed(request, session, "paid")
    if session.is_expired:
        return _closed(request, session, "expired")
    operators = offered_operators()
    chosen = request.POST.get("channel") or session.channel or operators[0].channel
    shown, others = split_operators(operators, chosen)
    context = {
        "session": session,
        "shown_operators": shown,
        "other_operators": others,
        "phoneless": [operator for operator in operators if not operator.needs_phone],
        "chosen": chosen,
        "phone": request.POST.get("phone", session.customer_phone),
        "errors": errors or {},
        "edge_cases": EDGE_CASES,
    }
    return render(request, "paiementpro_sandbox/page.html", context)


def _closed(request: HttpRequest, session: SandboxSession | None, case: str, status: int = 200) -> HttpResponse:
    """Show why there is nothing to pay: ``paid``, ``expired``, ``left`` or ``unknown``."""
    context = {"session": session, "case": case}
    if case == "paid":
        context["return_url"] = protocol.return_url(cast("SandboxSession", session), protocol.SUCCESS_CODE)
    return render(request, "paiementpro_sandbox/closed.html", context, status=status)
