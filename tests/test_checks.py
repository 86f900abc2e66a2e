import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.test import override_settings
from django.urls import clear_script_prefix, include, path, set_script_prefix

from django_paiementpro.checks import check_deployment, check_installation
from django_paiementpro.checks.installation import COMMON, LOCALE, SAMPLE_MERCHANT, SESSION
from django_paiementpro.conf import Conf
from django_paiementpro.models import Payment
from django_paiementpro.signals import payment_succeeded
from tests.test_conf import WRONG


def receive(**kwargs: Any) -> None: ...


@pytest.fixture(autouse=True)
def receiver() -> Iterator[None]:
    payment_succeeded.connect(receive)
    yield
    payment_succeeded.disconnect(receive)


def found(**values: Any) -> dict[str, str]:
    with override_settings(**values):
        return {str(message.id): message.msg for message in check_installation()}


def test_valid_settings_raise_no_check() -> None:
    assert found() == {}


def test_checks_are_registered() -> None:
    with override_settings(PAIEMENTPRO_ENVIRONMENT="sandbox", PAIEMENTPRO_TYPO=1):
        ids = {message.id for message in run_checks(tags=["paiementpro"], include_deployment_checks=True)}
    assert {"paiementpro.W001", "paiementpro.W002"} <= ids


def test_missing_merchant_is_an_error() -> None:
    with override_settings():
        del settings.PAIEMENTPRO_MERCHANT_ID
        assert "PAIEMENTPRO_MERCHANT_ID" in found()["paiementpro.E001"]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_invalid_value_is_an_error_that_says_what_to_write(name: str, value: Any) -> None:
    setting = vars(Conf)[name].name

    assert found(**{setting: value})["paiementpro.E002"].startswith(f"{setting}: ")


def test_naive_datetimes_are_an_error() -> None:
    with override_settings(USE_TZ=False):
        [message] = check_installation()
    assert (message.id, message.level, message.hint) == ("paiementpro.E007", ERROR, "Set USE_TZ = True.")
    assert message.msg == "USE_TZ is off: dates and times would be stored without their time zone."


def test_unknown_setting_is_a_warning() -> None:
    assert found(PAIEMENTPRO_MERCHAND_ID="PP-F324") == {
        "paiementpro.W001": "PAIEMENTPRO_MERCHAND_ID is not a setting of this app."
    }


@pytest.mark.parametrize("namespace", ["", None, "a:", ":a", "a b", ["a"]])
def test_wrong_namespace_is_an_error(namespace: Any) -> None:
    assert list(found(PAIEMENTPRO_URL_NAMESPACE=namespace)) == ["paiementpro.E002"]


def test_nested_urls_need_their_namespace() -> None:
    assert list(found(ROOT_URLCONF="tests.urls_nested")) == ["paiementpro.E003"]
    assert found(ROOT_URLCONF="tests.urls_nested", PAIEMENTPRO_URL_NAMESPACE="plugins:till:money") == {}


def test_settings_of_adapters_are_known() -> None:
    assert found(PAIEMENTPRO_OSCAR_PAID_STATUS="Paid", PAIEMENTPRO_OSCAR_CANCELLED_STATUS="Gone") == {}
    assert list(found(PAIEMENTPRO_OSCAR_PAID_STATUS="")) == ["paiementpro.E002"]


def test_missing_urls_are_an_error() -> None:
    assert list(found(ROOT_URLCONF="django.conf.urls.i18n")) == ["paiementpro.E003"]


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ({"PAIEMENTPRO_SITE_URL": "https://shop.example"}, []),
        ({"PAIEMENTPRO_SITE_URL": "http://shop.example"}, ["paiementpro.E004"]),
        ({"PAIEMENTPRO_SITE_URL": "http://127.0.0.1:8000", "DEBUG": True}, []),
        ({"PAIEMENTPRO_SITE_URL": None}, ["paiementpro.E004"]),
        ({"PAIEMENTPRO_SITE_URL": None, "DEBUG": True}, []),
        ({"PAIEMENTPRO_SITE_URL": "https://shop.example/below"}, ["paiementpro.E002", "paiementpro.E004"]),
    ],
)
def test_site_url_is_https_where_debug_is_off(values: Any, ids: list[str]) -> None:
    assert list(found(**values)) == ids


