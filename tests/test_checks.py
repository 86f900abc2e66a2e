from types import ModuleType
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.test import override_settings
from django.urls import clear_script_prefix, include, path, set_script_prefix

from django_paiementpro.checks import check_deployment, check_installation
from django_paiementpro.conf import Conf
from django_paiementpro.signals import payment_succeeded
from tests.test_conf import WRONG


def found(**values: Any) -> dict[str, str]:
    with override_settings(**values):
        return {str(message.id): message.msg for message in check_installation()}


def test_valid_settings_raise_no_check() -> None:
    assert found() == {}


def test_the_checks_are_registered() -> None:
    with override_settings(PAIEMENTPRO_ENVIRONMENT="sandbox", PAIEMENTPRO_TYPO=1):
        ids = {message.id for message in run_checks(tags=["paiementpro"], include_deployment_checks=True)}
    assert {"paiementpro.W001", "paiementpro.W002"} <= ids


def test_a_missing_merchant_is_an_error() -> None:
    with override_settings():
        del settings.PAIEMENTPRO_MERCHANT_ID
        assert "PAIEMENTPRO_MERCHANT_ID" in found()["paiementpro.E001"]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_an_error_that_says_what_to_write(name: str, value: Any) -> None:
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


@pytest.mark.parametrize("name", ["PAIEMENTPRO_SUCCESS_URL", "PAIEMENTPRO_FAILURE_URL"])
def test_result_url_must_resolve(name: str) -> None:
    assert name in found(**{name: "nowhere"})["paiementpro.E005"]
    assert found(**{name: "/orders/{reference}/"}) == {}
    assert found(**{name: "admin:index"}) == {}


def before_going_live(**values: Any) -> set[str]:
    """Return what ``check --deploy`` finds in the settings of a shop that is ready, but for these."""
    ready = {"PAIEMENTPRO_SANDBOX": False, "PAIEMENTPRO_SITE_URL": "https://shop.example"}
    with override_settings(**ready | values):
        messages = run_checks(tags=["paiementpro"], include_deployment_checks=True)
    return {str(message.id) for message in messages} - {"paiementpro.W003"}


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
def test_the_local_sandbox_is_no_gateway_without_debug(
    name: str, url: str, site_url: str | None, identifier: str | None
) -> None:
    values = {name: url, "PAIEMENTPRO_SITE_URL": site_url}
    about_site_url = {"paiementpro.E004"} if not (site_url or "").startswith("https:") else set()
    expected = {f"paiementpro.{identifier}"} if identifier else set()

    assert before_going_live(**values) - about_site_url == expected
    assert before_going_live(**values, DEBUG=True) == set()


def test_the_local_sandbox_is_found_below_the_path_of_the_site() -> None:
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


def test_missing_receiver_is_a_deploy_warning() -> None:
    assert "paiementpro.W003" in {message.id for message in check_deployment()}

    def receive(**kwargs: Any) -> None: ...

    payment_succeeded.connect(receive)
    assert "paiementpro.W003" not in {message.id for message in check_deployment()}
    payment_succeeded.disconnect(receive)
