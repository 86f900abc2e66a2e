from typing import Any

import pytest
from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.test import override_settings

from django_paiementpro.checks import check_deployment, check_installation
from django_paiementpro.conf import Conf
from django_paiementpro.signals import payment_succeeded
from tests.test_conf import WRONG


def found(**values: Any) -> dict[str, str]:
    with override_settings(**values):
        return {str(message.id): message.msg for message in check_installation()}


def test_a_right_installation_is_silent() -> None:
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


def test_a_typo_is_a_warning() -> None:
    assert found(PAIEMENTPRO_MERCHAND_ID="PP-F324") == {
        "paiementpro.W001": "PAIEMENTPRO_MERCHAND_ID is no setting of this app."
    }


def test_missing_urls_are_an_error() -> None:
    assert list(found(ROOT_URLCONF="django.conf.urls.i18n")) == ["paiementpro.E003"]


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ({"PAIEMENTPRO_SITE_URL": "https://shop.example"}, []),
        ({"PAIEMENTPRO_SITE_URL": "http://shop.example"}, ["paiementpro.E004"]),
        ({"PAIEMENTPRO_SITE_URL": "http://127.0.0.1:8000", "DEBUG": True}, []),
        ({"ALLOWED_HOSTS": ["*"]}, ["paiementpro.W004"]),
        ({"ALLOWED_HOSTS": ["*"], "PAIEMENTPRO_SITE_URL": "https://shop.example"}, []),
        ({"ALLOWED_HOSTS": ["*"], "DEBUG": True}, []),
    ],
)
def test_the_urls_given_to_the_gateway_are_nobody_elses(values: Any, ids: list[str]) -> None:
    assert list(found(**values)) == ids


@pytest.mark.parametrize("name", ["PAIEMENTPRO_SUCCESS_URL", "PAIEMENTPRO_FAILURE_URL"])
def test_a_result_page_must_be_there(name: str) -> None:
    assert name in found(**{name: "nowhere"})["paiementpro.E005"]
    assert found(**{name: "/orders/{reference}/"}) == {}
    assert found(**{name: "admin:index"}) == {}


def test_the_sandbox_is_told_before_going_live() -> None:
    with override_settings(PAIEMENTPRO_ENVIRONMENT="sandbox"):
        assert "paiementpro.W002" in {message.id for message in check_deployment()}
    assert "paiementpro.W002" not in {message.id for message in check_deployment()}


def test_a_host_that_the_payer_chooses_is_told_before_going_live() -> None:
    assert "paiementpro.W005" in {message.id for message in check_deployment()}
    with override_settings(PAIEMENTPRO_SITE_URL="https://shop.example"):
        assert "paiementpro.W005" not in {message.id for message in check_deployment()}


def test_a_missing_receiver_is_told_before_going_live() -> None:
    assert "paiementpro.W003" in {message.id for message in check_deployment()}

    def receive(**kwargs: Any) -> None: ...

    payment_succeeded.connect(receive)
    assert "paiementpro.W003" not in {message.id for message in check_deployment()}
    payment_succeeded.disconnect(receive)
