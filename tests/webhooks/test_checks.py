import sys
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import pytest
from django.core.checks import run_checks

from django_paiementpro.webhooks import sending
from django_paiementpro.webhooks.checks import check_private_addresses


def ids(settings: Any, **values: Any) -> list[str]:
    for name, value in values.items():
        setattr(settings, name, value)
    return [str(message.id) for message in check_private_addresses()]


def test_private_addresses_are_a_warning_in_production(settings: Any) -> None:
    assert ids(settings) == []
    assert ids(settings, PAIEMENTPRO_WEBHOOKS_ALLOW_PRIVATE=True) == ["paiementpro_webhooks.W001"]
    assert ids(settings, DEBUG=True) == []
    assert ids(settings, DEBUG=False, PAIEMENTPRO_WEBHOOKS_ALLOW_PRIVATE="yes") == []  # paiementpro.E002


def test_check_is_for_deployment(settings: Any) -> None:
    settings.PAIEMENTPRO_WEBHOOKS_ALLOW_PRIVATE = True
    tags = ["paiementpro_webhooks"]
    assert run_checks(tags=tags) == []
    assert [message.id for message in run_checks(tags=tags, include_deployment_checks=True)] == [
        "paiementpro_webhooks.W001"
    ]


def test_missing_library_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "standardwebhooks", None)
    spec = spec_from_file_location("sending_without_library", sending.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ImportError, match=r'pip install "django-paiementpro\[webhooks\]"'):
        spec.loader.exec_module(module_from_spec(spec))
