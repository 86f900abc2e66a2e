from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_paiementpro.conf import Conf, conf
from django_paiementpro.enums import Channel


def test_defaults_are_safe() -> None:
    with override_settings():
        from django.conf import settings

        del settings.PAIEMENTPRO_STATUS_URL
        assert conf.gateway_url == "https://www.paiementpro.net"
        assert conf.status_url == "https://api.paiementpro.net/status"
    assert conf.currencies == {"XOF": "952"}
    assert conf.min_amount == 100
    assert conf.timeout == (3.05, 20)
    assert conf.session_lifetime == timedelta(minutes=4)
    assert conf.expires_after == timedelta(hours=24)
    assert conf.alert_emails == []
    assert list(conf.channels) == Channel.values


@pytest.mark.parametrize(
    ("values", "gateway_url", "status_url"),
    [
        ({"PAIEMENTPRO_ENVIRONMENT": "sandbox"}, "https://sandbox.paiementpro.net", None),
        ({"PAIEMENTPRO_GATEWAY_URL": "http://127.0.0.1:8000/sandbox/"}, "http://127.0.0.1:8000/sandbox", None),
        (
            {"PAIEMENTPRO_ENVIRONMENT": "sandbox", "PAIEMENTPRO_STATUS_URL": "https://example.com/s"},
            "https://sandbox.paiementpro.net",
            "https://example.com/s",
        ),
        ({"PAIEMENTPRO_STATUS_URL": None}, "https://www.paiementpro.net", None),
    ],
)
def test_status_url_default_depends_on_the_gateway(values: Any, gateway_url: str, status_url: str | None) -> None:
    with override_settings():
        from django.conf import settings

        del settings.PAIEMENTPRO_STATUS_URL
        with override_settings(**values):
            assert conf.gateway_url == gateway_url
            assert conf.status_url == status_url


def test_setting_is_read_when_used() -> None:
    with override_settings(PAIEMENTPRO_MERCHANT_ID=" PP-F1 "):
        assert conf.merchant_id == "PP-F1"
    assert conf.merchant_id == "PP-F324"


def test_setting_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    setting = vars(Conf)["channels"]
    read = setting.read
    monkeypatch.setattr(setting, "read", lambda value: reads.append(value) or read(value))
    first, second = ["OMCIV2"], ["OMCIV2"]

    for raw in (first, second, first):
        with override_settings(PAIEMENTPRO_CHANNELS=raw):
            assert list(conf.channels) == list(conf.channels) == ["OMCIV2"]

    assert [raw is first for raw in reads] == [True, False, True]


def test_wrong_value_is_refused_each_time() -> None:
    with override_settings(PAIEMENTPRO_MIN_AMOUNT=0):
        for _ in range(2):
            with pytest.raises(ImproperlyConfigured):
                _ = conf.min_amount
    assert conf.min_amount == 100


def test_alert_emails_are_addresses_with_languages() -> None:
    with override_settings(PAIEMENTPRO_ALERT_EMAILS=("owner@example.com", ["office@example.com", "fr"])):
        assert conf.alert_emails == [("owner@example.com", ""), ("office@example.com", "fr")]


def test_alert_emails_need_a_language_that_django_has() -> None:
    emails = [("office@example.com", "no language")]
    with override_settings(PAIEMENTPRO_ALERT_EMAILS=emails), pytest.raises(ImproperlyConfigured):
        _ = conf.alert_emails


def test_currency_is_checked_against_the_current_setting() -> None:
    assert conf.currency == "XOF"
    with override_settings(PAIEMENTPRO_CURRENCIES={"XAF": "950"}), pytest.raises(ImproperlyConfigured, match="XAF"):
        _ = conf.currency


def test_replaced_function_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with override_settings(PAIEMENTPRO_PAYMENT_FACTORY="tests.host.payments.new_payment"):
        before = conf.payment_factory
        monkeypatch.setattr("tests.host.payments.new_payment", print)
        assert (before.__name__, conf.payment_factory) == ("new_payment", print)


