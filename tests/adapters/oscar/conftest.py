import pytest

from tests.adapters.oscar.settings import DEPRECATED


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", f"ignore:{DEPRECATED}")
