"""The doctor's topics "urls" and "middleware"."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.test import override_settings
from django.urls import include, path, re_path, set_script_prefix

from django_paiementpro.doctor import TOPICS, Target

SHOP = "https://shop.example"
APP = include("django_paiementpro.urls")

GetResponse = Callable[[HttpRequest], HttpResponse]

here = __name__


def results(topic: str, url: str = SHOP, **values: Any) -> list[tuple[str, str]]:
    [examine] = [entry.examine for entry in TOPICS if entry.name == topic]
    with override_settings(**({"ALLOWED_HOSTS": ["shop.example"]} | values)):
        return [(result.level.value, result.text) for result in examine(Target(url))]


def only(lines: list[tuple[str, str]]) -> str:
    [(level, text)] = lines
    assert level == "fail"
    return text


# The URLs.


class Urls:
    """A URLconf."""

    def __init__(self, *patterns: Any) -> None:
        self.urlpatterns = patterns


def page(request: HttpRequest, **kwargs: Any) -> None:
    """Never called."""


def test_included_urls_pass() -> None:
    assert results("urls") == [("pass", "The URLs of the app are included (/paiementpro/notification/…).")]


def test_missing_urls_fail() -> None:
    urls = Urls(path("", page))
    assert "Add path(" in only(results("urls", ROOT_URLCONF=urls))
    assert results("middleware", ROOT_URLCONF=urls) == []


def test_pattern_before_the_app_is_reported() -> None:
    urls = Urls(re_path("^pay/(?P<slug>.*)$", page), path("pay/", APP))
    lines = results("urls", ROOT_URLCONF=urls)
    assert "“^pay/(?P<slug>.*)$” comes first" in only(lines)
    assert "(notification, checkout, return, status)" in only(lines)
    assert results("middleware", ROOT_URLCONF=urls) == []


def test_language_prefix_is_a_warning() -> None:
    urls = Urls(*i18n_patterns(path("pay/", APP)))
    lines = results("urls", ROOT_URLCONF=urls)
    assert [level for level, _text in lines] == ["warn", "pass"]
    assert "outside i18n_patterns()" in lines[0][1]
    assert [level for level, _text in results("middleware", ROOT_URLCONF=urls)] == ["pass"]


def test_language_prefix_without_locale_middleware_fails() -> None:
    urls = Urls(*i18n_patterns(path("pay/", APP)))
    middleware = [name for name in settings.MIDDLEWARE if "Locale" not in name]
    assert "The answer is 404" in only(results("middleware", ROOT_URLCONF=urls, MIDDLEWARE=middleware))


def test_without_languages_there_is_no_prefix() -> None:
    urls = Urls(*i18n_patterns(path("pay/", APP)))
    assert [level for level, _text in results("urls", ROOT_URLCONF=urls, USE_I18N=False)] == ["pass"]


# The middleware.


def test_test_middleware_passes() -> None:
    assert [level for level, _text in results("middleware")] == ["pass"]


@override_settings(PAIEMENTPRO_SITE_URL=None)
def test_without_a_site_url_an_allowed_host_is_used() -> None:
    assert [level for level, _text in results("middleware", url="", ALLOWED_HOSTS=["*", ".shop.example"])] == ["pass"]
    assert [level for level, _text in results("middleware", url="", ALLOWED_HOSTS=[], DEBUG=True)] == ["pass"]


def test_disallowed_host_fails() -> None:
    assert "ALLOWED_HOSTS does not include shop.example" in only(results("middleware", ALLOWED_HOSTS=["example.com"]))
    assert "ALLOWED_HOSTS" in only(results("middleware", ALLOWED_HOSTS=[]))


def old_login(get_response: GetResponse) -> GetResponse:
    return lambda request: HttpResponseRedirect(f"/admin/login/?next={request.path}")


def closed(get_response: GetResponse) -> GetResponse:
    return lambda request: HttpResponse("Back soon", status=503)


def html(get_response: GetResponse) -> GetResponse:
    return lambda request: HttpResponse("<title>Back soon</title>")


def broken(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> HttpResponse:
        raise LookupError("the password is secret")

    return middleware


def unmakeable(get_response: GetResponse) -> GetResponse:
    raise LookupError("the password is secret")


def only_on_www(get_response: GetResponse) -> GetResponse:
    return lambda request: HttpResponseRedirect(f"https://www.shop.example{request.get_full_path()}")


def speaks_french(get_response: GetResponse) -> GetResponse:
    return lambda request: HttpResponseRedirect(f"/fr{request.get_full_path()}")


def goes_home(get_response: GetResponse) -> GetResponse:
    return lambda request: HttpResponseRedirect("/")


def round_and_round(get_response: GetResponse) -> GetResponse:
    return lambda request: HttpResponseRedirect(request.get_full_path())


def streams(get_response: GetResponse) -> GetResponse:
    return lambda request: StreamingHttpResponse([b"{}"])


class StrictCsrf(CsrfViewMiddleware):
    """Requires a token for every view, exempt or not."""

    def process_view(self, request: Any, callback: Any, callback_args: Any, callback_kwargs: Any) -> Any:
        def strict(*args: Any) -> None: ...

        return super().process_view(request, strict, callback_args, callback_kwargs)


@pytest.mark.parametrize(
    ("middleware", "expected"),
    [
        (old_login, "A login is required (redirect to https://shop.example/admin/login/)."),
        (closed, "The answer is 503, but not from the app."),
        (html, "The answer is 200, but not from the app."),
        (broken, "LookupError (test_doctor_middleware.py:"),
        (unmakeable, "LookupError (test_doctor_middleware.py:"),
        (only_on_www, "It is redirected to the host www.shop.example. "),
        (
            speaks_french,
            "It is redirected to https://shop.example/fr/paiementpro/notification/…/, with a lang",
        ),
        (goes_home, "It is redirected to https://shop.example/."),
        (round_and_round, "It is redirected to itself"),
        (streams, "The answer is 200"),
    ],
)
def test_middleware_that_responds_is_named(
    middleware: Callable[..., Any], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"{here}.{middleware.__name__}"
    stack = [*settings.MIDDLEWARE[:3], name, *settings.MIDDLEWARE[3:]]

    lines = results("middleware", MIDDLEWARE=stack)

    assert {level for level, _text in lines} == {"fail"}
    text = lines[0][1]
    assert expected in text
    assert f"{name} answers instead." in text
    assert "secret" not in text
    assert caplog.records == []


def test_middleware_that_requires_a_token_is_named() -> None:
    middleware = [f"{here}.StrictCsrf" if "Csrf" in name else name for name in settings.MIDDLEWARE]
    text = only(results("middleware", MIDDLEWARE=middleware))
    assert "(notification)" in text
    assert "A CSRF token is required (403)" in text
    assert f"{here}.StrictCsrf answers instead." in text


def refuses(get_response: GetResponse) -> GetResponse:
    return lambda request: HttpResponse(status=403)


def test_another_403_is_reported_as_such() -> None:
    lines = results("middleware", MIDDLEWARE=[f"{here}.refuses"])
    assert "The answer is 403, but not from the app." in lines[0][1]


def test_redirect_to_https_is_reported() -> None:
    lines = results("middleware", url="http://shop.example", SECURE_SSL_REDIRECT=True)
    assert "It is redirected to https." in lines[0][1]
    assert "SecurityMiddleware answers instead." in lines[0][1]


@override_settings(LOGIN_URL="nowhere:login", MIDDLEWARE=[f"{here}.goes_home"])
def test_missing_login_page_is_not_a_problem() -> None:
    assert "redirected to https://shop.example/" in results("middleware")[0][1]


@override_settings(FORCE_SCRIPT_NAME="/shop")
def test_script_prefix_is_removed() -> None:
    set_script_prefix("/shop/")
    try:
        assert "(/shop/paiementpro/notification/…)" in results("urls")[0][1]
        assert [level for level, _text in results("middleware")] == ["pass"]
    finally:
        set_script_prefix("/")


def test_logging_is_enabled_again() -> None:
    results("middleware")
    assert logging.getLogger("django.request").isEnabledFor(logging.ERROR)