WRONG: list[tuple[str, Any]] = [
    ("alert_emails", "owner@example.com"),
    ("alert_emails", ["owner"]),
    ("alert_emails", [None]),
    ("merchant_id", None),
    ("merchant_id", " "),
    ("merchant_id", 324),
    ("merchant_id", "x" * 65),
    ("environment", "production"),
    ("environment", ["live"]),
    ("environment", {}),
    ("transport", "xml"),
    ("transport", None),
    ("transport", ["soap"]),
    ("transport", "shop.nowhere.Transport"),
    ("transport", "django.VERSION"),
    ("transport", "collections.OrderedDict"),
    ("site_url", "example.com"),
    ("site_url", "ftp://example.com"),
    ("site_url", "https://example.com/?a=1"),
    ("site_url", ""),
    ("site_url", "https://example.com:port"),
    ("site_url", "https://user@example.com"),
    ("site_url", "https://example.com/shop"),
    ("_gateway_url", "http://[::1"),
    ("_status_url", "status"),
    ("shop", "Chez Awa"),
    ("shop", {"nom": "Chez Awa"}),
    ("shop", {"name": ""}),
    ("shop", {"name": 7}),
    ("shop", {"phone": "call me"}),
    ("shop", {"whatsapp": "12"}),
    ("shop", {"email": "awa@"}),
    ("shop", {"terms_url": "javascript:alert(1)"}),
    ("shop", {"terms_url": "terms"}),
    ("currencies", {}),
    ("currencies", ["XOF"]),
    ("currencies", {"xof": "952"}),
    ("currencies", {"XOF": 95}),
    ("currency", "EUR"),
    ("currency", "franc"),
    ("currency", 952),
    ("channels", []),
    ("channels", "OMCIV2"),
    ("channels", ["MTNCIV2"]),
    ("channels", [7]),
    ("channels", [("a b", "label")]),
    ("channels", [("OMCIV2", "Orange", "")]),
    ("min_amount", 0),
    ("min_amount", True),
    ("min_amount", "100"),
    ("timeout", 20),
    ("timeout", (3, None)),
    ("timeout", (0, 20)),
    ("timeout", (3, 20, 20)),
    ("timeout", (True, 20)),
    ("timeout", (3, 1e9)),
    ("session_lifetime", 300),
    ("expires_after", timedelta(0)),
    ("expires_after", timedelta(days=9999)),
    ("allowed_redirect_hosts", "paiementpro.net"),
    ("allowed_redirect_hosts", [""]),
    ("allowed_redirect_hosts", []),
    ("allowed_redirect_hosts", ["https://paiementpro.net/"]),
    ("success_url", ""),
    ("failure_url", 7),
    ("hashcode_verifier", "shop.nowhere.verify"),
    ("hashcode_verifier", "verify"),
    ("hashcode_verifier", ".x.y"),
    ("hashcode_verifier", "django.VERSION"),
    ("hashcode_verifier", 7),
    ("payment_factory", "shop.nowhere.make"),
    ("return_hosts", "shop.example.com"),
    ("return_hosts", ["*"]),
    ("return_hosts", ["https://shop.example.com/paid"]),
    ("return_hosts", ["javascript://"]),
    ("return_hosts", ["HTTPS://"]),
    ("return_hosts", ["maboutique:"]),
    ("return_hosts", [7]),
    ("api_customer_fields", "customer_email"),
    ("api_customer_fields", ["amount"]),
    ("api_key_required", 1),
    ("api_gateway_calls", 0),
    ("api_gateway_calls", True),
    ("api_gateway_calls", 1001),
    ("health_token", ""),
    ("health_token", "two words"),
    ("health_token", "a+b"),
    ("health_token", 12345678901234567890),
    ("delivery", "later"),
    ("delivery", None),
    ("delivery", ["task"]),
    ("sandbox", "yes"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_invalid_value_says_what_to_write(name: str, value: Any) -> None:
    setting = vars(Conf)[name].name
    with override_settings(**{setting: value}), pytest.raises(ImproperlyConfigured, match=f"^{setting}: ."):
        getattr(conf, name)


def test_channels_are_offered_in_the_order_of_the_setting() -> None:
    with override_settings(PAIEMENTPRO_CHANNELS=["WAVECI", ("NEW", "New Money"), ("OMCIV2", "Orange")]):
        assert conf.channels == {"WAVECI": Channel.WAVE_CI.label, "NEW": "New Money", "OMCIV2": "Orange"}


def test_default_currency_is_one_of_the_setting() -> None:
    with override_settings(PAIEMENTPRO_CURRENCIES={"XAF": "950"}, PAIEMENTPRO_CURRENCY="XAF"):
        assert conf.currency == "XAF"


def test_verifier_is_imported() -> None:
    with override_settings(PAIEMENTPRO_HASHCODE_VERIFIER="tests.test_conf.test_verifier_is_imported"):
        assert conf.hashcode_verifier is test_verifier_is_imported
    assert conf.hashcode_verifier is None


def test_return_hosts_may_be_hosts_origins_and_app_schemes() -> None:
    with override_settings(PAIEMENTPRO_RETURN_HOSTS=["Shop.example.com", "http://localhost:5173", "maBoutique://"]):
        assert conf.return_hosts == ["shop.example.com", "http://localhost:5173", "maboutique://"]
    assert conf.return_hosts == conf.api_customer_fields == []


def test_customer_fields_stand_in_the_order_of_the_payment() -> None:
    with override_settings(PAIEMENTPRO_API_CUSTOMER_FIELDS={"customer_phone", "customer_email"}):
        assert conf.api_customer_fields == ["customer_email", "customer_phone"]


def test_transport_is_a_name_or_a_class() -> None:
    assert conf.transport == "json"
    for transport in ("soap", "tests.gateway.test_client.OwnTransport"):
        with override_settings(PAIEMENTPRO_TRANSPORT=transport):
            assert conf.transport == transport
