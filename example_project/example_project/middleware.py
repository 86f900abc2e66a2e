from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


def choose_language_by_switch(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    """
    Let only the language switch choose the language. List it before ``LocaleMiddleware``.

    Many browsers in Abidjan are set to English by default, although their users read French.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        request.META.pop("HTTP_ACCEPT_LANGUAGE", None)
        return get_response(request)

    return middleware
