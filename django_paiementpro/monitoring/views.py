from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.utils.crypto import constant_time_compare
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.cache import never_cache

from django_paiementpro.conf import conf
from django_paiementpro.http import non_atomic, reread
from django_paiementpro.monitoring.channel_health import channel_health
from django_paiementpro.monitoring.health import health


@method_decorator([login_not_required, never_cache, non_atomic, reread], name="dispatch")
class HealthView(View):
    """
    Return health and channel health as JSON: 200 if there are no problems, else 503.

    It answers monitoring that sends ``PAIEMENTPRO_HEALTH_TOKEN``, as ``Authorization: Bearer <token>`` or ``?token=``,
    and staff who may view payments. All others get a 401, never a login page, which monitoring would take for a 200.
    """

    http_method_names = ["get", "head", "options"]

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        # Before reread(), which calls dispatch() a second time when the token has gone from the query string.
        self.is_monitoring = _take_token(request)

    def get(self, request: HttpRequest) -> HttpResponse:
        if not (self.is_monitoring or _is_staff(request)):
            error = _("Authentication required.")
            return JsonResponse({"error": error}, status=401, headers={"WWW-Authenticate": "Bearer"})
        found = health()
        channels = {code: channel.as_json() for code, channel in channel_health().items()}
        return JsonResponse(found.as_json() | {"channels": channels}, status=503 if found.problems else 200)


def _take_token(request: HttpRequest) -> bool:
    """
    Return whether the request has the token, and remove its query string.

    Django logs a 503 as an error, with the request, and mails it to ADMINS; there it hides the Authorization header
    itself, but no query string. Some servers pass on the whole URL, as ``REQUEST_URI`` or ``RAW_URI``.
    """
    scheme, _separator, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        given = request.GET.get("token", "")
    request.GET = QueryDict()
    request.META["QUERY_STRING"] = ""
    for name in {"RAW_URI", "REQUEST_URI"} & request.META.keys():
        request.META[name] = request.META[name].partition("?")[0]
    return conf.health_token is not None and constant_time_compare(given.strip(), conf.health_token)


def _is_staff(request: HttpRequest) -> bool:
    """Return whether the user is active staff and may view payments. The host's user model may lack any of this."""
    user: Any = getattr(request, "user", None)
    is_staff = getattr(user, "is_active", False) and getattr(user, "is_staff", False)
    return bool(is_staff and hasattr(user, "has_perm") and user.has_perm("paiementpro.view_payment"))