SANDBOX = "https://sandbox.paiementpro.net"
STATUS_URL = "https://api.paiementpro.net/status"


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ({}, []),
        ({"PAIEMENTPRO_ENVIRONMENT": "sandbox"}, ["paiementpro.E012"]),
        ({"PAIEMENTPRO_GATEWAY_URL": SANDBOX}, ["paiementpro.E012"]),
        ({"PAIEMENTPRO_GATEWAY_URL": "http://127.0.0.1:8000/sandbox"}, []),
        ({"PAIEMENTPRO_ENVIRONMENT": "sandbox", "PAIEMENTPRO_GATEWAY_URL": "http://127.0.0.1:8000/sandbox"}, []),
        ({"PAIEMENTPRO_STATUS_URL": STATUS_URL}, ["paiementpro.W010"]),
        ({"PAIEMENTPRO_STATUS_URL": "http://127.0.0.1:8000/sandbox/status"}, []),
    ],
)
def test_soap_is_checked_against_the_other_settings(values: Any, ids: list[str]) -> None:
    assert list(found(PAIEMENTPRO_TRANSPORT="soap", **values)) == ids
    assert found(PAIEMENTPRO_TRANSPORT="json", **values) == {}
    assert found(PAIEMENTPRO_TRANSPORT="tests.gateway.test_client.OwnTransport", **values) == {}


def test_soap_needs_defusedxml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "defusedxml", None)

    with override_settings(PAIEMENTPRO_TRANSPORT="soap"):
        [message] = check_installation()

    assert (message.id, message.level) == ("paiementpro.E011", ERROR)
    assert message.hint == 'Run pip install "django-paiementpro[soap]".'
    assert found(PAIEMENTPRO_TRANSPORT="json") == {}


@pytest.mark.parametrize("name", ["PAIEMENTPRO_SUCCESS_URL", "PAIEMENTPRO_FAILURE_URL"])
def test_result_url_must_resolve(name: str) -> None:
    assert name in found(**{name: "nowhere"})["paiementpro.E005"]
    assert found(**{name: "/orders/{reference}/"}) == {}
    assert found(**{name: "admin:index"}) == {}


@pytest.mark.parametrize("versions", [[], ["phonenumbers"], ["phonenumberslite"], ["phonenumbers", "phonenumberslite"]])
@pytest.mark.parametrize("lite", ["9.0.43", "8.13.55"])
def test_two_versions_of_phonenumbers_are_a_warning(
    versions: list[str], lite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in versions:
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        number = lite if name == "phonenumberslite" else "9.0.43"
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
    monkeypatch.setattr("sys.path", [str(tmp_path)])

    messages = [message for message in check_installation() if message.id == "paiementpro.W007"]

    if len(versions) < 2 or lite == "9.0.43":
        assert messages == []
    else:
        [message] = messages
        assert message.msg.startswith("phonenumbers 9.0.43 and phonenumberslite 8.13.55 install the same package")
        assert "--force-reinstall phonenumbers==9.0.43 phonenumberslite==9.0.43”" in message.hint


def before_going_live(**values: Any) -> set[str]:
    """Return what ``check --deploy`` finds in the settings of a shop that is ready, but for these."""
    ready = {
        "PAIEMENTPRO_MERCHANT_ID": "PP-F900",
        "PAIEMENTPRO_SANDBOX": False,
        "PAIEMENTPRO_SITE_URL": "https://shop.example",
    }
    with override_settings(**ready | values):
        messages = run_checks(tags=["paiementpro"], include_deployment_checks=True)
    return {str(message.id) for message in messages}


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ({}, set()),
        ({"PAIEMENTPRO_SITE_URL": None}, {"paiementpro.E004"}),
        ({"PAIEMENTPRO_ENVIRONMENT": "sandbox"}, {"paiementpro.W002"}),
        ({"PAIEMENTPRO_GATEWAY_URL": "https://sandbox.paiementpro.net/"}, {"paiementpro.W002"}),
        ({"PAIEMENTPRO_ENVIRONMENT": "sandbox", "PAIEMENTPRO_GATEWAY_URL": "https://www.paiementpro.net"}, set()),
        ({"PAIEMENTPRO_SANDBOX": True}, {"paiementpro.E008"}),
        ({"PAIEMENTPRO_SANDBOX": True, "DEBUG": True}, set()),
        ({"PAIEMENTPRO_SANDBOX": "yes"}, {"paiementpro.E002"}),
        ({"PAIEMENTPRO_GATEWAY_URL": "http://127.0.0.1:8000/sandbox"}, {"paiementpro.E009"}),
        ({"PAIEMENTPRO_GATEWAY_URL": "http://www.paiementpro.net"}, {"paiementpro.E009"}),
        ({"PAIEMENTPRO_GATEWAY_URL": "http://127.0.0.1:8000/sandbox", "DEBUG": True}, set()),
        ({"PAIEMENTPRO_GATEWAY_URL": "https://paiementpro.net.evil.example"}, {"paiementpro.W004"}),
        ({"PAIEMENTPRO_GATEWAY_URL": "https://www.paiementpro.net:8443"}, set()),
        ({"PAIEMENTPRO_GATEWAY_URL": "nonsense"}, {"paiementpro.E002"}),
        ({"PAIEMENTPRO_STATUS_URL": "http://api.paiementpro.net/status"}, {"paiementpro.E009"}),
        ({"PAIEMENTPRO_STATUS_URL": "https://api.paiementpro.net/status"}, set()),
        ({"PAIEMENTPRO_STATUS_URL": "https://status.example/v1"}, {"paiementpro.W004"}),
        ({"PAIEMENTPRO_ALLOWED_REDIRECT_HOSTS": ["*"]}, {"paiementpro.W005"}),
        ({"PAIEMENTPRO_ALLOWED_REDIRECT_HOSTS": "*"}, {"paiementpro.E002"}),
        ({"PAIEMENTPRO_MERCHANT_ID": "PP-F324"}, {"paiementpro.W008"}),
        ({"PAIEMENTPRO_MERCHANT_ID": " pp-f324 "}, {"paiementpro.W008"}),
        ({"PAIEMENTPRO_MERCHANT_ID": "PP-F3244"}, set()),
        ({"PAIEMENTPRO_MERCHANT_ID": "PP-F324", "DEBUG": True}, set()),
        ({"PAIEMENTPRO_MERCHANT_ID": 324}, {"paiementpro.E002"}),
    ],
)
def test_every_public_url_is_checked_on_deploy(values: Any, ids: set[str]) -> None:
    assert before_going_live(**values) == ids


