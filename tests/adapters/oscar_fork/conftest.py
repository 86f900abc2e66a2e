from tests.adapters.oscar.conftest import pytest_configure

__all__ = ["pytest_configure"]
