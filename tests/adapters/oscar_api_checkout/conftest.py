import pytest

from tests.adapters.oscar import conftest


def pytest_configure(config: pytest.Config) -> None:
    conftest.pytest_configure(config)
    config.addinivalue_line("filterwarnings", "ignore:AttributeValueField is deprecated")  # oscarapi's own