SANDBOX_HOSTS = ["shop.example", "SHOP.example", "shop.example.", "shop.example:8443"]


@pytest.mark.parametrize("name", ["PAIEMENTPRO_GATEWAY_URL", "PAIEMENTPRO_STATUS_URL"])
@pytest.mark.parametrize(
    ("url", "site_url", "identifier"),
    [
        # This site, whatever the path.
        *[(f"https://{host}/anything", "https://shop.example", "E010") for host in SANDBOX_HOSTS],
        ("https://shop.example", "https://shop.example:8443", "E010"),
        ("https://shop.example/sandbox", "http://shop.example", "E010"),
        ("https://attiéké.example/a", "https://xn--attik-esab.example", "E010"),
        ("https://xn--attik-esab.example/a", "https://attiéké.example", "E010"),
        ("https://a..example/a", "https://a..example", "E010"),
        # Another name of this site: its sandbox is served there.
        ("https://www.shop.example/sandbox", "https://shop.example", "E010"),
        ("https://www.shop.example/sandbox/status", "https://shop.example", "E010"),
        ("https://www.shop.example/sandbox", None, "E010"),
        # Not this site.
        ("https://www.shop.example/sandbox/other", "https://shop.example", "W004"),
        ("https://www.shop.example/pp", "https://shop.example", "W004"),
        ("https://evilshop.example/pp", "https://shop.example", "W004"),
        ("https://proxy.example", None, "W004"),
        # Not over the network in the open, even on this site.
        ("http://shop.example/sandbox", "https://shop.example", "E009"),
        ("HTTP://proxy.example/pp", "https://shop.example", "E009"),
        # Paiement Pro's own, even where this project serves the same path.
        ("https://api.paiementpro.net/sandbox", "https://shop.example", None),
        ("https://API.PaiementPro.net/status", "https://shop.example", None),
    ],
)
def test_local_sandbox_is_not_a_gateway_without_debug(
    name: str, url: str, site_url: str | None, identifier: str | None
) -> None:
    values = {name: url, "PAIEMENTPRO_SITE_URL": site_url}
    about_site_url = {"paiementpro.E004"} if not (site_url or "").startswith("https:") else set()
    expected = {f"paiementpro.{identifier}"} if identifier else set()

    assert before_going_live(**values) - about_site_url == expected
    assert before_going_live(**values, DEBUG=True) == set()


