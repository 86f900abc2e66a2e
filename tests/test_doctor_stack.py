"""The doctor's findings on the app's URLs and the middleware in front of them."""

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

from django_paiementpro.doctor import Visit
from django_paiementpro.doctor.stack import middleware_findings, url_findings

SHOP = "https://shop.example"
APP = include("django_paiementpro.urls")

GetResponse = Callable[[HttpRequest], HttpResponse]

here = __name__


def told(examine: Any, url: str = SHOP, **values: Any) -> list[tuple[str, str]]:
    with override_settings(**({"ALLOWED_HOSTS": ["shop.example"]} | values)):
        return [(finding.verdict.value, finding.text) for finding in examine(Visit(url))]


def only(findings: list[tuple[str, str]]) -> str:
    [(verdict, text)] = findings
    assert verdict == "fail"
    return text


# The URLs.


class Urls:
    """A URLconf."""

    def __init__(self, *patterns: Any) -> None:
        self.urlpatterns = patterns


def page(request: HttpRequest, **kwargs: Any) -> None:
    """A view that is never called."""


def test_included_urls_pass() -> None:
    assert told(url_findings) == [("pass", "The URLs of the app are included (/paiementpro/notification/…).")]


def test_missing_urls_fail() -> None:
    urls = Urls(path("", page))
    assert "Add path(" in only(told(url_findings, ROOT_URLCONF=urls))
    assert told(middleware_findings, ROOT_URLCONF=urls) == []


def test_a_pattern_before_the_app_is_named() -> None:
    urls = Urls(re_path("^pay/(?P<slug>.*)$", page), path("pay/", APP))
    findings = told(url_findings, ROOT_URLCONF=urls)
    assert "“^pay/(?P<slug>.*)$” of the project comes first" in only(findings)
    assert "(notification, checkout, return, status)" in only(findings)
    assert told(middleware_findings, ROOT_URLCONF=urls) == []


def test_language_prefix_is_reported() -> None:
    urls = Urls(*i18n_patterns(path("pay/", APP)))
    findings = told(url_findings, ROOT_URLCONF=urls)
    assert [verdict for verdict, _text in findings] == ["warn", "pass"]
    assert "outside i18n_patterns()" in findings[0][1]
    assert [verdict for verdict, _text in told(middleware_findings, ROOT_URLCONF=urls)] == ["pass"]


def test_a_language_that_nothing_activates_fails() -> None:
    urls = Urls(*i18n_patterns(path("pay/", APP)))
    middleware = [name for name in settings.MIDDLEWARE if "Locale" not in name]
    assert "The answer is 404" in only(told(middleware_findings, ROOT_URLCONF=urls, MIDDLEWARE=middleware))


def test_without_languages_there_is_one_path() -> None:
    urls = Urls(*i18n_patterns(path("pay/", APP)))
    assert [verdict for verdict, _text in told(url_findings, ROOT_URLCONF=urls, USE_I18N=False)] == ["pass"]


# The middleware.


def test_the_hostile_host_of_these_tests_passes() -> None:
    assert [verdict for verdict, _text in told(middleware_findings)] == ["pass"]


@override_settings(PAIEMENTPRO_SITE_URL=None)
def test_without_a_base_an_allowed_host_serves() -> None:
    assert [verdict for verdict, _text in told(middleware_findings, url="", ALLOWED_HOSTS=["*", ".shop.example"])] == [
        "pass"
    ]
    assert [verdict for verdict, _text in told(middleware_findings, url="", ALLOWED_HOSTS=[], DEBUG=True)] == ["pass"]


def test_a_host_that_is_not_allowed_fails() -> None:
    assert "ALLOWED_HOSTS does not have shop.example" in only(told(middleware_findings, ALLOWED_HOSTS=["example.com"]))
    assert "ALLOWED_HOSTS" in only(told(middleware_findings, ALLOWED_HOSTS=[]))


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
    """Require a token for every view, exempt or not."""

    def process_view(self, request: Any, callback: Any, callback_args: Any, callback_kwargs: Any) -> Any:
        def strict(*args: Any) -> None: ...

        return super().process_view(request, strict, callback_args, callback_kwargs)


@pytest.mark.parametrize(
    ("middleware", "expected"),
    [
        (old_login, "A login is asked for (redirect to https://shop.example/admin/login/)."),
        (closed, "The answer is 503, and not the app’s."),
        (html, "The answer is 200, and not the app’s."),
        (broken, "LookupError (test_doctor_stack.py:"),
        (unmakeable, "LookupError (test_doctor_stack.py:"),
        (only_on_www, "It is redirected to the host www.shop.example. "),
        (speaks_french, "It is redirected to https://shop.example/fr/paiementpro/notification/…/, as if"),
        (goes_home, "It is redirected to https://shop.example/."),
        (round_and_round, "It is redirected to itself"),
        (streams, "The answer is 200"),
    ],
)
def test_answering_middleware_or_view_is_named(
    middleware: Callable[..., Any], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"{here}.{middleware.__name__}"
    stack = [*settings.MIDDLEWARE[:3], name, *settings.MIDDLEWARE[3:]]

    findings = told(middleware_findings, MIDDLEWARE=stack)

    assert {verdict for verdict, _text in findings} == {"fail"}
    text = findings[0][1]
    assert expected in text
    assert f"It is {name} that answers." in text
    assert "secret" not in text
    assert caplog.records == []


def test_middleware_that_asks_for_a_token_is_named() -> None:
    middleware = [f"{here}.StrictCsrf" if "Csrf" in name else name for name in settings.MIDDLEWARE]
    text = only(told(middleware_findings, MIDDLEWARE=middleware))
    assert "(notification)" in text
    assert "A CSRF token is asked for (403)" in text
    assert f"It is {here}.StrictCsrf that answers." in text


def refuses(get_response: GetResponse) -> GetResponse:
    return lambda request: HttpResponse(status=403)


def test_other_403_is_not_taken_for_a_csrf_failure() -> None:
    findings = told(middleware_findings, MIDDLEWARE=[f"{here}.refuses"])
    assert "The answer is 403, and not the app’s" in findings[0][1]


def test_redirect_to_https_is_reported() -> None:
    findings = told(middleware_findings, url="http://shop.example", SECURE_SSL_REDIRECT=True)
    assert "It is redirected to https." in findings[0][1]
    assert "SecurityMiddleware that answers." in findings[0][1]


@override_settings(LOGIN_URL="nowhere:login", MIDDLEWARE=[f"{here}.goes_home"])
def test_a_login_page_that_is_not_there_is_no_trouble() -> None:
    assert "redirected to https://shop.example/" in told(middleware_findings)[0][1]


@override_settings(FORCE_SCRIPT_NAME="/shop")
def test_a_prefix_of_the_server_is_taken_off() -> None:
    set_script_prefix("/shop/")
    try:
        assert "(/shop/paiementpro/notification/…)" in told(url_findings)[0][1]
        assert [verdict for verdict, _text in told(middleware_findings)] == ["pass"]
    finally:
        set_script_prefix("/")


def test_logging_is_restored() -> None:
    told(middleware_findings)
    assert logging.root.manager.disable == logging.NOTSET
