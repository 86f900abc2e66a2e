from typing import Any

import pytest
from django.core.checks import ERROR, WARNING, run_checks
from django.test import override_settings

from django_paiementpro.links import checks
from django_paiementpro.links.checks import check_links


def found(**values: Any) -> list[tuple[str | None, int]]:
    with override_settings(**{"PAIEMENTPRO_SHOP": {"name": "Chez Awa"}, **values}):
        return [(message.id, message.level) for message in check_links()]


def test_valid_installation_raises_no_check() -> None:
    assert found() == []


def test_checks_are_registered() -> None:
    assert "paiementpro_links.W001" in {message.id for message in run_checks(tags=["paiementpro_links"])}


def test_missing_urls_are_an_error() -> None:
    assert found(ROOT_URLCONF="tests.urls_nested") == [("paiementpro_links.E001", ERROR)]


@pytest.mark.parametrize("shop", [{}, {"phone": "+225 07 00 00 00 00"}])
def test_shop_without_a_name_is_a_warning(shop: dict[str, str]) -> None:
    assert found(PAIEMENTPRO_SHOP=shop) == [("paiementpro_links.W001", WARNING)]


def test_wrong_shop_is_reported_by_the_app() -> None:
    assert found(PAIEMENTPRO_SHOP={"nom": "Chez Awa"}) == []


def test_missing_library_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    assert found() == [("paiementpro_links.E002", ERROR)]
    [message] = [message for message in check_links() if message.id == "paiementpro_links.E002"]
    assert "django-paiementpro[links]" in str(message.hint)