def test_local_sandbox_is_found_below_the_path_of_the_site() -> None:
    values = {"PAIEMENTPRO_GATEWAY_URL": "https://www.shop.example/below/sandbox"}
    assert before_going_live(**values) == {"paiementpro.W004"}
    set_script_prefix("/below/")
    try:
        assert before_going_live(**values) == {"paiementpro.E010"}
    finally:
        clear_script_prefix()


def test_another_sites_gateway_is_a_warning_without_the_sandbox() -> None:
    urls = ModuleType("shop_without_sandbox")
    vars(urls)["urlpatterns"] = [path("paiementpro/", include("django_paiementpro.urls"))]
    values = {"PAIEMENTPRO_GATEWAY_URL": "https://www.shop.example/sandbox", "ROOT_URLCONF": urls}

    assert before_going_live(**values) == {"paiementpro.W004"}


def test_other_gateway_is_named() -> None:
    with override_settings(PAIEMENTPRO_GATEWAY_URL="https://proxy.example/pp"):
        [message] = [message for message in check_deployment() if message.id == "paiementpro.W004"]
    assert message.msg.startswith("PAIEMENTPRO_GATEWAY_URL points to proxy.example")


def test_sample_merchant_matters_only_on_deploy() -> None:
    assert settings.PAIEMENTPRO_MERCHANT_ID == SAMPLE_MERCHANT
    assert found() == {}


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do as if the app of payment links, whose payments need no receiver, were not installed."""
    monkeypatch.setattr(apps.get_app_config("paiementpro_links"), "sells", False)


@pytest.mark.usefixtures("no_links")
def test_missing_receiver_is_a_warning() -> None:
    payment_succeeded.disconnect(receive)
    assert list(found()) == ["paiementpro.W003"]


@pytest.mark.usefixtures("no_links")
@pytest.mark.parametrize(
    ("app", "receiver"),
    [
        ("paiementpro_links", "paiementpro_links.flag_late_money"),
        ("paiementpro_receipts", "paiementpro_receipts.payment_succeeded"),
        ("paiementpro_webhooks", "paiementpro_webhooks.payment_succeeded"),
    ],
)
def test_receivers_of_optional_apps_fulfil_no_orders(app: str, receiver: str) -> None:
    payment_succeeded.disconnect(receive)
    apps.get_app_config(app).ready()

    assert payment_succeeded.receiver_names(Payment) == [receiver]
    assert list(found()) == ["paiementpro.W003"]


@pytest.mark.usefixtures("no_links")
def test_receiver_of_an_adapter_fulfils_orders() -> None:
    payment_succeeded.disconnect(receive)
    payment_succeeded.connect(receive, dispatch_uid="paiementpro_oscar.record_payment")
    try:
        assert found() == {}
    finally:
        payment_succeeded.disconnect(dispatch_uid="paiementpro_oscar.record_payment")


def test_shop_that_sells_by_links_needs_no_receiver() -> None:
    payment_succeeded.disconnect(receive)
    assert found() == {}


@pytest.mark.usefixtures("no_links")
def test_receiver_may_be_connected_by_the_views() -> None:
    """The URLs are checked first, so their modules have been imported."""
    payment_succeeded.disconnect(receive)

    class Urls(ModuleType):
        @property
        def urlpatterns(self) -> list[Any]:
            payment_succeeded.connect(receive)
            return [path("paiementpro/", include("django_paiementpro.urls"))]

    assert found(ROOT_URLCONF=Urls("shop_urls")) == {}


@pytest.mark.parametrize(
    ("middleware", "is_warned"),
    [
        ([SESSION, LOCALE, COMMON], False),
        ([SESSION, "django.middleware.csrf.CsrfViewMiddleware", LOCALE, "shop.middleware.other", COMMON], False),
        ((SESSION, LOCALE, COMMON), False),
        ([LOCALE], False),
        ([COMMON, SESSION], False),
        ([LOCALE, SESSION, COMMON], True),
        ([SESSION, COMMON, LOCALE], True),
        ([LOCALE, SESSION], True),
        ([COMMON, LOCALE], True),
        ((COMMON, LOCALE), True),
    ],
)
def test_locale_middleware_in_the_wrong_place_is_a_warning(middleware: Any, *, is_warned: bool) -> None:
    assert list(found(MIDDLEWARE=middleware)) == (["paiementpro.W009"] if is_warned else [])


def test_hint_says_where_locale_middleware_belongs() -> None:
    with override_settings(MIDDLEWARE=[COMMON, LOCALE]):
        [message] = check_installation()
    assert message.hint == f"Write “{LOCALE}” after “{SESSION}” and before “{COMMON}”."
