from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


def choose_language_by_switch(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    """
    Leave the language to the switch alone; stands before ``LocaleMiddleware``.

    Many a browser in Abidjan asks for English, because nobody has ever told it otherwise.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        request.META.pop("HTTP_ACCEPT_LANGUAGE", None)
        return get_response(request)

    return middleware
